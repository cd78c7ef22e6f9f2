"""No test tile was in the training of its model: the real sources, file by file and picture by picture."""

import hashlib
import zlib
from collections.abc import Iterator

import numpy as np
import pytest

from pipeline import storage
from pipeline.images.decode import decode
from pipeline.labels.boxes import cut
from pipeline.labels.labelled_tiles import LabelledTiles, compute_descriptors, read_labelled_tiles
from pipeline.labels.near_duplicates import SAME_PICTURE, SIDE, Descriptors
from pipeline.labels.split import SplitRule, TrainValSplit, split
from pipeline.training.trials import split_trial
from tests import ROOT

DATA = ROOT.parent / "shared" / "data"
SOURCES = tuple(str(DATA / name) for name in ("metu_tiles/train", "bridge_deck_uav", "sdnet2018_deck_cracked"))
VALIDATION = str(DATA / "metu_tiles" / "val")

COMPARED_TILES = 600
"""Held-out tiles of a source that the tests compare with all training tiles, pixel by pixel, without shortcuts."""

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data sets are not here: {DATA}"),
]


@pytest.fixture(scope="module")
def part(request: pytest.FixtureRequest) -> int:
    """Return n to compare every n-th photo; 1 compares all and takes a quarter of an hour."""
    return int(request.config.getoption("--part"))


@pytest.fixture(scope="module")
def tiles(part: int) -> LabelledTiles:
    """Read the tiles of the three sources."""
    return take_part(read_labelled_tiles(SOURCES), part)


def take_part(tiles: LabelledTiles, part: int) -> LabelledTiles:
    """Take every n-th file of each source, with all its tiles."""
    return tiles.subset([zlib.crc32(url.encode()) % part == 0 for url in tiles.urls])


@pytest.fixture(scope="module")
def descriptors(tiles: LabelledTiles) -> Descriptors:
    """Compute their descriptors."""
    return compute_descriptors(tiles)


@pytest.fixture(scope="module")
def hashes(tiles: LabelledTiles) -> dict[str, str]:
    """Compute the hash of every tile's pixels, by name."""
    return hash_pixels(tiles)


def hash_pixels(tiles: LabelledTiles) -> dict[str, str]:
    """Compute the SHA-256 of every tile's pixels, by name."""

    def hash_each() -> Iterator[str]:
        for url, boxes in tiles.by_file():
            photo = decode(storage.read_bytes(url)).pixels
            for box in boxes:
                yield hashlib.sha256(cut(photo, box).tobytes()).hexdigest()

    return dict(zip(tiles.names, hash_each(), strict=True))


def max_similarity(descriptors: Descriptors, others: Descriptors) -> float:
    """Compute the highest similarity of two tiles in any of the eight flips and turns, over every pair."""
    square = descriptors.reshape(-1, SIDE, SIDE)
    views = [np.rot90(flipped, turns, (1, 2)) for flipped in (square, square[:, :, ::-1]) for turns in range(4)]
    return max(float((view.reshape(len(descriptors), -1) @ others.T).max()) for view in views)


def choose(count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Choose some tiles, always the same ones."""
    return np.random.default_rng(0).choice(count, min(count, COMPARED_TILES), replace=False)


@pytest.mark.parametrize("left_out", SOURCES)
def test_a_left_out_source_is_not_in_training(
    left_out: str, tiles: LabelledTiles, descriptors: Descriptors, hashes: dict[str, str]
) -> None:
    """No photo, no tile with the same pixels, and no near-duplicate of any tile of the source, held out or not."""
    parts = split_trial(tiles, descriptors, left_out)
    own = np.flatnonzero(np.array(tiles.sources) == left_out)
    row_of = {name: row for row, name in enumerate(tiles.names)}
    training = np.array([row_of[name] for name in parts.training.names])
    assert set(parts.validation.sources) == {left_out}
    assert not set(parts.training.groups) & {tiles.groups[row] for row in own}
    assert not {hashes[name] for name in parts.training.names} & {hashes[tiles.names[row]] for row in own}
    assert max_similarity(descriptors[own[choose(len(own))]], descriptors[training]) < SAME_PICTURE


def test_no_validation_tile_is_in_the_training_of_the_shipped_model(
    tiles: LabelledTiles, descriptors: Descriptors, hashes: dict[str, str], part: int
) -> None:
    """Compares METU's validation tiles with all training tiles of the shipped model."""
    validation = take_part(read_labelled_tiles((VALIDATION,)), part)
    validation_descriptors = compute_descriptors(validation)
    row_of = {name: row for row, name in enumerate(tiles.names)}

    def describe(of: LabelledTiles) -> Descriptors:
        return descriptors if of is tiles else validation_descriptors

    parts: TrainValSplit = split(tiles, validation, SplitRule(), describe)
    training = np.array([row_of[name] for name in parts.training.names])
    assert not set(parts.training.groups) & set(validation.groups)
    assert not {hashes[name] for name in parts.training.names} & set(hash_pixels(validation).values())
    assert max_similarity(validation_descriptors[choose(len(validation))], descriptors[training]) < SAME_PICTURE


def test_the_comparison_finds_a_planted_copy(tiles: LabelledTiles, descriptors: Descriptors) -> None:
    """A tile and its mirrored copy are the same picture, so the tests above can fail."""
    first = descriptors[:1]
    mirrored = np.ascontiguousarray(first.reshape(1, SIDE, SIDE)[:, :, ::-1]).reshape(1, -1)
    assert max_similarity(first, mirrored) > SAME_PICTURE
    assert len(descriptors) == len(tiles)
