"""Photos laid over each other: known homographies are found again, and where there is none, none is claimed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import ProjectiveTransform

from pipeline.images.decode import Pixels
from pipeline.measurement.registration import Features, Registration, find_features, register
from tests.helpers.warped_photos import HEIGHT_PX, SAME, TILTED, WIDTH_PX, Matrix, draw_surface, look_again

PLACES = np.stack(np.meshgrid(np.arange(0, WIDTH_PX, 20.0), np.arange(0, HEIGHT_PX, 20.0)), axis=-1).reshape(-1, 2)
"""Of photo A."""


def lay(a: Pixels, b: Pixels) -> Registration:
    """Register two photos that fit together."""
    found = register(find_features(a), find_features(b))
    assert isinstance(found, Registration), found
    return found


def largest_error(found: Registration, matrix: Matrix) -> float:
    """How far places that both photos show are from where they should be, pixels of A."""
    sure = PLACES[found.covers(PLACES)]
    assert len(sure) > len(PLACES) / 4
    return float(np.hypot(*(found.to_a(ProjectiveTransform(matrix)(sure)) - sure).T).max())


def test_a_known_homography_is_found() -> None:
    """To two pixels everywhere, from other light, noise and less sharpness; error and overlap are told."""
    found = lay(draw_surface(), look_again(draw_surface()))
    assert largest_error(found, TILTED) < 2
    assert found.error_px < 2
    moved = ProjectiveTransform(TILTED)(PLACES)
    assert found.overlap == pytest.approx(
        ((moved >= 0) & (moved <= (WIDTH_PX, HEIGHT_PX))).all(axis=1).mean(), abs=0.02
    )


def test_a_photo_lies_over_itself() -> None:
    """Every place where it is."""
    found = lay(draw_surface(), draw_surface())
    assert largest_error(found, SAME) < 0.01
    assert found.error_px == pytest.approx(0, abs=0.01)
    assert found.overlap == 1


def test_exchanged_photos_have_the_inverse() -> None:
    """There and back leads to the same place, to two pixels."""
    a, b = draw_surface(), look_again(draw_surface())
    there, back = lay(a, b), lay(b, a)
    sure = PLACES[there.covers(PLACES)]
    assert np.hypot(*(back.to_b(there.to_b(sure)) - back.to_b(back.to_a(sure))).T).max() < 2


def test_turned_photos_are_found() -> None:
    """As when the camera was held upright the second time."""
    found = lay(draw_surface(), np.rot90(draw_surface()).copy())
    assert found.overlap == 1.0
    corner = found.to_a(np.array([[0.0, WIDTH_PX]]))
    assert corner == pytest.approx(np.array([[0, 0]]), abs=0.5)


def test_large_photos_are_reduced() -> None:
    """Errors and places are those of the full photo."""
    features = find_features(draw_surface().repeat(2, axis=0).repeat(2, axis=1))
    assert (features.width_px, features.height_px) == (2 * WIDTH_PX, 2 * HEIGHT_PX)
    assert features.reduced == pytest.approx(2 * WIDTH_PX / 1000)
    found = register(find_features(draw_surface()), features)
    assert isinstance(found, Registration)
    assert found.to_a(np.array([[2 * 200.0, 2 * 100.0]])) == pytest.approx(np.array([[200, 100]]), abs=1)
    assert found.areas(np.array([[400.0, 200.0]])) == pytest.approx([1 / 4], rel=0.02)


def strip(start_px: int) -> Pixels:
    """A photo of a part of a long surface."""
    return draw_surface(9, 3 * WIDTH_PX)[:, start_px : start_px + WIDTH_PX]


@pytest.mark.parametrize(
    ("a", "b", "refusal"),
    [
        (draw_surface(5), draw_surface(6), "few_matches"),
        (strip(0), strip(2 * WIDTH_PX), "few_matches"),
        (np.full((90, 120, 3), 127, np.uint8), draw_surface(), "few_features"),
        (np.zeros((1, 1, 3), np.uint8), draw_surface(), "few_features"),
    ],
    ids=["another surface", "beside it", "flat", "a pixel"],
)
def test_photos_that_do_not_fit_give_a_reason(a: Pixels, b: Pixels, refusal: str) -> None:
    """Never a homography."""
    assert register(find_features(a), find_features(b)) == refusal


def made_features(points: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Features:
    """Features at some places, each with a descriptor of its own."""
    descriptors = np.random.default_rng(3).integers(0, 200, (len(points), 128), np.uint8)
    return Features(WIDTH_PX, HEIGHT_PX, 1.0, points, descriptors)


@pytest.mark.parametrize(
    ("low", "high", "shift_px", "refusal"),
    [
        ((20, 20), (90, 40), 0, "matches_in_one_spot"),
        ((20, 100), (500, 100), 0, "matches_in_one_spot"),
        ((480, 10), (550, 400), -470, "small_overlap"),
    ],
    ids=["a date in the corner", "along one line", "the edge only"],
)
def test_features_that_say_too_little_give_a_reason(
    low: tuple[int, int], high: tuple[int, int], shift_px: int, refusal: str
) -> None:
    """Although they agree."""
    points = np.random.default_rng(2).uniform(low, np.add(high, 0.001), (60, 2))
    assert register(made_features(points), made_features(np.add(points, (shift_px, 0)))) == refusal


@pytest.mark.parametrize("matrix", [np.diag([0.35, 0.35, 1]), np.diag([-1, 1, 1])], ids=["from afar", "mirrored"])
def test_impossible_views_do_not_fit(matrix: Matrix) -> None:
    """From afar a camera sees no thin cracks, and none sees a surface from behind."""
    points = np.random.default_rng(2).uniform((0, 0), (WIDTH_PX, HEIGHT_PX), (80, 2))
    middle = WIDTH_PX / 2, HEIGHT_PX / 2
    seen = np.add(ProjectiveTransform(matrix)(np.subtract(points, middle)), middle)
    assert register(made_features(points), made_features(seen)) == "scales_differ"


def test_places_far_from_all_features_are_not_sure() -> None:
    """Behind an edge of the structure another surface begins, for which the homography does not hold."""
    points = np.random.default_rng(2).uniform((0, 0), (WIDTH_PX / 2, HEIGHT_PX), (200, 2))
    found = register(made_features(points), made_features(points))
    assert isinstance(found, Registration)
    assert found.covers(np.array([[100.0, 100], [WIDTH_PX / 2 + 20, 100], [WIDTH_PX - 20, 100]])).tolist() == [
        True, True, False,
    ]  # fmt: skip
    assert found.covers(np.array([[100.0, 3]]), 5).tolist() == [False]


SMALL = st.floats(-0.2, 0.2)


@settings(max_examples=50)
@given(
    turn=st.tuples(SMALL, SMALL, SMALL, SMALL),
    shift=st.tuples(st.floats(-90, 90), st.floats(-90, 90)),
    tilt=st.tuples(st.floats(-2e-4, 2e-4), st.floats(-2e-4, 2e-4)),
)
def test_made_features_give_their_homography(
    turn: tuple[float, ...], shift: tuple[float, float], tilt: tuple[float, float]
) -> None:
    """Exactly, whatever it is; and there and back leads to the same place."""
    matrix = np.array([[1 + turn[0], turn[1], shift[0]], [turn[2], 1 + turn[3], shift[1]], [*tilt, 1.0]])
    points = np.random.default_rng(2).uniform((0, 0), (WIDTH_PX, HEIGHT_PX), (80, 2))
    found = register(made_features(points), made_features(ProjectiveTransform(matrix)(points)))
    if isinstance(found, Registration):
        assert found.to_a(ProjectiveTransform(matrix)(points)) == pytest.approx(points, abs=1e-3)
        assert found.to_b(found.to_a(points)) == pytest.approx(points, abs=1e-6)
    else:
        assert found in {"small_overlap", "scales_differ"}
