"""Lines in boxes: laws of clipping and of thinning."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.wkt import Line
from pipeline.labels.boxes import Box
from pipeline.review.crack_lines import clip, thin

BOX = Box(top_px=10, left_px=20, height_px=30, width_px=40)
points = st.lists(st.tuples(st.integers(-20, 90), st.integers(-20, 90)), min_size=2, max_size=8)


def line_of(*places: tuple[float, float]) -> Line:
    """A line through these points, x before y."""
    return np.array(places, np.float64)


def length(line: Line) -> float:
    """Its length in pixels."""
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


@given(points)
def test_parts_lie_in_the_box_and_on_the_line(places: list[tuple[int, int]]) -> None:
    """As long together as what of a finely cut line lies in the box."""
    line = line_of(*places)
    parts = clip(line, BOX)
    for part in parts:
        assert (part >= (20 - 1e-9, 10 - 1e-9)).all()
        assert (part <= (60 + 1e-9, 40 + 1e-9)).all()
    shares = (np.arange(2000) + 0.5) / 2000
    inside = 0.0
    for start, end in pairwise(line):
        fine = start + shares[:, None] * (end - start)
        share = ((fine >= (20, 10)) & (fine < (60, 40))).all(axis=1).mean()
        inside += share * np.hypot(*(end - start))
    assert abs(sum(map(length, parts)) - inside) < 0.2


def test_a_line_that_leaves_and_comes_back_is_two() -> None:
    """By hand: out at the right edge, in again lower."""
    parts = clip(line_of((50, 20), (70, 20), (70, 30), (50, 30)), BOX)
    assert [part.tolist() for part in parts] == [[[50, 20], [60, 20]], [[60, 30], [50, 30]]]


def test_a_line_within_stays_one() -> None:
    """With all its points."""
    line = line_of((25, 15), (30, 20), (30, 35))
    [part] = clip(line, BOX)
    assert part.tolist() == line.tolist()


def test_what_only_touches_the_box_has_no_part_in_it() -> None:
    """At a corner, along the right or lower edge, which belong to the next tile; a line of one point is none."""
    for places in (((10, 20), (30, 0)), ((60, 10), (60, 40)), ((20, 40), (60, 40)), ((30, 30),)):
        assert clip(line_of(*places), BOX) == []
    assert len(clip(line_of((20, 10), (20, 40)), BOX)) == 1


@given(points, st.floats(0.5, 30))
def test_thinning_keeps_the_ends_and_the_way(places: list[tuple[int, int]], least_px: float) -> None:
    """Points come from the line, in its order, and what is dropped is nearer to one that stays than the step."""
    line = line_of(*places)
    thinned = thin(line, least_px)
    assert (thinned[[0, -1]] == line[[0, -1]]).all()
    assert len(thinned) <= len(line)
    for point in line:
        assert np.hypot(*(thinned - point).T).min() < max(least_px, 1e-9) or point.tolist() in thinned.tolist()
