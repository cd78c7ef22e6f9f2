"""Growth of cracks: added, lengthened and widened by known amounts, seen from elsewhere."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import ProjectiveTransform

from pipeline.measurement.growth import KINDS, CrackChange, CrackedPhoto, KnownCrack, compare_cracks
from pipeline.measurement.registration import Registration
from tests.helpers.warped_photos import (
    HEIGHT_PX,
    SAME,
    TILTED,
    WIDTH_PX,
    Matrix,
    crack_along,
    draw_cracks,
    draw_surface,
    look_again,
    move,
)

ERROR_PX = 1.0
DEEP = crack_along(0, (120, 100), (300, 130), (400, 220), width_px=4.0)
FINE = crack_along(1, (150, 300), (350, 320), width_px=None)


@cache
def lay(key: bytes) -> Registration:
    """Lay a photo over another by a known homography, with features everywhere."""
    inverse = np.linalg.inv(np.frombuffer(key).reshape(3, 3))
    across, down = np.meshgrid(np.arange(0, WIDTH_PX, 20.0), np.arange(0, HEIGHT_PX, 20.0))
    size = WIDTH_PX, HEIGHT_PX
    return Registration(inverse, np.stack([across.ravel(), down.ravel()], axis=1), ERROR_PX, 1.0, size, size)


def changes_of(
    a: Sequence[KnownCrack],
    b: Sequence[KnownCrack],
    matrix: Matrix = SAME,
    drawn: tuple[Sequence[KnownCrack], Sequence[KnownCrack]] | None = None,
) -> list[CrackChange]:
    """Compare cracks of A with those of B; all are given as A shows them.

    Args:
        a: found in A.
        b: found in B.
        matrix: from A to B.
        drawn: what is there to be found in each; None if everything was found.
    """
    grey_a, grey_b = (draw_cracks(draw_surface(), cracks) for cracks in drawn or (a, b))
    grey_b = look_again(grey_b, matrix, noise=2) if matrix is not SAME else grey_b
    seen = [crack._replace(lines=[move(line, matrix) for line in crack.lines]) for crack in b]
    photos = CrackedPhoto(grey_a[..., 1], a), CrackedPhoto(grey_b[..., 1], seen)
    return compare_cracks(*photos, lay(np.asarray(matrix, float).tobytes()))


@pytest.mark.parametrize("matrix", [SAME, TILTED], ids=["same", "tilted"])
def test_cracks_that_did_not_grow_are_the_same(matrix: Matrix) -> None:
    """From wherever they are seen; widths that are unknown stay so."""
    deep, fine = changes_of([DEEP, FINE], [DEEP._replace(crack=7), FINE], matrix)
    assert (deep.change, deep.a.cracks, deep.b.cracks) == ("same", (0,), (7,))
    assert (deep.longer_by_px, deep.wider_by_px) == (None, None)
    assert deep.b.length_px == pytest.approx(deep.a.length_px, abs=1)
    assert (fine.change, fine.a.width_status, fine.b.width_px_p50, fine.width_error_px) == (
        "same", "too_thin", None, None,
    )  # fmt: skip


@pytest.mark.parametrize("matrix", [SAME, TILTED], ids=["same", "tilted"])
def test_a_lengthened_crack_is_longer_by_what_was_added(matrix: Matrix) -> None:
    """In pixels of A; and the part that is new is told."""
    longer = replace_line(FINE, (150, 300), (450, 330))
    [change] = changes_of([FINE], [longer], matrix)
    grown_px = np.hypot(300, 30) - np.hypot(200, 20)
    assert change.change == "longer"
    assert change.longer_by_px == pytest.approx(grown_px, abs=3)
    [grown] = change.grown
    start, end = ProjectiveTransform(np.linalg.inv(matrix))(grown[[0, -1]])
    assert start == pytest.approx((350, 320), abs=9)
    assert end == pytest.approx((450, 330), abs=1)


def replace_line(crack: KnownCrack, *points: tuple[float, float]) -> KnownCrack:
    """Return the crack with another line."""
    return crack._replace(lines=[np.array(points, np.float64)])


@pytest.mark.parametrize("matrix", [SAME, TILTED], ids=["same", "tilted"])
def test_a_widened_crack_is_wider_by_what_was_added(matrix: Matrix) -> None:
    """In pixels of A, whatever the scale of B."""
    [change] = changes_of([DEEP], [DEEP._replace(width_px_p50=7.0)], matrix)
    assert (change.change, change.longer_by_px) == ("wider", None)
    assert change.wider_by_px == pytest.approx(3.0, abs=0.5)


def test_a_crack_may_be_longer_and_wider() -> None:
    """Both are told; `change` says longer."""
    grown = replace_line(DEEP, (40, 90), (120, 100), (300, 130), (400, 220))._replace(width_px_p50=7.0)
    [change] = changes_of([DEEP], [grown])
    assert change.change == "longer"
    assert change.longer_by_px == pytest.approx(np.hypot(80, 10), abs=2)
    assert change.wider_by_px == pytest.approx(3.0, abs=0.5)


def test_growth_within_the_error_is_none() -> None:
    """A few per cent of the length, or half a pixel of width."""
    [change] = changes_of([DEEP], [replace_line(DEEP, (95, 96), (300, 130), (402, 222))._replace(width_px_p50=4.4)])
    assert (change.change, change.longer_by_px, change.wider_by_px, change.grown) == ("same", None, None, ())
    assert change.length_error_px is not None
    assert change.length_error_px > 2 * ERROR_PX + 0.03 * 300
    assert change.width_error_px == pytest.approx(np.hypot(0.5, 0.5))


def test_shorter_and_thinner_cracks_are_the_same() -> None:
    """Cracks do not heal: a photo shows less of them."""
    [change] = changes_of([DEEP], [replace_line(DEEP, (120, 100), (300, 130))._replace(width_px_p50=2.0)])
    assert change.change == "same"


def test_one_crack_may_be_two_in_the_other_photo() -> None:
    """A gap in the line is no growth."""
    parts = replace_line(DEEP, (120, 100), (300, 130)), replace_line(DEEP, (303, 133), (400, 220))
    [change] = changes_of([DEEP], [parts[0], parts[1]._replace(crack=5)])
    assert (change.change, change.a.cracks, change.b.cracks) == ("same", (0,), (0, 5))


def test_a_crack_that_crosses_another_is_new() -> None:
    """They share a place, but no direction; nor does one beside it."""
    crossing, beside = crack_along(1, (250, 60), (270, 250)), crack_along(2, (120, 140), (290, 170))
    changes = changes_of([DEEP], [DEEP, crossing, beside])
    assert [(change.change, change.b.cracks) for change in changes] == [("new", (1,)), ("new", (2,)), ("same", (0,))]


def test_nothing_is_said_of_what_one_photo_does_not_show() -> None:
    """Neither of cracks that are outside, nor of the part of a crack that is; ends at the border did not grow."""
    shift: Matrix = np.array([[1.0, 0, -200], [0, 1, 0], [0, 0, 1]])
    left = crack_along(1, (20, 350), (180, 360))
    through = crack_along(0, (60, 100), (420, 110))
    [longer, outside] = changes_of([through, left], [replace_line(through, (200, 104), (540, 113))], shift)
    assert (longer.change, outside.change, outside.a.cracks, outside.b.cracks) == ("longer", "outside", (1,), ())
    assert longer.longer_by_px == pytest.approx(np.hypot(120, 3), abs=10)
    [same] = changes_of([through], [replace_line(through, (205, 104), (420, 110))], shift)
    assert same.change == "same"


def test_what_the_other_photo_shows_is_not_new() -> None:
    """A network missed it there, or a part of it: the pixels tell."""
    crack = crack_along(3, (330, 250), (450, 260))
    [missed] = changes_of([], [crack], TILTED, drawn=([crack], [crack]))
    assert (missed.change, missed.a.cracks, missed.b.cracks) == ("unclear", (), (3,))
    [missed] = changes_of([crack], [], TILTED, drawn=([crack], [crack]))
    assert missed.change == "unclear"
    half = replace_line(DEEP, (120, 100), (300, 130))
    [change] = changes_of([half], [DEEP], TILTED, drawn=([DEEP], [DEEP]))
    assert (change.change, change.longer_by_px) == ("same", None)


def test_a_find_that_is_not_dark_is_unclear() -> None:
    """It cannot be looked for in the other photo."""
    [change] = changes_of([], [FINE], drawn=([], []))
    assert change.change == "unclear"


POINTS = st.tuples(st.floats(60, 500), st.floats(60, 360))
CRACKS = st.lists(st.builds(lambda *points: list(points), POINTS, POINTS, POINTS), min_size=0, max_size=4).map(
    lambda lines: [crack_along(number, *points, width_px=3.0) for number, points in enumerate(lines)]
)


@settings(max_examples=15, deadline=None)
@given(CRACKS)
def test_a_photo_with_itself_is_all_the_same(cracks: list[KnownCrack]) -> None:
    """Each crack is in exactly one change, and none grew."""
    changes = changes_of(cracks, cracks)
    assert {change.change for change in changes} <= {"same", "outside"}
    for side in ("a", "b"):
        numbers = [number for change in changes for number in getattr(change, side).cracks]
        assert sorted(numbers) == [crack.crack for crack in cracks]


APART = [crack_along(row, (100, 80 + 45 * row), (400, 90 + 45 * row)) for row in range(6)]
"""Cracks one above the other."""


@settings(max_examples=15, deadline=None)
@given(st.sets(st.sampled_from(range(6))), st.sets(st.sampled_from(range(6))))
def test_exchanged_photos_exchange_new_and_gone(a: set[int], b: set[int]) -> None:
    """What only B has is new, what only A has is gone, and what both have is the same."""
    for one, other in ((a, b), (b, a)):
        changes = changes_of([APART[row] for row in sorted(one)], [APART[row] for row in sorted(other)])
        told = {(change.a.cracks or change.b.cracks)[0]: change.change for change in changes}
        expected = dict.fromkeys(one & other, "same") | dict.fromkeys(one - other, "gone")
        assert told == expected | dict.fromkeys(other - one, "new")
        assert [KINDS.index(change.change) for change in changes] == sorted(KINDS.index(kind) for kind in told.values())
