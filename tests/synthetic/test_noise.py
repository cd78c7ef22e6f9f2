"""Random fields have the shape, mean and standard deviation that drawing relies on."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.synthetic.noise import fractal, wander, zoom


@given(
    height_px=st.integers(1, 90),
    width_px=st.integers(1, 90),
    coarsest_px=st.floats(1, 60),
    stretch=st.floats(0.1, 8),
)
def test_fractal_has_the_requested_shape_and_mean_0(
    height_px: int, width_px: int, coarsest_px: float, stretch: float
) -> None:
    """Any size works, even one pixel, and the mean is 0."""
    field = fractal((height_px, width_px), np.random.default_rng(0), (coarsest_px, 1.0), 0.7, stretch)
    assert field.shape == (height_px, width_px)
    assert field.dtype == np.float32
    assert abs(float(field.mean())) < 1e-3


def test_fractal_has_spread_1() -> None:
    """The standard deviation is 1, whatever the octaves."""
    field = fractal((300, 200), np.random.default_rng(1), (40.0, 1.0))
    assert abs(float(field.std()) - 1) < 1e-3


def test_coarse_noise_is_smoother_than_fine_noise() -> None:
    """Neighbouring pixels differ less if the finest blob is larger."""
    coarse, fine = (fractal((200, 200), np.random.default_rng(2), (64.0, finest_px)) for finest_px in (16.0, 1.0))
    assert np.abs(np.diff(coarse)).mean() < 0.6 * np.abs(np.diff(fine)).mean()


def test_stretched_noise_changes_less_along_a_row() -> None:
    """Blobs eight times wider than high change faster from row to row than from column to column."""
    field = fractal((200, 200), np.random.default_rng(3), (8.0, 2.0), 0.6, stretch=8)
    assert np.abs(np.diff(field, axis=1)).mean() < 0.5 * np.abs(np.diff(field, axis=0)).mean()


def test_same_seed_same_noise() -> None:
    """Only the random generator decides."""
    first, second = (fractal((50, 60), np.random.default_rng(4), (20.0, 1.0)) for _ in range(2))
    assert np.array_equal(first, second)


@given(count=st.integers(1, 500))
def test_wander_has_the_requested_number_of_values(count: int) -> None:
    """A curve may have any length, even shorter than its longest feature."""
    curve = wander(count, np.random.default_rng(0), (300, 5))
    assert curve.shape == (count,)
    assert curve.dtype == np.float32


def test_zoom_keeps_a_constant() -> None:
    """A stretched constant field has the same constant."""
    assert np.allclose(zoom(np.full((3, 4), 7, np.float32), 30, 17), 7)
