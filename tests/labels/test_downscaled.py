"""Far tiles: half of each class, at most a quarter cracked, made of tiles of the list."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import storage
from pipeline.images.decode import decode
from pipeline.labels.boxes import Box
from pipeline.labels.downscaled import SIDE_PX, downscale_half
from pipeline.labels.labelled_tiles import LabelledTiles


@pytest.fixture
def tiles(tmp_path: Path) -> LabelledTiles:
    """Write ten cracked tiles, all white, and ten sound ones, each in another grey; two per photo."""
    pixels = np.empty((10, 100, 200, 3), np.uint8)
    for number in range(10):
        pixels[number, :, :100] = 255
        pixels[number, :, 100:] = 10 * number
        Image.fromarray(pixels[number]).save(tmp_path / f"{number}.png")
    urls = tuple(storage.canonical(str(tmp_path / f"{number}.png")) for number in range(10) for _ in range(2))
    boxes = (Box(0, 0, 100, 100), Box(0, 100, 100, 100)) * 10
    return LabelledTiles(urls, np.arange(20) % 2 == 0, urls, ("a",) * 20, boxes)


def test_every_other_tile_of_each_class_becomes_a_far_tile(tiles: LabelledTiles, tmp_path: Path) -> None:
    """Ten stay as they are and ten become files; both classes keep their numbers."""
    found = downscale_half(tiles, storage.canonical(str(tmp_path / "far")))
    assert found.boxes.count(None) == 10
    far = np.array([box is None for box in found.boxes])
    assert found.labels[far].sum() == found.labels[~far].sum() == 5


def test_a_quarter_of_a_far_cracked_tile_is_cracked(tiles: LabelledTiles, tmp_path: Path) -> None:
    """A far cracked tile has one white quarter, a far sound tile has none; all quarters are whole tiles."""
    found = downscale_half(tiles, storage.canonical(str(tmp_path / "far")))
    for url, box, cracked in zip(found.urls, found.boxes, found.labels, strict=True):
        if box is not None:
            continue
        pixels = decode(storage.read_bytes(url)).pixels
        assert pixels.shape == (SIDE_PX, SIDE_PX, 3)
        quarters = pixels[:, :, 0].reshape(2, SIDE_PX // 2, 2, SIDE_PX // 2).transpose(0, 2, 1, 3).reshape(4, -1)
        assert (quarters == quarters[:, :1]).all()
        assert int((quarters[:, 0] == 255).sum()) == int(cracked)


def test_the_same_tiles_give_the_same_far_tiles(tiles: LabelledTiles, tmp_path: Path) -> None:
    """Two comparisons test on the same pictures."""
    first, again = (downscale_half(tiles, storage.canonical(str(tmp_path / name))) for name in ("one", "two"))
    files = [
        [storage.read_bytes(url) for url, box in zip(found.urls, found.boxes, strict=True) if box is None]
        for found in (first, again)
    ]
    assert files[0] == files[1]
