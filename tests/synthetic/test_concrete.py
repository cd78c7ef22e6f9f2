"""Sound concrete of any size has valid layers, and its lines are in the right place."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.synthetic.concrete import COLOUR_SCALE, draw_line, line_profile, paint


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), height_px=st.integers(64, 260), width_px=st.integers(64, 260))
def test_every_layer_fits_the_photo(seed: int, height_px: int, width_px: int) -> None:
    """Whatever the size and marks, shapes agree, and brightness is from 0 to 2."""
    surface = paint(height_px, width_px, np.random.default_rng(seed), mark_probability=1.0)
    assert surface.relief.shape == surface.shade.shape == (height_px, width_px)
    assert surface.canvas_shape == (-(-height_px // COLOUR_SCALE), -(-width_px // COLOUR_SCALE))
    assert {layer.dtype for layer in (surface.relief, surface.shade, surface.colour)} == {np.dtype(np.float32)}
    assert surface.shade.min() >= 0
    assert surface.shade.max() < 2
    assert surface.colour.min() >= 0
    assert surface.colour.max() < 2


def test_concrete_is_grey() -> None:
    """Without marks, red, green and blue differ by less than 0.03, on average over 20 surfaces."""
    colours = [
        paint(64, 64, np.random.default_rng(seed), mark_probability=0).colour.mean(axis=(1, 2)) for seed in range(20)
    ]
    assert np.ptp(np.mean(colours, axis=0)) < 0.03


def test_a_line_follows_its_centre() -> None:
    """The darkest pixel of each row is at most 1.5 px from the centre."""
    field = np.ones((80, 100), np.float32)
    expected = 30 + 0.25 * np.arange(80)
    draw_line(field, expected, line_profile(3.0, dark=0.5, bright=0.0))
    assert np.abs(field.argmin(axis=1) - expected).max() <= 1.5
    assert field.min() < 0.55


def test_a_line_outside_changes_nothing() -> None:
    """A line outside the photo changes no pixel."""
    field = np.ones((20, 20), np.float32)
    draw_line(field, np.full(20, -50.0), line_profile(2.0, dark=0.5, bright=0.1))
    assert (field == 1).all()
