"""Batches: every tile in its turn, the same for any number of workers, and pixels with their indices."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.batches import CACHE_BYTES, Share, TileReader, epoch_order, in_batches
from pipeline.errors import UsageError


@settings(deadline=None)  # a busy machine is slow, not wrong
@given(tiles=st.integers(1, 60), epoch_tiles=st.integers(1, 60), seed=st.integers(0, 99))
def test_every_tile_comes_before_any_comes_again(tiles: int, epoch_tiles: int, seed: int) -> None:
    """However long an epoch is, the epochs together walk through all tiles in turn."""
    epochs = -(-3 * tiles // epoch_tiles)
    walk = np.concatenate([epoch_order(tiles, epoch_tiles, seed, epoch) for epoch in range(epochs)])
    for turn in range(3):
        assert sorted(walk[turn * tiles : (turn + 1) * tiles]) == list(range(tiles))


def test_another_seed_is_another_order() -> None:
    """The order is the seed's."""
    assert np.array_equal(epoch_order(50, 50, 1, 0), epoch_order(50, 50, 1, 0))
    assert not np.array_equal(epoch_order(50, 50, 1, 0), epoch_order(50, 50, 2, 0))
    assert not np.array_equal(epoch_order(50, 50, 1, 0), epoch_order(50, 50, 1, 1))


@settings(deadline=None)  # a busy machine is slow, not wrong
@given(tiles=st.integers(1, 60), batch_size=st.integers(1, 20), workers=st.integers(1, 5))
def test_workers_share_every_batch(tiles: int, batch_size: int, workers: int) -> None:
    """The parts of all workers are the batch, and no two parts differ by more than one tile."""
    for batch in in_batches(np.arange(tiles), batch_size):
        parts = [Share(rank, workers).take(batch) for rank in range(workers)]
        assert sorted(np.concatenate(parts)) == sorted(batch)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def flat_tiles(folder: Path, count: int) -> list[str]:
    """Write tiles whose every pixel is ten times their number."""
    for number in range(count):
        Image.new("RGB", (8, 8), (number * 10,) * 3).save(folder / f"{number}.png")
    return [f"file://{folder}/{number}.png" for number in range(count)]


def test_pixels_come_with_their_indices(tmp_path: Path) -> None:
    """Each batch holds the pixels of its own tiles, in the plan's order, twice over where it is read twice."""
    reader = TileReader(flat_tiles(tmp_path, 5), threads=2)
    plan = [np.array([3, 1]), np.array([4])]
    for _ in range(2):
        found = [
            (indices.tolist(), pixels[:, 0, 0, 0].tolist()) for indices, pixels in reader.batches(plan, lambda p, _: p)
        ]
        assert found == [([3, 1], [30, 10]), ([4], [40])]


def test_the_second_epoch_reads_from_memory(tmp_path: Path) -> None:
    """Files that were read once are kept: an epoch goes on without them."""
    urls = flat_tiles(tmp_path, 2)
    reader, plan = TileReader(urls), [np.array([0, 1])]
    first = [pixels for _, pixels in reader.batches(plan, lambda p, _: p)]
    for path in tmp_path.iterdir():
        path.unlink()
    assert np.array_equal(first, [pixels for _, pixels in reader.batches(plan, lambda p, _: p)])
    assert reader._cached_bytes < CACHE_BYTES


def test_no_batches_are_no_pixels(tmp_path: Path) -> None:
    """A worker without validation tiles of its own has nothing to read."""
    assert list(TileReader(flat_tiles(tmp_path, 1)).batches([], lambda p, _: p)) == []


def test_a_damaged_tile_is_named(tmp_path: Path) -> None:
    """Training stops with the tile's address, not with a traceback from a decoder."""
    (tmp_path / "bad.jpg").write_bytes(b"no jpeg")
    with pytest.raises(
        UsageError, match=r"^The tile file://.*/bad.jpg cannot be read: No photo in .* Remove or replace"
    ):
        list(TileReader([f"file://{tmp_path}/bad.jpg"]).batches([np.array([0])], lambda p, _: p))
