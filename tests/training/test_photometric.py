"""Changes of the camera: each moves pixels and keeps the picture, and none changes its size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.training.photometric import FIELD, PLAIN, Camera, photograph

STILL = Camera(exposure=0, gamma=0, white_balance=0, shrunk=0, noise=0, jpeg=0)
"""Changes nothing."""


def ramp() -> np.ndarray:
    """Return a coloured picture that gets brighter from left to right, with fine stripes."""
    grey = np.repeat((np.linspace(60, 180, 64) + 6 * (np.arange(64) % 2))[None, :, None], 64, axis=0)
    coloured: np.ndarray = grey * np.array([1, 0.9, 0.8])
    return coloured.astype(np.uint8)


def test_a_camera_that_changes_nothing_gives_the_picture_back() -> None:
    """A camera with all strengths at zero keeps every pixel."""
    assert np.array_equal(photograph(ramp(), np.random.default_rng(0), STILL), ramp())


@pytest.mark.parametrize(
    "change",
    [
        {"exposure": 0.5}, {"gamma": 0.5}, {"contrast": 0.5}, {"white_balance": 0.2}, {"saturation": 1.0},
        {"grey": 1.0}, {"falloff": 1.0}, {"blurred": 1.0}, {"shrunk": 1.0}, {"sharpened": 1.0}, {"noise": 1.0},
        {"noise": 1.0, "coarse_noise": 1.0}, {"jpeg": 1.0},
    ],
)  # fmt: skip
def test_every_change_moves_pixels_and_keeps_the_picture(change: dict[str, float]) -> None:
    """The changed picture differs, but correlates with the original."""
    changed = photograph(ramp(), np.random.default_rng(5), Camera(**(vars(STILL) | change)))
    assert not np.array_equal(changed, ramp())
    assert np.corrcoef(changed[..., 1].ravel(), ramp()[..., 1].ravel())[0, 1] > 0.9


@settings(deadline=None)  # a busy machine is slow, not wrong
@given(
    height_px=st.integers(1, 70), width_px=st.integers(1, 70), seed=st.integers(0, 2**32),
    camera=st.sampled_from([PLAIN, FIELD]),
)  # fmt: skip
def test_the_size_stays_and_the_original_too(height_px: int, width_px: int, seed: int, camera: Camera) -> None:
    """Any picture, however small, keeps its size, and the original stays as it is."""
    pixels = np.random.default_rng(1).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    before = pixels.copy()
    seen = photograph(pixels, np.random.default_rng(seed), camera)
    assert seen.shape == pixels.shape
    assert seen.dtype == np.uint8
    assert np.array_equal(pixels, before)


def test_grey_is_grey() -> None:
    """A picture without colour has three equal channels."""
    grey = photograph(ramp(), np.random.default_rng(0), Camera(**(vars(STILL) | {"grey": 1.0})))
    assert (grey == grey[..., :1]).all()
