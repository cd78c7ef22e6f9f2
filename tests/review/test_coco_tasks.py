"""Outlines of lines, as COCO needs them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.annotations.shapes import LINE_WIDTH_PX
from pipeline.review.coco_tasks import outline

POINTS = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 60)), min_size=1, max_size=12)


@given(POINTS)
def test_an_outline_keeps_to_its_line(points: list[tuple[int, int]]) -> None:
    """Each corner is half a crack's width from its point or nearer, and on the picture, however the line turns."""
    line = np.array(points, np.float64)
    ring = outline(line, (60, 100))
    assert ring.shape == (2 * len(line), 2)
    both = np.concatenate([line, line[::-1]])
    assert (np.hypot(*(ring - both).T) <= LINE_WIDTH_PX / 2 + 0.02).all()
    assert (ring >= 0).all()
    assert (ring <= (100, 60)).all()


def test_the_outline_of_a_straight_line() -> None:
    """A box, three pixels wide."""
    ring = outline(np.array([(10.0, 20.0), (30.0, 20.0)]), (60, 100))
    assert ring.tolist() == [[10, 21.5], [30, 21.5], [30, 18.5], [10, 18.5]]
