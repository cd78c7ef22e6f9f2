"""Labelled tiles are labelled right, balanced, and split by wall."""

import csv
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.synthetic.config import SampleConfig
from pipeline.synthetic.drawing import Drawing
from pipeline.synthetic.tiles import _boxes, _labelled, split_counts, write_tiles


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 60 tiles of 64 px."""
    folder = tmp_path_factory.mktemp("sample") / "tiles"
    write_tiles(SampleConfig(folder.parent, tiles=60, tile_px=64), folder, lambda: None)
    return folder


def _rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "manifest.csv").read_text())))


def test_the_manifest_names_every_tile(written: Path) -> None:
    """The manifest lists exactly the files there are, by their path below it, with the folder's label and split."""
    rows = _rows(written)
    assert sorted(row["file"] for row in rows) == sorted(
        path.relative_to(written).as_posix() for path in written.rglob("*.jpg")
    )
    assert all(row["file"].startswith(f"{row['split']}/{row['label']}/synthetic-") for row in rows)


def test_four_in_five_tiles_are_for_training_and_half_are_cracked(written: Path) -> None:
    """Both splits are balanced."""
    counts = Counter((row["split"], row["label"]) for row in _rows(written))
    assert counts == {
        ("train", "Positive"): 24,
        ("train", "Negative"): 24,
        ("val", "Positive"): 6,
        ("val", "Negative"): 6,
    }


def test_no_wall_stands_on_both_sides(written: Path) -> None:
    """A group belongs to one split, and there are several in each."""
    splits: dict[str, set[str]] = {}
    for row in _rows(written):
        splits.setdefault(row["group"], set()).add(row["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert len(splits) >= 15


def test_every_tile_has_the_size_asked_for(written: Path) -> None:
    """Tiles are square JPEGs that say they are synthetic."""
    for path in written.rglob("*.jpg"):
        with Image.open(path) as tile:
            assert tile.size == (64, 64)
            assert str(tile.getexif()[0x010E]).startswith("SYNTHETIC")


def test_every_tile_is_announced(tmp_path: Path) -> None:
    """Progress counts each tile once."""
    seen: list[int] = []
    announce: Callable[[], None] = lambda: seen.append(1)  # noqa: E731 - a typed lambda is the shortest counter
    write_tiles(SampleConfig(tmp_path, tiles=7, tile_px=64), tmp_path / "tiles", announce)
    assert len(seen) == 7


@given(tiles=st.integers(0, 10_000))
def test_no_tile_is_lost_between_the_splits(tiles: int) -> None:
    """Train and val add up."""
    counts = split_counts(tiles)
    assert counts["train"] + counts["val"] == tiles
    assert abs(counts["val"] - tiles / 5) <= 0.5


def _wall(mask: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> Drawing:
    return Drawing(np.zeros((*mask.shape, 3), np.uint8), mask, 1.0)


def test_labels_follow_the_rule() -> None:
    """A crack through the middle is Positive, one pixel at the edge is neither, none at all is Negative."""
    mask = np.zeros((160, 160), np.bool_)
    mask[80, :] = True
    labels = [_labelled(_wall(mask), 64, top_px, 10) for top_px in (50, 80, 90)]
    assert [box.label if box else None for box in labels] == ["Positive", None, "Negative"]


@given(row=st.integers(0, 159), seed=st.integers(0, 100))
def test_boxes_lie_on_the_wall_and_keep_their_distance(row: int, seed: int) -> None:
    """No tile leaves its wall; tiles of one label are at least half a tile apart; quotas are kept."""
    mask = np.zeros((160, 160), np.bool_)
    mask[row, :] = True
    boxes = _boxes(_wall(mask), 64, np.random.default_rng(seed), {"Positive": 3, "Negative": 5})
    assert all(0 <= px <= 160 - 64 for box in boxes for px in (box.top_px, box.left_px))
    for number, box in enumerate(boxes):
        for other in boxes[:number]:
            apart_px = max(abs(box.top_px - other.top_px), abs(box.left_px - other.left_px))
            assert box.label != other.label or apart_px >= 32
    counts = Counter(box.label for box in boxes)
    assert counts["Positive"] <= 3
    assert counts["Negative"] <= 1
