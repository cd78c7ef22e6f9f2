"""Labelled tiles as files of their own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.images.decode import decode
from pipeline.labels.boxes import Box
from pipeline.labels.crops import write_crops
from pipeline.labels.labelled_tiles import LabelledTiles

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def tiles_of(folder: Path, *boxes: Box | None) -> LabelledTiles:
    """Return one photo as several tiles."""
    Image.fromarray(PIXELS).save(folder / "photo.png")
    urls, count = (storage.canonical(str(folder / "photo.png")),) * len(boxes), len(boxes)
    return LabelledTiles(urls, np.zeros(count, dtype=np.bool_), urls, ("a",) * count, boxes)


def test_boxes_become_files(tmp_path: Path) -> None:
    """Each box becomes a file of exactly its pixels, a whole file stays where it is, and the crops go at the end."""
    tiles = tiles_of(tmp_path, None, Box(0, 0, 20, 30), Box(40, 50, 20, 30))
    folder = storage.canonical(str(tmp_path / "report" / "cut"))
    with write_crops(tiles, folder) as files:
        found = [decode(storage.read_bytes(file)).pixels for file in files]
        assert files[0] == tiles.urls[0]
        assert len(set(files)) == 3
    assert (found[0] == PIXELS).all()
    assert (found[1] == PIXELS[:20, :30]).all()
    assert (found[2] == PIXELS[40:, 50:]).all()
    assert not storage.exists(folder)
    assert storage.exists(tiles.urls[0])


def test_whole_files_are_not_read(tmp_path: Path) -> None:
    """If every tile is a whole file, this opens no file and creates no folder."""
    tiles = tiles_of(tmp_path, None)
    (tmp_path / "photo.png").write_bytes(b"no picture")
    folder = storage.canonical(str(tmp_path / "cut"))
    with write_crops(tiles, folder) as files:
        assert files == list(tiles.urls)
        assert not storage.exists(folder)


def test_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    """The error names a box over the edge, and earlier crops are gone."""
    tiles = tiles_of(tmp_path, Box(0, 0, 20, 30), Box(50, 0, 20, 30))
    folder = storage.canonical(str(tmp_path / "cut"))
    with (
        pytest.raises(UsageError, match=r"photo\.png#xywh=0,50,30,20 cannot be cut: The photo is 60"),
        write_crops(tiles, folder),
    ):
        pytest.fail("there are no files")
    assert not storage.exists(folder)


def test_damaged_photo(tmp_path: Path) -> None:
    """The error names a photo that cannot be decoded."""
    tiles = tiles_of(tmp_path, Box(0, 0, 20, 30))
    (tmp_path / "photo.png").write_bytes(b"no picture")
    with (
        pytest.raises(UsageError, match=r"No tiles can be cut from .*photo\.png: No photo in"),
        write_crops(tiles, storage.canonical(str(tmp_path / "cut"))),
    ):
        pytest.fail("there are no files")
