"""Batches: their shares for any number of workers, and pixels with their indices."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.core.errors import UsageError
from pipeline.labels.boxes import Box
from pipeline.labels.labelled_tiles import read_labelled_tiles
from pipeline.training.crack_targets import CRACK, SOUND
from pipeline.training.data_loader import CACHE_BYTES, Share, TileReader, TrainingPictures, split_into_batches
from pipeline.training.sampler import build_uniform_pool


@settings(deadline=None)  # a busy machine is slow, not wrong
@given(tiles=st.integers(1, 60), batch_size=st.integers(1, 20), workers=st.integers(1, 5))
def test_workers_share_every_batch(tiles: int, batch_size: int, workers: int) -> None:
    """The parts of all workers make up the batch, and no two parts differ by more than one tile."""
    for batch in split_into_batches(np.arange(tiles), batch_size):
        parts = [Share(rank, workers).take(batch) for rank in range(workers)]
        assert sorted(np.concatenate(parts)) == sorted(batch)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def flat_tiles(folder: Path, count: int) -> list[str]:
    """Write tiles whose every pixel is ten times their number."""
    for number in range(count):
        Image.new("RGB", (8, 8), (number * 10,) * 3).save(folder / f"{number}.png")
    return [f"file://{folder}/{number}.png" for number in range(count)]


def test_pixels_come_with_their_indices(tmp_path: Path) -> None:
    """Each batch holds the pixels of its own tiles, in the order of the plan, also at a second reading."""
    reader = TileReader(flat_tiles(tmp_path, 5), threads=2)
    plan = [np.array([3, 1]), np.array([4])]
    for _ in range(2):
        found = [
            (indices.tolist(), pixels[:, 0, 0, 0].tolist()) for indices, pixels in reader.batches(plan, lambda p, *_: p)
        ]
        assert found == [([3, 1], [30, 10]), ([4], [40])]


def test_the_second_epoch_reads_from_memory(tmp_path: Path) -> None:
    """A second epoch does not read the files again."""
    urls = flat_tiles(tmp_path, 2)
    reader, plan = TileReader(urls), [np.array([0, 1])]
    first = [pixels for _, pixels in reader.batches(plan, lambda p, *_: p)]
    for path in tmp_path.iterdir():
        path.unlink()
    assert np.array_equal(first, [pixels for _, pixels in reader.batches(plan, lambda p, *_: p)])
    assert reader.cached_bytes < CACHE_BYTES


def test_no_batches_are_no_pixels(tmp_path: Path) -> None:
    """A plan without batches yields none: a worker may have no validation tiles."""
    assert list(TileReader(flat_tiles(tmp_path, 1)).batches([], lambda p, *_: p)) == []


def test_a_damaged_tile_is_named(tmp_path: Path) -> None:
    """A tile that cannot be decoded raises UsageError, which names it."""
    (tmp_path / "bad.jpg").write_bytes(b"no jpeg")
    with pytest.raises(
        UsageError, match=r"^The tile file://.*/bad.jpg cannot be read: No photo in .* Remove or replace"
    ):
        list(TileReader([f"file://{tmp_path}/bad.jpg"]).batches([np.array([0])], lambda p, *_: p))


def test_boxes_are_cut_out(tmp_path: Path) -> None:
    """Tiles of one photo are parts of it, and the cache keeps the photo once."""
    pixels = np.arange(10 * 20, dtype=np.uint8).reshape(10, 20)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    url = f"file://{tmp_path}/photo.png"
    reader = TileReader([url] * 2, [Box(0, 0, 4, 4), Box(6, 10, 4, 4)])
    ((_, found),) = reader.batches([np.array([1, 0])], lambda p, *_: p)
    assert np.array_equal(found[:, :, :, 0], [pixels[6:, 10:14], pixels[:4, :4]])
    assert reader.cached_bytes == (tmp_path / "photo.png").stat().st_size


def test_a_box_over_the_edge_is_named(tmp_path: Path) -> None:
    """A box that reaches over the edge raises UsageError, which names it; it never gives a smaller tile."""
    reader = TileReader(flat_tiles(tmp_path, 1), [Box(5, 0, 4, 4)])
    with pytest.raises(
        UsageError, match=r"0\.png#xywh=0,5,4,4 cannot be read: The photo is 8 pixels high and 8 wide; "
    ):
        list(reader.batches([np.array([0])], lambda p, *_: p))


def test_masks_reach_the_pictures(tmp_path: Path) -> None:
    """Of a folder with masks, each picture of an epoch knows where its crack is; of sound boxes, that there is none."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    pixels, crack = np.full((224, 224, 3), 180, np.uint8), np.zeros((224, 224), np.bool_)
    crack[50:54, :200] = True
    pixels[crack] = 20
    Image.fromarray(pixels).save(tmp_path / "images" / "a.png")
    Image.fromarray(crack).save(tmp_path / "masks" / "a.png")
    tiles = read_labelled_tiles([str(tmp_path)])
    pool = build_uniform_pool(tiles)
    pictures = TrainingPictures(pool, 112, "none", seed=0)
    for indices, batch in pictures.batches([np.arange(len(tiles))], epoch=0):
        assert np.array_equal(batch.labels == 1, tiles.labels[indices])
        assert np.array_equal((batch.targets == CRACK).any(axis=(1, 2)), tiles.labels[indices])
        assert (batch.pixels[batch.targets == SOUND] > 140).all()
        assert np.quantile(batch.pixels[batch.targets == CRACK], 0.25) < 60, "its edge is half dark"
