"""Lines of drawn shapes whose lengths are known."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.measurement.lines import Line, LineRule, measure_length, trace_lines

RULE = LineRule(spur_px=8, gap_px=12, gap_angle_deg=30)
Mask = NDArray[np.bool_]


def _draw(*segments: tuple[float, float, float, float], thick_px: float = 3.0, size: int = 200) -> Mask:
    """Draw segments from row, column to row, column with round ends."""
    places = np.moveaxis(np.mgrid[:size, :size], 0, -1) + 0.5
    mask = np.zeros((size, size), bool)
    for row, col, to_row, to_col in segments:
        start, along = np.array([row, col]), np.array([to_row - row, to_col - col])
        share = np.clip(((places - start) @ along) / max(along @ along, 1e-9), 0, 1)
        mask |= np.hypot(*np.moveaxis(places - start - share[..., None] * along, -1, 0)) <= thick_px / 2
    return mask


def _lengths(cracks: list[list[Line]]) -> list[list[float]]:
    return [[measure_length(line) for line in lines] for lines in cracks]


@given(angle=st.floats(0, 2 * np.pi), length=st.floats(40, 90), thick_px=st.floats(1.5, 7))
def test_a_straight_line_is_one_line(angle: float, length: float, thick_px: float) -> None:
    """Thinning takes a few pixels of either end, and the steps of pixels add up to a twelfth."""
    down, right = np.sin(angle) * length, np.cos(angle) * length
    (lines,) = trace_lines(_draw((100, 100, 100 + down, 100 + right), thick_px=thick_px), RULE)
    assert len(lines) == 1
    assert length - thick_px - 3 <= measure_length(lines[0]) <= 1.09 * length + thick_px


def test_a_branch_counts_once() -> None:
    """Of a T, the bar is the longest path; the stem begins on it, and no length is there twice."""
    ((bar, stem),) = _lengths(trace_lines(_draw((50, 40, 50, 160), (50, 100, 110, 100)), RULE))
    assert bar == pytest.approx(120, abs=4)
    assert stem == pytest.approx(60, abs=4)


def test_short_spurs_are_left_out() -> None:
    """A bump of six pixels on a crack is no branch."""
    ((line,),) = _lengths(trace_lines(_draw((50, 40, 50, 160), (50, 100, 56, 100)), RULE))
    assert line == pytest.approx(120, abs=4)


def test_a_ring_is_followed_all_around() -> None:
    """But for pieces shorter than a spur where the paths meet."""
    corners = [(60, 60), (60, 140), (140, 140), (140, 60), (60, 60)]
    mask = _draw(*[(*first, *second) for first, second in pairwise(corners)])
    (lengths,) = _lengths(trace_lines(mask, RULE))
    assert 320 - 2 * RULE.spur_px <= sum(lengths) <= 326


@pytest.mark.parametrize(
    ("second", "cracks"),
    [
        ((100, 108, 100, 160), 1),  # ahead, over a gap of eight less the round ends
        ((100, 116, 100, 160), 2),  # too far
        ((103, 109, 115, 160), 1),  # nearly ahead
        ((104, 104, 160, 104), 2),  # around a corner
        ((109, 40, 109, 100), 2),  # beside it
    ],
)
def test_ends_are_joined_where_they_point_at_each_other(second: tuple[float, float, float, float], cracks: int) -> None:
    """The gap is part of the crack's length."""
    found = _lengths(trace_lines(_draw((100, 40, 100, 100), second), RULE))
    assert len(found) == cracks
    if second == (100, 108, 100, 160):
        assert sum(found[0]) == pytest.approx(120, abs=4)


def test_nothing_has_no_lines() -> None:
    """And a dot has a line without length."""
    assert trace_lines(np.zeros((20, 30), bool), RULE) == []
    assert _lengths(trace_lines(_draw((50.5, 50.5, 50.5, 50.5), thick_px=1), RULE)) == [[0]]


@given(st.integers(0, 2**32 - 1))
def test_lines_stay_within_their_places(seed: int) -> None:
    """Whatever the places are, every piece has a line, and only bridges over gaps leave them."""
    random = np.random.default_rng(seed)
    mask = random.random((24, 30)) < random.uniform(0.05, 0.6)
    for lines in trace_lines(mask, LineRule(spur_px=3, gap_px=0, gap_angle_deg=0)):
        rows, cols = np.concatenate(lines).astype(int).T
        assert mask[rows, cols].all()
