"""Widths of cracks of which the width is known: drawn as a camera would see them, and gauged ones."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from pipeline.measurement.width import DARK, measure_profiles, profile_width_px

GAUGED = Path(__file__).parents[3] / "shared/data/width_profiles"
FINE = 20
"""Samples to a pixel."""


def _draw(width_px: float, blur_px: float = 0.6, dark: float = DARK, shift_px: float = 0.0) -> NDArray[np.float64]:
    """Draw the profile of a crack with sharp edges through a camera with a Gaussian blur."""
    places = (np.arange(41 * FINE) + 0.5) / FINE - 0.5 - 20 - shift_px
    grey = np.where(np.abs(places) < width_px / 2, dark, 140.0)
    profile: NDArray[np.float64] = gaussian_filter1d(grey, blur_px * FINE).reshape(41, FINE).mean(axis=1)
    return profile


@given(width_px=st.floats(0.5, 15), shift_px=st.floats(-3, 3), blur_px=st.floats(0.4, 0.8))
def test_a_dark_crack_is_as_wide_as_it_was_drawn(width_px: float, shift_px: float, blur_px: float) -> None:
    """To a third of a pixel, wherever between pixels it lies."""
    found = measure_profiles(_draw(width_px, blur_px, shift_px=shift_px)[None])
    assert found.width_px == pytest.approx(width_px, abs=0.34)
    assert found.offset_px == pytest.approx(shift_px, abs=0.3)
    assert not found.is_blurred


@given(width_px=st.floats(5, 15), dark=st.floats(20, 100), light=st.floats(0.5, 1.5))
def test_the_width_of_a_wide_crack_does_not_depend_on_its_darkness(width_px: float, dark: float, light: float) -> None:
    """Its edges tell."""
    profile = _draw(width_px, dark=dark) * light
    assert profile_width_px(profile) == pytest.approx(width_px, abs=0.5)


@given(width_px=st.floats(0.5, 12), shift_px=st.floats(-3, 3))
def test_a_mirrored_profile_has_the_same_width(width_px: float, shift_px: float) -> None:
    """A crack has no direction across."""
    profile = _draw(width_px, shift_px=shift_px)
    assert profile_width_px(profile[::-1]) == pytest.approx(profile_width_px(profile), abs=0.02)


@pytest.mark.parametrize(
    ("profile", "why"),
    [
        (np.full(33, 140.0), "flat"),
        (np.where(np.arange(33) == 16, 255.0, 140.0), "only bright"),
        (_draw(3)[17:24], "too short"),
        (np.where(np.arange(33) == 5, np.nan, _draw(3)[:33]), "unknown values"),
        (_draw(3) / 140 * 25, "as dark as a crack all over"),
        (np.tile(_draw(3)[:33], (3, 1)), "a picture"),
    ],
)
def test_what_cannot_be_measured_is_none(profile: NDArray[np.float64], why: str) -> None:
    """Not zero, and no error."""
    assert profile_width_px(profile) is None, why


def test_a_crack_out_of_focus_is_told() -> None:
    """Its profile has a blur's shape; that of a sharp crack as wide at half depth has edges."""
    found = measure_profiles(np.stack([_draw(2, blur_px=2.5), _draw(6)]))
    assert found.edges_px == pytest.approx(6, abs=0.5)
    assert found.is_blurred.tolist() == [True, False]


@pytest.mark.skipif(not GAUGED.is_dir(), reason="the gauged profiles are not part of the project")
def test_gauged_cracks_are_as_wide_as_the_gauge_says() -> None:
    """231 profiles across real cracks (Benz & Rodehorst 2021): mean errors, and the share within 0.1 mm."""
    rows = [_read(path) for path in sorted(GAUGED.rglob("*.csv"))]
    true, mm_per_px = np.array([row[1:] for row in rows]).T
    errors = np.abs([profile_width_px(row[0]) or np.inf for row in rows] - true)
    assert len(rows) == 231
    assert errors.mean() <= 0.33
    assert errors[true <= 2].mean() <= 0.26
    assert errors[true > 2].mean() <= 0.37
    assert (errors * mm_per_px <= 0.1).mean() >= 0.93


def _read(path: Path) -> tuple[NDArray[np.float64], float, float]:
    """Return the grey values, the width in pixels and the millimetres of a pixel."""
    names, values, _, grey = path.read_text().splitlines()[:4]
    facts = dict(zip(map(str.strip, names.split(",")), map(float, values.split(",")), strict=True))
    profile = np.array([float(text) for text in grey.split(",") if text.strip()])
    return profile, facts["width_m"] / facts["mean_res"], facts["mean_res"]
