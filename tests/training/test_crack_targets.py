"""Targets keep thin cracks at any size, and say where nobody knows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.crack_targets import (
    BORDER_PX,
    CRACK,
    SOUND,
    UNKNOWN,
    from_mask,
    resize_target,
    tile_label,
    without_mask,
)


def line(side_px: int, row: int) -> np.ndarray:
    """Return a mask with a crack of one pixel across."""
    crack = np.zeros((side_px, side_px), np.bool_)
    crack[row] = True
    return crack


def test_the_border_of_a_crack_is_unknown() -> None:
    """Two pixels on either side; the crack itself is crack, the rest sound."""
    column = from_mask(line(20, 10))[:, 5].tolist()
    assert column == [SOUND] * 8 + [UNKNOWN] * BORDER_PX + [CRACK] + [UNKNOWN] * BORDER_PX + [SOUND] * 7


@given(row=st.integers(0, 39), height_px=st.integers(4, 120), width_px=st.integers(4, 120))
def test_no_size_loses_a_crack(row: int, height_px: int, width_px: int) -> None:
    """A crack of one pixel crosses the whole picture at any size, in its place."""
    target = resize_target(from_mask(line(40, row)), height_px, width_px)
    assert target.shape == (height_px, width_px)
    rows = np.flatnonzero((target == CRACK).any(axis=1))
    assert (target[rows] == CRACK).all()
    assert len(rows) >= 1
    assert abs(rows.mean() / height_px - row / 40) <= 1 / height_px + 1 / 40


@pytest.mark.parametrize(("shown", "label"), [(0, False), (4, None), (5, True), (20, True)])
def test_a_crack_counts_if_it_crosses_a_quarter(shown: int, label: bool | None) -> None:  # noqa: FBT001 - a table
    """As in the rule by which tiles are cut from masked photos; less is neither cracked nor sound."""
    target = np.zeros((20, 20), np.uint8)
    target[10, :shown] = CRACK
    assert tile_label(target) is label


def test_without_a_mask() -> None:
    """Of a cracked tile nothing is known but its label; a sound one is sound everywhere."""
    assert (without_mask((3, 4, 3), cracked=True) == UNKNOWN).all()
    assert (without_mask((3, 4, 3), cracked=False) == SOUND).all()
    assert tile_label(without_mask((3, 4, 3), cracked=True)) is None
