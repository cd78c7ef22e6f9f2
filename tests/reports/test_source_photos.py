"""Photos of a dataset, read again from their archives, or the reasons why that fails."""

import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.archives.listing import decode_listing
from pipeline.archives.members import Limits
from pipeline.dataset.layout import Layout
from pipeline.reports.source_photos import NOT_LISTED, SourcePhoto, read_source_photos
from pipeline.scoring.plan import expand_stream
from pipeline.scoring.reading import read_unit, split_units
from tests.helpers.plans import save_listed_plan
from tests.helpers.scored_photos import photo, zip_photos

PHOTOS = {"a.png": photo(40), "sub/b.png": photo(80), "c.png": photo(120)}


def read(tmp_path: Path, *inputs: Path) -> dict[str, SourcePhoto]:
    """All photos of some inputs, by name."""
    layout = Layout(storage.canonical(str(tmp_path / "out")))
    rows = save_listed_plan([str(path) for path in inputs], layout).members.to_pylist()
    return found(layout, rows)


def found(layout: Layout, rows: list[dict[str, str]]) -> dict[str, SourcePhoto]:
    """Photos of a plan, read again, by name."""
    names = {row["image_id"]: row["image"] for row in rows}
    read = list(read_source_photos(layout, {row["image_id"]: row["archive"] for row in rows}))
    assert len(read) == len(rows)
    return {names[image_id]: source for image_id, source in read}


def level(source: SourcePhoto) -> int:
    """The grey level of a photo's right lower corner."""
    assert isinstance(source, np.ndarray)
    return int(source[-1, -1, 0])


def test_photos_come_from_zip_tar_folder_and_nested_archives(tmp_path: Path) -> None:
    """The readers are those of scoring, so they read every format."""
    archive = zip_photos(tmp_path / "one.zip", PHOTOS)
    with tarfile.open(tmp_path / "two.tar", "w") as tar:
        tar.add(archive, "in.zip")
    with zipfile.ZipFile(archive) as members:
        members.extractall(tmp_path / "folder")  # noqa: S202 - our own
    for place, prefix in ((archive, ""), (tmp_path / "two.tar", "in.zip!/"), (tmp_path / "folder", "")):
        levels = {name: level(source) for name, source in read(tmp_path / place.stem, place).items()}
        assert levels == {f"{prefix}a.png": 40, f"{prefix}sub/b.png": 80, f"{prefix}c.png": 120}


def test_photos_come_from_a_compressed_tar_that_was_read_to_its_end(tmp_path: Path) -> None:
    """It is streamed once more; before a run has read it to the end, its members are unknown."""
    zip_photos(tmp_path / "one.zip", PHOTOS)
    with tarfile.open(tmp_path / "three.tgz", "w:gz") as tar, zipfile.ZipFile(tmp_path / "one.zip") as members:
        for name in members.namelist():
            header = tarfile.TarInfo(name)
            header.size = len(members.read(name))
            tar.addfile(header, members.open(name))
    layout = Layout(storage.canonical(str(tmp_path / "out")))
    [unit] = split_units(save_listed_plan([str(tmp_path / "three.tgz")], layout).members)
    read = [table.to_pylist()[0] for table in read_unit(unit, Limits(), pa.chunked_array([], pa.string()))]
    *rows, end = read
    assert set(found(layout, rows).values()) == {NOT_LISTED}
    expand_stream(layout, decode_listing(end["ended"]))
    levels = {name: level(source) for name, source in found(layout, rows).items()}
    assert levels == {"a.png": 40, "sub/b.png": 80, "c.png": 120}


def test_photos_of_a_missing_archive_have_the_reason(tmp_path: Path) -> None:
    """Photos of other archives have their pixels."""
    gone, there = (
        zip_photos(tmp_path / "gone.zip", {"a.png": photo(1)}),
        zip_photos(tmp_path / "there.zip", {"b.png": photo(9)}),
    )
    layout = Layout(storage.canonical(str(tmp_path / "out")))
    rows = save_listed_plan([str(gone), str(there)], layout).members.to_pylist()
    gone.unlink()
    read = found(layout, rows)
    assert level(read["b.png"]) == 9
    assert read["a.png"] == "gone.zip has vanished since it was listed."


def test_an_archive_that_was_replaced_is_not_shown(tmp_path: Path) -> None:
    """Another photo of the same name would belie the score."""
    archive = zip_photos(tmp_path / "one.zip", {"a.png": photo(1)})
    layout = Layout(storage.canonical(str(tmp_path / "out")))
    rows = save_listed_plan([str(archive)], layout).members.to_pylist()
    zip_photos(archive, {"a.png": photo(200), "b.png": photo(3)})
    assert "was replaced" in str(found(layout, rows)["a.png"])


def test_a_photo_that_cannot_be_decoded_has_the_reason(tmp_path: Path) -> None:
    """It is the message in the row of a failed photo."""
    read_ = read(tmp_path, zip_photos(tmp_path / "one.zip", {"a.png": b"no photo"}))
    assert str(read_["a.png"]).startswith("No photo in 8 bytes")


def test_a_photo_in_no_plan_has_the_reason(tmp_path: Path) -> None:
    """Such are photos of a compressed tar that no run has read to the end, and of a dataset without its plan."""
    archive = zip_photos(tmp_path / "one.zip", {"a.png": photo(1)})
    layout = Layout(storage.canonical(str(tmp_path / "out")))
    rows = save_listed_plan([str(archive)], layout).members.to_pylist()
    assert list(read_source_photos(layout, {"0" * 16: rows[0]["archive"]})) == [("0" * 16, NOT_LISTED)]
    shutil.rmtree(tmp_path / "out")
    assert found(layout, rows) == {"a.png": NOT_LISTED}
