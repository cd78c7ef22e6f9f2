"""Every photo of the inputs once, kept in the dataset, and what may not change."""

import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.archives.listing import decode_listing, entry_of, image_id
from pipeline.archives.members import Limits
from pipeline.core.errors import UsageError
from pipeline.core.schema import MEMBERS
from pipeline.dataset.layout import Layout
from pipeline.scoring.inputs import find_inputs
from pipeline.scoring.plan import keep_ended, make_plan, planned_ids, planned_inputs
from pipeline.scoring.reading import read_unit, units
from tests.helpers.packing import packed, packed_zip
from tests.helpers.plans import NOTHING, images, kept, planned, write_zip


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Place the dataset beside the photos."""
    return Layout(f"file://{tmp_path}/out")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Make a folder of two photos and a note."""
    folder = tmp_path / "photos"
    (folder / "span 1").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"aa")
    (folder / "span 1" / "b.png").write_bytes(b"bbb")
    (folder / "notes.txt").write_bytes(b"")
    return folder


def test_a_folder_is_planned(photos: Path, layout: Layout) -> None:
    """Every photo is one row, with what it takes to find it again; the rest is counted."""
    made = planned([str(photos)], layout)

    assert made.members.schema == MEMBERS
    assert made.members.select(["archive", "image", "occurrence", "size_bytes"]).to_pylist() == [
        {"archive": f"file://{photos}", "image": "a.jpg", "occurrence": 0, "size_bytes": 2},
        {"archive": f"file://{photos}", "image": "span 1/b.png", "occurrence": 0, "size_bytes": 3},
    ]
    assert made.skipped == {".txt": 1}


def test_archives_in_a_folder_are_opened(photos: Path, layout: Layout) -> None:
    """A member's address has `!/` between archive and member, so that no folder has the same."""
    write_zip(photos / "night.zip", ["c.jpg", "notes.md"])

    made = planned([str(photos), str(photos / "night.zip")], layout)

    assert images(made) == ["a.jpg", "c.jpg", "span 1/b.png"]
    assert image_id(f"file://{photos}/night.zip!/c.jpg".encode(), 0) in made.members["image_id"].to_pylist()
    assert made.skipped == {".txt": 1, ".md": 1}


def test_names_that_are_not_utf8_are_spelled_out_and_kept(tmp_path: Path, layout: Layout) -> None:
    r"""`image` shows such bytes as \xNN; `path` keeps them, so that the member is found again."""
    info = tarfile.TarInfo("b\udce9.jpg")
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(info, io.BytesIO())

    (row,) = planned([str(tmp_path / "a.tar")], layout).members.to_pylist()

    assert row["image"] == "b\\xe9.jpg"
    assert row["path"] == b"b\xe9.jpg"
    assert entry_of(row).path == "b\udce9.jpg"


def test_an_archive_that_cannot_be_read_is_one_failed_row(photos: Path, layout: Layout) -> None:
    """It stands for the archive, with no image; the photos beside it are planned."""
    (photos / "broken.zip").write_bytes(b"no zip")

    made = planned([str(photos)], layout)

    (failed,) = (row for row in made.members.to_pylist() if row["failure_kind"] is not None)
    assert (failed["image"], failed["failure_stage"], failed["failure_kind"]) == ("", "open", "archive_unreadable")
    assert made.members.num_rows == 3


def test_a_second_plan_opens_no_archive(tmp_path: Path, layout: Layout) -> None:
    """The listing is kept in the dataset."""
    write_zip(tmp_path / "night.zip", ["a.jpg", "notes.txt"])
    first = kept([str(tmp_path / "night.zip")], layout)
    second = make_plan(find_inputs([str(tmp_path / "night.zip")], layout), layout, NOTHING)
    assert (second.unlisted, second.news, second.is_kept) == ((), (), True)
    assert second.members.equals(first.members)
    assert second.skipped == first.skipped == {".txt": 1}


def test_an_archive_whose_failure_was_forgotten_is_opened_again(tmp_path: Path, layout: Layout) -> None:
    """Once its failed row is gone, it is listed anew; while the row stands, it is not."""
    (tmp_path / "night.zip").write_bytes(b"no zip")
    first = kept([str(tmp_path / "night.zip")], layout)
    inputs = find_inputs([str(tmp_path / "night.zip")], layout)
    assert make_plan(inputs, layout, first.members["image_id"]).unlisted == ()
    assert make_plan(inputs, layout, NOTHING).unlisted == inputs.archives


def test_an_archive_with_one_that_could_not_be_read_is_opened_again(tmp_path: Path, layout: Layout) -> None:
    """Whatever failed it: its photos are not known yet, and might be now."""
    data = bytearray(packed_zip([("in.zip", packed_zip([("b.jpg", b"b")])), ("c.jpg", b"c")]))
    data[data.index(b"in.zip")] ^= 1
    (tmp_path / "night.zip").write_bytes(data)
    first = kept([str(tmp_path / "night.zip")], layout)
    inputs = find_inputs([str(tmp_path / "night.zip")], layout)
    assert make_plan(inputs, layout, first.members["image_id"]).unlisted == ()
    assert make_plan(inputs, layout, NOTHING).unlisted == inputs.archives


