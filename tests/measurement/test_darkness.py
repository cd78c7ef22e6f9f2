"""Darkness along a line: 0 where there is none, whatever the light; and the widths of what is dark."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measurement.darkness import Grey, measure_darkness, measure_widths

NEAR_PX = 5.0


def draw(level: float = 140.0, depth: float = 0.0, offset_px: float = 0.0) -> Grey:
    """Draw grainy concrete of 120 x 200 pixels, with a crack 5 px wide along its middle row.

    Args:
        level: grey value.
        depth: how dark the crack is, from 0 to 1, which is a grey value of 20.
        offset_px: how far below the middle row it lies.
    """
    grain = np.random.default_rng(4).normal(0, 3, (120, 200))
    rows = np.arange(120)[:, None] + 0.5
    cover = np.clip(3.0 - np.abs(rows - 60 - offset_px), 0, 1)
    grey: Grey = np.clip(np.rint((level + grain) * (1 - depth * cover) + 20 * depth * cover), 0, 255).astype(np.uint8)
    return grey


ALONG = np.stack([np.arange(20.0, 180.0, 2.0), np.full(80, 60.0)], axis=1)
RIGHT = np.tile([1.0, 0.0], (80, 1))


@given(st.floats(60, 220), st.floats(0.1, 1), st.floats(-4, 4))
def test_darkness_is_that_of_the_crack(level: float, depth: float, offset_px: float) -> None:
    """In any light, as far from the line as two lines of one crack may be; about 0 without a crack."""
    assert measure_darkness(draw(level, depth, offset_px), ALONG, RIGHT, NEAR_PX) == pytest.approx(depth, abs=0.06)
    assert measure_darkness(draw(level), ALONG, RIGHT, NEAR_PX) == pytest.approx(0, abs=0.03)


def test_a_crack_beside_the_line_is_none_of_it() -> None:
    """Twenty pixels away."""
    assert measure_darkness(draw(depth=1, offset_px=20), ALONG, RIGHT, NEAR_PX) < 0.05


def test_widths_are_measured_at_each_place() -> None:
    """None where nothing is dark."""
    assert np.nanmedian(measure_widths(draw(depth=1), ALONG, RIGHT)) == pytest.approx(5, abs=0.3)
    assert measure_widths(np.full((120, 200), 140, np.uint8), ALONG, RIGHT) == pytest.approx(
        np.full(80, np.nan), nan_ok=True
    )
