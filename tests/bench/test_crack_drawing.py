"""Drawn cracks are as long and as wide as they say: what is measured against them rests on it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from tests.bench.crack_drawing import (
    APART_PX,
    KINDS,
    MARGIN_PX,
    DrawnCrack,
    Kind,
    draw_cracks,
    draw_line,
    find_cover,
    paint,
    spread,
)

SIDE_PX = 420


def crack_of(kind: Kind, width_px: float, seed: int, blur_px: float = 0.0, taper: float = 0.0) -> DrawnCrack:
    """A crack of some 300 pixels in a square photo."""
    line = draw_line(kind, 300, np.random.default_rng(seed))
    line = line - (line.min(axis=0) + line.max(axis=0)) / 2 + SIDE_PX / 2
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    return DrawnCrack(kind, line, width_px * (1 + taper * (1 - 2 * along / along[-1])), 0.2, blur_px=blur_px)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    width_px=st.floats(2, 15),
    seed=st.integers(0, 1000),
    blur_px=st.sampled_from([0.0, 1.0]),
    taper=st.sampled_from([0.0, 0.33]),
)
def test_the_area_is_length_times_width(kind: Kind, width_px: float, seed: int, blur_px: float, taper: float) -> None:
    """At any angle and of any kind, blurred and tapering, to one in fifty."""
    crack = crack_of(kind, width_px, seed, blur_px, taper)
    _, share = find_cover(crack, SIDE_PX, SIDE_PX)
    assert share.sum() == pytest.approx(crack.length_px * crack.width_px, rel=0.02)
    assert crack.width_px == pytest.approx(width_px)


@pytest.mark.parametrize("width_px", [2.0, 5.3, 12.7])
def test_a_straight_crack_is_as_wide_everywhere(width_px: float) -> None:
    """Each row of pixels across one along a column is covered by its width, and symmetric about its line."""
    line = np.array([[30.5, 10.0], [30.5, 50.0]])
    box, share = find_cover(DrawnCrack("straight", line, np.full(2, width_px), 0.2), 60, 61)
    cover = np.zeros((60, 61))
    cover[box] = share
    np.testing.assert_allclose(cover[10:50].sum(axis=1), width_px, atol=1e-4)
    np.testing.assert_allclose(cover, cover[:, ::-1], atol=1e-4)
    assert not cover[:10].any()
    assert not cover[50:].any()


def test_a_crack_leaves_its_share_of_the_light() -> None:
    """Its core has the concrete's light times the share, and the rest of the photo stays as it is."""
    photo = np.full((SIDE_PX, SIDE_PX, 3), 200, np.uint8)
    crack = crack_of("straight", 9, 1)
    painted = paint(photo, [crack])
    middle = crack.points.mean(axis=0).astype(int)
    assert painted[middle[1], middle[0]].tolist() == [40, 40, 40]
    rows, cols = np.nonzero((painted < 200).any(axis=2))
    from_line = cdist(np.column_stack([cols, rows]) + 0.5, spread(crack.points, 0.5)).min(axis=1)
    assert from_line.max() < 9 / 2 + 1


def test_cracks_lie_in_the_photo_and_apart() -> None:
    """So that each find is of one crack, and none is cut by the border."""
    for number in range(4):
        cracks = draw_cracks(number, 1800, 2400, np.random.default_rng(number))
        lines = [spread(crack.points) for crack in cracks]
        assert 2 <= len(cracks) <= 4
        assert all(line.min() >= MARGIN_PX - 1e-6 for line in lines)
        assert all((line.max(axis=0) <= np.array([2400, 1800]) - MARGIN_PX + 1e-6).all() for line in lines)
        for index, line in enumerate(lines):
            assert all(cdist(line, other).min() >= APART_PX - 2 for other in lines[:index])


def test_the_kinds_differ_in_how_straight_they_are() -> None:
    """A ruler's line is as long as its chord, a hand's hardly longer, and one through grains clearly."""
    detour = {}
    for kind in KINDS:
        lines = [draw_line(kind, 500, np.random.default_rng(seed)) for seed in range(20)]
        detour[kind] = np.mean(
            [np.hypot(*np.diff(line, axis=0).T).sum() / np.hypot(*(line[-1] - line[0])) for line in lines]
        )
    assert detour["straight"] == pytest.approx(1)
    assert 1 < detour["wobble"] < 1.1
    assert 1.05 < detour["wandering"] < 1.6