def test_a_stream_is_replaced_by_its_photos_when_it_has_ended(tmp_path: Path, layout: Layout) -> None:
    """Until then nobody knows how many photos are planned; then they are planned like all others."""
    place = tmp_path / "night.tgz"
    place.write_bytes(packed(".tgz", [("a.jpg", b"a"), ("b.txt", b"b"), ("c.jpg", b"c")]))
    [unit] = units(kept([str(place)], layout).members)
    assert planned_ids(layout) is None
    *photos, end = [row for table in read_unit(unit, Limits(), NOTHING) for row in table.to_pylist()]
    assert keep_ended(layout, decode_listing(end["ended"]))
    ids = planned_ids(layout)
    assert ids is not None
    assert ids.to_pylist() == [row["image_id"] for row in photos]
    assert not keep_ended(layout, decode_listing(end["ended"]))  # as after a scorer was lost
    again = planned([str(place)], layout, done=ids)
    assert again.members.num_rows == len(photos)
    assert (again.unlisted, again.skipped, again.without(ids).num_rows) == ((), {".txt": 1}, 0)


def test_everything_that_was_planned_can_be_planned_again(photos: Path, layout: Layout) -> None:
    """Without the inputs being named: archives are looked up, folders are what they were."""
    write_zip(photos / "night.zip", ["c.jpg"])
    first = kept([str(photos)], layout)
    again = make_plan(planned_inputs(layout), layout, NOTHING)
    assert again.is_kept
    assert sorted(again.members["image_id"].to_pylist()) == sorted(first.members["image_id"].to_pylist())


def test_a_changed_archive_is_refused_by_name(tmp_path: Path, layout: Layout) -> None:
    """Tonight's photos.zip is not yesterday's."""
    place = tmp_path / "photos.zip"
    write_zip(place, ["a.jpg"])
    kept([str(place)], layout)
    before = storage.stat(f"file://{place}").version
    write_zip(place, ["a.jpg", "b.jpg"])
    now = storage.stat(f"file://{place}").version

    with pytest.raises(UsageError) as caught:
        planned([str(place)], layout)

    assert str(caught.value) == (
        f"file://{place} has changed since this dataset was begun (version {before}, now {now}). "
        "Score the new one into another --out."
    )


def test_a_folder_may_grow(photos: Path, layout: Layout) -> None:
    """New photos are added; those planned before stay, even where they were taken away."""
    kept([str(photos)], layout)
    (photos / "c.jpg").write_bytes(b"c")
    (photos / "a.jpg").unlink()

    made = planned([str(photos)], layout)

    assert images(made) == ["a.jpg", "c.jpg", "span 1/b.png"]
    made.keep()
    ids = planned_ids(layout)
    assert ids is not None
    assert set(ids.to_pylist()) == set(made.members["image_id"].to_pylist())


def test_a_changed_photo_in_a_folder_is_refused(photos: Path, layout: Layout) -> None:
    """Its score would be another's."""
    kept([str(photos)], layout)
    (photos / "a.jpg").write_bytes(b"another photo")

    with pytest.raises(UsageError) as caught:
        planned([str(photos)], layout)

    assert str(caught.value) == (
        "1 photos have changed since this dataset was begun, a.jpg among them. Score the new ones into another --out."
    )


def test_photos_that_are_done_are_left_out(photos: Path, layout: Layout) -> None:
    """What remains is in the plan's order."""
    made = planned([str(photos)], layout)

    left = made.without(made.members["image_id"].slice(0, 1))

    assert left["image"].to_pylist() == ["span 1/b.png"]
    assert made.without(pa.chunked_array([], pa.string())).num_rows == 2


def test_planning_writes_nothing_until_it_is_kept(photos: Path, layout: Layout) -> None:
    """A plan that ends in an error, or is never begun, leaves no trace; what is kept is news once."""
    made = planned([str(photos)], layout)
    assert not storage.exists(layout.url)
    made.keep()
    assert planned([str(photos)], layout).news == ()


def test_a_single_photo_of_a_planned_folder_is_one_photo(photos: Path, layout: Layout) -> None:
    """Asking for one photo plans one, though its folder was planned before."""
    kept([str(photos)], layout)
    assert images(planned([str(photos / "a.jpg")], layout)) == ["a.jpg"]


def test_a_half_written_listing_is_no_listing(photos: Path, layout: Layout) -> None:
    """What a killed run left beside the listings is passed over."""
    kept([str(photos)], layout)
    storage.write_whole(storage.join(layout.plans, ".x.parquet.123.tmp"), b"PAR")
    ids = planned_ids(layout)
    assert ids is not None
    assert len(ids) == 2
