"""Synthetic tiles have the right labels, are balanced, and are split by wall."""

import csv
import io
from collections import Counter
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.synthetic.config import SampleConfig
from pipeline.synthetic.drawing import Drawing
from pipeline.synthetic.tiles import choose_boxes, count_splits, label_box, write_tiles


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 60 tiles of 64 px."""
    folder = tmp_path_factory.mktemp("sample") / "tiles"
    write_tiles(SampleConfig(folder.parent, tiles=60, tile_px=64), folder, lambda: None)
    return folder


def _rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "manifest.csv").read_text())))


def test_the_manifest_names_every_tile(written: Path) -> None:
    """The manifest lists exactly the tiles, by their path below it, with label and split of the folder."""
    rows = _rows(written)
    assert sorted(row["file"] for row in rows) == sorted(
        path.relative_to(written).as_posix() for path in written.rglob("*.jpg")
    )
    assert all(row["file"].startswith(f"{row['split']}/{row['label']}/synthetic-") for row in rows)


def test_four_in_five_tiles_are_for_training_and_half_are_cracked(written: Path) -> None:
    """Both splits hold as many cracked as sound tiles."""
    counts = Counter((row["split"], row["label"]) for row in _rows(written))
    assert counts == {
        ("train", "Positive"): 24,
        ("train", "Negative"): 24,
        ("val", "Positive"): 6,
        ("val", "Negative"): 6,
    }


def test_no_wall_is_in_both_splits(written: Path) -> None:
    """Each group belongs to one split, and there are at least 15 groups."""
    splits: dict[str, set[str]] = {}
    for row in _rows(written):
        splits.setdefault(row["group"], set()).add(row["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert len(splits) >= 15


def test_every_tile_has_the_requested_size(written: Path) -> None:
    """Tiles are square JPEGs that say they are synthetic."""
    for path in written.rglob("*.jpg"):
        with Image.open(path) as tile:
            assert tile.size == (64, 64)
            assert str(tile.getexif()[0x010E]).startswith("SYNTHETIC")


def test_progress_counts_every_tile(tmp_path: Path) -> None:
    """`write_tiles` calls back once for each tile."""
    on_tile = Mock()
    write_tiles(SampleConfig(tmp_path, tiles=7, tile_px=64), tmp_path / "tiles", on_tile)
    assert on_tile.call_count == 7


@given(tiles=st.integers(0, 10_000))
def test_no_tile_is_lost_between_the_splits(tiles: int) -> None:
    """Training and validation tiles add up, and a fifth is for validation."""
    counts = count_splits(tiles)
    assert counts["train"] + counts["val"] == tiles
    assert abs(counts["val"] - tiles / 5) <= 0.5


def _wall(mask: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> Drawing:
    return Drawing(np.zeros((*mask.shape, 3), np.uint8), mask, 1.0)


def test_labels_follow_the_rule() -> None:
    """A crack through the middle is Positive, one at the edge is neither, no crack is Negative."""
    mask = np.zeros((160, 160), np.bool_)
    mask[80, :] = True
    labels = [label_box(_wall(mask), 64, top_px, 10) for top_px in (50, 80, 90)]
    assert [box.label if box else None for box in labels] == ["Positive", None, "Negative"]


@given(row=st.integers(0, 159), seed=st.integers(0, 100))
def test_boxes_are_on_the_wall_and_keep_their_distance(row: int, seed: int) -> None:
    """No box leaves its wall; boxes of one label are at least half a tile apart; none exceeds its quota."""
    mask = np.zeros((160, 160), np.bool_)
    mask[row, :] = True
    boxes = choose_boxes(_wall(mask), 64, np.random.default_rng(seed), {"Positive": 3, "Negative": 5})
    assert all(0 <= px <= 160 - 64 for box in boxes for px in (box.top_px, box.left_px))
    for number, box in enumerate(boxes):
        for other in boxes[:number]:
            apart_px = max(abs(box.top_px - other.top_px), abs(box.left_px - other.left_px))
            assert box.label != other.label or apart_px >= 32
    counts = Counter(box.label for box in boxes)
    assert counts["Positive"] <= 3
    assert counts["Negative"] <= 1
