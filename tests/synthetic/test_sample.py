"""A sample repeats exactly, never overwrites other files, and says that it is synthetic."""

import hashlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.core.errors import StorageError, UsageError
from pipeline.synthetic.config import SampleConfig
from pipeline.synthetic.drawing import draw_photo
from pipeline.synthetic.sample import write_sample


def _config(out: Path) -> SampleConfig:
    """Return a sample that takes a fraction of a second."""
    return SampleConfig(out, photos=5, height_px=96, width_px=128, tiles=10, tile_px=64)


def _digests(folder: Path) -> dict[str, str]:
    """Return the hash of every file in a folder but the query, which names the folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "check.sql"
    }


def test_same_arguments_same_bytes(tmp_path: Path) -> None:
    """Samples with equal arguments are equal, file by file; another seed makes other photos."""
    samples = [tmp_path / "one" / "demo", tmp_path / "two" / "demo", tmp_path / "three" / "demo"]
    for out, seed in zip(samples, (1, 1, 2), strict=True):
        write_sample(replace(_config(out), seed=seed))
    one, two, three = (_digests(out) for out in samples)
    assert one == two
    files = {"README.md", "photos.csv", "photos.zip", "sample.json", "truth.parquet", "truth_cracks.parquet"}
    assert one.keys() == files | {name for name in one if name.startswith(("masks/", "tiles/"))}
    assert one["photos.zip"] != three["photos.zip"]


def test_summary_tells_what_was_written(tmp_path: Path) -> None:
    """Half of the photos, rounded up, are cracked, and four in five tiles are for training."""
    summary = write_sample(_config(tmp_path))
    assert (summary.photos, summary.cracked_photos, summary.train_tiles, summary.val_tiles) == (5, 3, 8, 2)
    assert summary.photos_path == tmp_path / "photos.zip"
    flags = [line.split(",")[1] for line in (tmp_path / "photos.csv").read_text().splitlines()[1:]]
    assert sorted(flags) == ["0", "0", "1", "1", "1"]


def test_masks_fit_the_upright_photos_and_seeds_draw_them_again(tmp_path: Path) -> None:
    """`draw_photo` with the seed in `photos.csv` gives the same mask, and the same photo up to JPEG."""
    write_sample(_config(tmp_path))
    rows = [line.split(",") for line in (tmp_path / "photos.csv").read_text().splitlines()[1:]]
    with zipfile.ZipFile(tmp_path / "photos.zip") as archive:
        assert archive.namelist() == [row[0] for row in rows]
        for name, cracked, crack_px, _, seed in rows:
            drawing = draw_photo(96, 128, int(seed), cracked=cracked == "1")
            stored = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(archive.read(name)))))
            assert np.abs(stored.astype(int) - drawing.pixels).mean() < 8
            with Image.open(tmp_path / "masks" / Path(name).with_suffix(".png")) as mask:
                assert np.array_equal(np.asarray(mask), drawing.mask)
            assert int(crack_px) == drawing.mask.sum()


def test_the_same_sample_is_left_as_it_is(tmp_path: Path) -> None:
    """A second run draws nothing and reports that."""
    assert not write_sample(_config(tmp_path)).already_there
    (tmp_path / "photos.zip").write_bytes(b"touched")
    assert write_sample(_config(tmp_path), lambda _done, _total: pytest.fail("drew again")).already_there
    assert (tmp_path / "photos.zip").read_bytes() == b"touched"


def test_another_sample_is_refused(tmp_path: Path) -> None:
    """The message names the arguments that differ."""
    write_sample(_config(tmp_path))
    with pytest.raises(UsageError) as caught:
        write_sample(replace(_config(tmp_path), seed=3, photos=6))
    assert str(caught.value) == (
        f"{tmp_path} holds a sample made with photos 5 instead of 6, seed 0 instead of 3. "
        "Choose another --out, or remove that folder."
    )


def test_an_incomplete_sample_is_replaced(tmp_path: Path) -> None:
    """After an interruption, the same or another command starts over and writes what it writes to an empty folder."""
    out, whole = tmp_path / "a" / "demo", tmp_path / "b" / "demo"
    for pictures in (2, 9):
        with pytest.raises(KeyboardInterrupt):
            write_sample(replace(_config(out), format="tar"), _InterruptAfter(pictures))
        assert not (out / "sample.json").exists()
    write_sample(_config(out))
    write_sample(_config(whole))
    assert _digests(out) == _digests(whole)


class _InterruptAfter:
    """Raises KeyboardInterrupt, as Ctrl-C does, after a number of pictures."""

    def __init__(self, pictures: int) -> None:
        self.pictures = pictures

    def __call__(self, done: int, total: int) -> None:
        assert done <= total
        if done == self.pictures:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["notes.txt", "README.md", "photos"])
def test_a_folder_of_other_files_is_refused(name: str, tmp_path: Path) -> None:
    """Its files stay."""
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError) as caught:
        write_sample(_config(tmp_path))
    assert str(caught.value) == (f"{tmp_path} is not empty and is no sample. Choose a new or empty folder as --out.")
    assert (tmp_path / name).read_text() == "mine"


def test_a_file_is_refused(tmp_path: Path) -> None:
    """--out must be a folder."""
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(UsageError, match="demo is a file; --out must be a new or empty folder"):
        write_sample(_config(tmp_path / "demo"))


def test_a_marker_of_another_program_is_refused(tmp_path: Path) -> None:
    """A `sample.json` that crackscan did not write makes no folder a sample."""
    (tmp_path / "sample.json").write_text("[1, 2]")
    with pytest.raises(UsageError, match="is not what a sample leaves there"):
        write_sample(_config(tmp_path))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A path through a file ends in one sentence that names it."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match=r"could not be written to .*file/demo: "):
        write_sample(_config(tmp_path / "file" / "demo"))


def test_only_tiles_or_only_photos(tmp_path: Path) -> None:
    """A sample without photos has no files of photos; one without tiles has no tiles."""
    write_sample(replace(_config(tmp_path / "tiles"), photos=0))
    write_sample(replace(_config(tmp_path / "photos"), tiles=0))
    assert {path.name for path in (tmp_path / "tiles").iterdir()} == {"README.md", "sample.json", "tiles"}
    assert "tiles" not in {path.name for path in (tmp_path / "photos").iterdir()}


def test_the_readme_says_that_it_is_synthetic(tmp_path: Path) -> None:
    """Its first line says it, and it contains the command that repeats the sample."""
    config = _config(tmp_path / "demo")
    write_sample(config)
    text = (tmp_path / "demo" / "README.md").read_text()
    assert text.startswith("# SYNTHETIC")
    assert config.command() in text
