"""Nothing that a model is tested on was in its training: the real sources, file by file and picture by picture."""

import hashlib
import zlib
from collections.abc import Iterator

import numpy as np
import pytest

from pipeline import storage
from pipeline.images.decode import decode
from pipeline.labels.boxes import cut
from pipeline.labels.labelled_tiles import LabelledTiles, compute_descriptors, read_labelled_tiles
from pipeline.labels.near_duplicates import SAME_PICTURE, SIDE, Floats
from pipeline.labels.split import SplitRule, TrainValSplit, split
from pipeline.training.trials import parts_of
from tests import ROOT

DATA = ROOT.parent / "shared" / "data"
SOURCES = tuple(str(DATA / name) for name in ("metu_tiles/train", "bridge_deck_uav", "sdnet2018_deck_cracked"))
VALIDATION = str(DATA / "metu_tiles" / "val")

LOOKED_AT = 600
"""Held-out tiles of a source that are compared with all of training, pixel by pixel and without shortcuts."""

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data sets are not here: {DATA}"),
]


@pytest.fixture(scope="module")
def part(request: pytest.FixtureRequest) -> int:
    """Every how manieth photo is looked at; 1 takes all, and a quarter of an hour."""
    return int(request.config.getoption("--part"))


@pytest.fixture(scope="module")
def tiles(part: int) -> LabelledTiles:
    """Tiles of the three sources."""
    return some(read_labelled_tiles(SOURCES), part)


def some(tiles: LabelledTiles, part: int) -> LabelledTiles:
    """Take every so manieth file of each source, with all its tiles."""
    return tiles.subset([zlib.crc32(url.encode()) % part == 0 for url in tiles.urls])


@pytest.fixture(scope="module")
def prints(tiles: LabelledTiles) -> Floats:
    """Their fingerprints."""
    return compute_descriptors(tiles)


@pytest.fixture(scope="module")
def hashes(tiles: LabelledTiles) -> dict[str, str]:
    """The hash of every tile's pixels, by name."""
    return pixel_hashes(tiles)


def pixel_hashes(tiles: LabelledTiles) -> dict[str, str]:
    """Return the SHA-256 of every tile's pixels, by its name."""

    def pictures() -> Iterator[str]:
        for url, boxes in tiles.by_file():
            photo = decode(storage.read_bytes(url)).pixels
            for box in boxes:
                yield hashlib.sha256(cut(photo, box).tobytes()).hexdigest()

    return dict(zip(tiles.names, pictures(), strict=True))


def most_alike(prints: Floats, others: Floats) -> float:
    """Return the highest similarity of two tiles in any of the eight flips and turns, every pair compared in full."""
    square = prints.reshape(-1, SIDE, SIDE)
    views = [np.rot90(flipped, turns, (1, 2)) for flipped in (square, square[:, :, ::-1]) for turns in range(4)]
    return max(float((view.reshape(len(prints), -1) @ others.T).max()) for view in views)


def chosen(count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Choose some of so many tiles, always the same ones."""
    return np.random.default_rng(0).choice(count, min(count, LOOKED_AT), replace=False)


@pytest.mark.parametrize("left_out", SOURCES)
def test_a_left_out_source_is_not_in_training(
    left_out: str, tiles: LabelledTiles, prints: Floats, hashes: dict[str, str]
) -> None:
    """No photo, no tile with the same pixels, no near-duplicate of any tile of the source, tested on or not."""
    parts = parts_of(tiles, prints, left_out)
    own = np.flatnonzero(np.array(tiles.sources) == left_out)
    row_of = {name: row for row, name in enumerate(tiles.names)}
    training = np.array([row_of[name] for name in parts.training.names])
    assert set(parts.validation.sources) == {left_out}
    assert not set(parts.training.groups) & {tiles.groups[row] for row in own}
    assert not {hashes[name] for name in parts.training.names} & {hashes[tiles.names[row]] for row in own}
    assert most_alike(prints[own[chosen(len(own))]], prints[training]) < SAME_PICTURE


def test_no_validation_tile_is_in_the_shipped_models_training(
    tiles: LabelledTiles, prints: Floats, hashes: dict[str, str], part: int
) -> None:
    """METU's validation tiles against all that the shipped model is trained on."""
    validation = some(read_labelled_tiles((VALIDATION,)), part)
    validation_prints = compute_descriptors(validation)
    row_of = {name: row for row, name in enumerate(tiles.names)}

    def look(at: LabelledTiles) -> Floats:
        return prints if at is tiles else validation_prints

    parts: TrainValSplit = split(tiles, validation, SplitRule(), look)
    training = np.array([row_of[name] for name in parts.training.names])
    assert not set(parts.training.groups) & set(validation.groups)
    assert not {hashes[name] for name in parts.training.names} & set(pixel_hashes(validation).values())
    assert most_alike(validation_prints[chosen(len(validation))], prints[training]) < SAME_PICTURE


def test_a_planted_copy_would_be_seen(tiles: LabelledTiles, prints: Floats) -> None:
    """A tile compared with a mirrored copy of itself is the same picture: the comparison can fail."""
    first = prints[:1]
    mirrored = np.ascontiguousarray(first.reshape(1, SIDE, SIDE)[:, :, ::-1]).reshape(1, -1)
    assert most_alike(first, mirrored) > SAME_PICTURE
    assert len(prints) == len(tiles)
