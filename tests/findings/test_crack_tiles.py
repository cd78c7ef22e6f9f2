"""Lines against boxes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.findings.crack_tiles import length_inside_px, runs_through
from pipeline.images.tiles import TileSpec, grid
from pipeline.labels.boxes import Box

POINTS = st.lists(st.tuples(st.floats(0, 99), st.floats(0, 99)), min_size=2, max_size=6)


def line(*points: tuple[float, float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """A line through points x, y."""
    return np.array(points, np.float64)


@pytest.mark.parametrize(
    ("points", "length_px"),
    [
        (((0, 5), (20, 5)), 10),
        (((5, -9), (5, 3)), 3),
        (((2, 2), (5, 6)), 5),
        (((-5, 5), (5, -5)), 0),
        (((0, 20), (20, 20)), 0),
        (((-5, 5), (5, 5), (5, 15)), 10),
        (((3, 3), (3, 3)), 0),
    ],
)
def test_the_length_in_a_box(points: tuple[tuple[float, float], ...], length_px: float) -> None:
    """Through it, into it, within it, past its corner, beside it, around a bend, and a point."""
    assert length_inside_px([line(*points)], Box(0, 0, 10, 10)) == pytest.approx(length_px)


@given(points=POINTS)
def test_tiles_without_overlap_share_a_line(points: list[tuple[float, float]]) -> None:
    """The lengths in all tiles add up to the length of the line, but for pieces along edges, which are in two."""
    moved = line(*points) + 0.123456
    whole = float(np.hypot(*np.diff(moved, axis=0).T).sum())
    boxes = [Box(tile.top_px, tile.left_px, tile.height_px, tile.width_px) for tile in grid(100, 100, TileSpec(25, 0))]
    assert sum(length_inside_px([moved], box) for box in boxes) == pytest.approx(whole, abs=1e-6)


def test_a_point_runs_through_the_box_that_it_is_in() -> None:
    """A crack may be so short that its line is a point."""
    assert runs_through([line((3, 3))], Box(0, 0, 10, 10))
    assert not runs_through([line((10, 3))], Box(0, 0, 10, 10))
    assert runs_through([line((-5, 5), (15, 5))], Box(0, 0, 10, 10))
    assert not runs_through([], Box(0, 0, 10, 10))
