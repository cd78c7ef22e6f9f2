"""No test tile was in the training of its model: the real sources, file by file and picture by picture."""

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import storage
from pipeline.images.decode import decode
from pipeline.labels.boxes import cut
from pipeline.labels.labelled_tiles import LabelledTiles, compute_descriptors, read_labelled_tiles
from pipeline.labels.near_duplicates import SAME_PICTURE, SIDE, Descriptors, find_duplicates
from pipeline.labels.split import SplitRule, TrainValSplit, split
from pipeline.models.model import SHIPPED_MODEL, load_card
from pipeline.training.trials import shorten_place, split_trial
from tests import ROOT

DATA = ROOT.parent / "shared" / "data"
SOURCES = tuple(
    str(DATA / name) for name in ("metu_tiles/train", "bridge_deck_uav", "sdnet2018_deck_cracked", "uav_weathered")
)
"""The training of the shipped model, without its clutter."""
VALIDATION = str(DATA / "metu_tiles" / "val")
EVAL_ONLY = tuple(str(DATA / "eval_only" / name) for name in ("walls", "asphalt"))
"""To measure on, never to train on."""

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
    """Read the tiles of the sources."""
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


@pytest.fixture(scope="module")
def training_files() -> LabelledTiles:
    """List all files of the sources, whatever --part says."""
    return list_files(*SOURCES)


@pytest.fixture(scope="module")
def training_pictures(training_files: LabelledTiles) -> Descriptors:
    """Compute the descriptors of whole files: 12,057 take half a minute."""
    return compute_descriptors(training_files)


def list_files(*places: str) -> LabelledTiles:
    """List the pictures in folders as whole files, without masks and, as no test here needs them, without labels."""
    paths = sorted(path for place in places for path in Path(place).rglob("*.jpg") if path.parent.name != "masks")
    urls = tuple(path.as_uri() for path in paths)
    return LabelledTiles(urls, np.zeros(len(urls), np.bool_), urls, urls, (None,) * len(urls))


def hash_files(files: LabelledTiles) -> set[str]:
    """Compute the SHA-256 of every file."""
    return {hashlib.sha256(storage.read_bytes(url)).hexdigest() for url in files.urls}


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
    """Compares METU's validation tiles with all training tiles that the split leaves."""
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


def test_the_sources_are_those_of_the_shipped_model() -> None:
    """A source that joins the training joins these tests."""
    named = {source.name for source in load_card(SHIPPED_MODEL).data if source.role == "training"}
    assert named == {shorten_place(source) for source in SOURCES}


@pytest.mark.parametrize(("place", "count"), [(EVAL_ONLY[0], 250), (EVAL_ONLY[1], 118), (VALIDATION, 1174)])
def test_no_file_to_measure_on_is_in_the_training_of_the_shipped_model(
    place: str, count: int, training_files: LabelledTiles, training_pictures: Descriptors
) -> None:
    """Neither the same file nor the same picture as a whole, also mirrored, turned, resized or saved again."""
    files = list_files(place)
    assert (len(files), len(training_files)) == (count, 12_057)
    assert not hash_files(files) & hash_files(training_files)
    found = find_duplicates(compute_descriptors(files), training_pictures)
    assert not [url for url, is_copy in zip(files.urls, found, strict=True) if is_copy]


def test_the_search_finds_a_planted_file(
    tmp_path: Path, training_files: LabelledTiles, training_pictures: Descriptors
) -> None:
    """Every thousandth file of the training, mirrored, half as large and saved again, is found; the test can fail."""
    for number, url in enumerate(training_files.urls[::1000]):
        mirrored = Image.fromarray(decode(storage.read_bytes(url)).pixels[:, ::-1])
        mirrored.reduce(2).save(tmp_path / f"{number}.jpg", quality=75)
    assert find_duplicates(compute_descriptors(list_files(str(tmp_path))), training_pictures).all()


@pytest.mark.soak
def test_no_tile_to_measure_on_is_in_the_training_of_the_shipped_model() -> None:
    """No tile of any size shows the same as any of the 58,619 of the training: two minutes."""
    training, held_out = read_labelled_tiles(SOURCES), read_labelled_tiles((*EVAL_ONLY, VALIDATION))
    assert len(training) == 58_619
    found = find_duplicates(compute_descriptors(held_out), compute_descriptors(training))
    assert not [name for name, is_copy in zip(held_out.names, found, strict=True) if is_copy]


def test_the_comparison_finds_a_planted_copy(tiles: LabelledTiles, descriptors: Descriptors) -> None:
    """A tile and its mirrored copy are the same picture, so the tests above can fail."""
    first = descriptors[:1]
    mirrored = np.ascontiguousarray(first.reshape(1, SIDE, SIDE)[:, :, ::-1]).reshape(1, -1)
    assert max_similarity(first, mirrored) > SAME_PICTURE
    assert len(descriptors) == len(tiles)
