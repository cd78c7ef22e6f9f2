"""Sound concrete can be painted at any size, and its marks lie where they should."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.synthetic.concrete import SMALL, _line, _ridge, paint


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), height_px=st.integers(64, 260), width_px=st.integers(64, 260))
def test_every_layer_fits_the_photo(seed: int, height_px: int, width_px: int) -> None:
    """Whatever the size and marks, shapes agree and no brightness is negative or wild."""
    surface = paint(height_px, width_px, np.random.default_rng(seed), busy=1.0)
    assert surface.relief.shape == surface.shade.shape == (height_px, width_px)
    assert surface.small_shape == (-(-height_px // SMALL), -(-width_px // SMALL))
    assert {layer.dtype for layer in (surface.relief, surface.shade, surface.colour)} == {np.dtype(np.float32)}
    assert surface.shade.min() >= 0
    assert surface.shade.max() < 2
    assert surface.colour.min() >= 0
    assert surface.colour.max() < 2


def test_concrete_is_grey() -> None:
    """Without marks, red, green and blue differ by little, on average over many surfaces."""
    colours = [paint(64, 64, np.random.default_rng(seed), busy=0).colour.mean(axis=(1, 2)) for seed in range(20)]
    assert np.ptp(np.mean(colours, axis=0)) < 0.03


def test_a_line_goes_where_it_is_told() -> None:
    """The darkest pixel of each row lies where the line is."""
    field = np.ones((80, 100), np.float32)
    expected = 30 + 0.25 * np.arange(80)
    _line(field, expected, _ridge(3.0, dark=0.5, bright=0.0))
    assert np.abs(field.argmin(axis=1) - expected).max() <= 1.5
    assert field.min() < 0.55


def test_a_line_outside_changes_nothing() -> None:
    """A line that misses the photo leaves it as it was."""
    field = np.ones((20, 20), np.float32)
    _line(field, np.full(20, -50.0), _ridge(2.0, dark=0.5, bright=0.1))
    assert (field == 1).all()
