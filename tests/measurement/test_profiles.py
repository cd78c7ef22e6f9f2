"""Profiles of pictures of which every place is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.measurement.profiles import LUMA, are_inside, cut_profiles, find_normals

RIGHT = np.array([[1.0, 0.0], [1.0, 0.0]])
MIDDLES = np.array([[10.5, 15.5], [12.5, 15.5]])
ROWS = np.arange(30, dtype=np.uint8)[:, None].repeat(40, axis=1)
"""Each place is as bright as its row's number. Shape: (30, 40)."""


def _turn(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), np.sin(angle)]])


def test_profiles_go_across_from_right_to_left() -> None:
    """Along a row they are columns; beyond the edge they repeat its pixels."""
    profiles = cut_profiles(ROWS, MIDDLES, RIGHT, 20)
    assert profiles == pytest.approx(np.clip(np.arange(-5.0, 36.0), 0, 29)[None].repeat(2, axis=0))


@given(angle=st.floats(0, 2 * np.pi), x=st.floats(12, 28), y=st.floats(12, 18))
def test_values_lie_between_those_of_pixels(angle: float, x: float, y: float) -> None:
    """A ramp stays a ramp in any direction, and averaging along the line changes nothing in its middle."""
    points, direction = np.array([[x, y]]), _turn(angle)
    expected = y - 0.5 + np.arange(-8, 9) * find_normals(direction)[0, 1]
    for along_px in (1, 5):
        assert cut_profiles(ROWS, points, direction, 8, along_px)[0] == pytest.approx(expected, abs=1e-3)


def test_a_photo_in_colour_has_the_profiles_of_its_luma() -> None:
    """Red, green and blue count as people see them."""
    colours = np.stack([ROWS, ROWS * 2, ROWS * 3], axis=2)
    found = cut_profiles(colours, MIDDLES, RIGHT, 6, 5)
    assert found == pytest.approx(cut_profiles(ROWS, MIDDLES, RIGHT, 6, 5) * float(LUMA @ [1, 2, 3]), rel=1e-5)


@given(angle=st.floats(0, 2 * np.pi), x=st.floats(0, 40), y=st.floats(0, 30), along_px=st.sampled_from([1, 5]))
def test_a_profile_is_inside_with_all_its_places(angle: float, x: float, y: float, along_px: int) -> None:
    """Across and along."""
    points, direction = np.array([[x, y]]), _turn(angle)
    across, along = np.arange(-6, 7)[:, None, None], np.arange(-(along_px // 2), along_px // 2 + 1)[:, None]
    places = points + along * direction + across * find_normals(direction)
    expected = bool(((places >= 0) & (places < [40, 30])).all())
    assert are_inside(ROWS.shape, points, direction, 6, along_px).tolist() == [expected]


def test_no_points_have_no_profiles() -> None:
    """Their length is still that of others."""
    assert cut_profiles(ROWS, np.empty((0, 2)), np.empty((0, 2)), 6).shape == (0, 13)
