"""Widths of drawn cracks, and the laws of openings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.evaluation.crack_widths import LEAST_PX, open_by_square, width_class
from pipeline.labels.mask_files import Mask

SIDES_PX = range(1, 12)


@st.composite
def cracks(draw: st.DrawFn) -> Mask:
    """Draw a mask of up to four rectangles."""
    crack = np.zeros((24, 30), np.bool_)
    for _ in range(draw(st.integers(0, 4))):
        top, left = draw(st.integers(0, 23)), draw(st.integers(0, 29))
        crack[top : top + draw(st.integers(1, 12)), left : left + draw(st.integers(1, 12))] = True
    return crack


def widths(crack: Mask) -> NDArray[np.int64]:
    """Return the width of every pixel up to the largest of `SIDES_PX`, 0 where there is no crack. Shape (H, W)."""
    found: NDArray[np.int64] = np.sum([open_by_square(crack, side_px) for side_px in SIDES_PX], axis=0)
    return found


def line(width_px: int, top: int = 10) -> Mask:
    """Return a crack from left to right."""
    crack = np.zeros((40, 60), np.bool_)
    crack[top : top + width_px] = True
    return crack


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("width_px", SIDES_PX)
def test_a_line_has_its_width(width_px: int, *, turned: bool) -> None:
    """In every pixel, along rows and along columns, inside a photo and at its edge."""
    for top in (10, 40 - width_px):
        crack = line(width_px, top).T if turned else line(width_px, top)
        assert np.array_equal(widths(crack), crack * width_px)


def test_a_thin_crack_at_45_degrees() -> None:
    """Pixels that touch at corners are one pixel wide; squares say too little of a wide band, as the module says."""
    assert set(widths(np.eye(20, dtype=np.bool_))[np.eye(20, dtype=np.bool_)]) == {1}
    rows, cols = np.mgrid[:60, :60]
    band = np.abs(rows - cols) <= 7  # 15 pixels along a row, 10.6 across
    assert widths(band)[30, 30] == 8


def test_parts_of_one_crack_have_their_own_width() -> None:
    """A branch does not become wider where it leaves the stem."""
    crack = line(6)
    crack[16:, 20:22] = True
    found = widths(crack)
    assert (found[13, 20], found[30, 20]) == (6, 2)


@given(crack=cracks(), more=cracks())
def test_widths_never_shrink_when_the_mask_grows(crack: Mask, more: Mask) -> None:
    """No square leaves a crack because the crack grew."""
    assert (widths(crack | more) >= widths(crack)).all()


@given(crack=cracks(), side_px=st.sampled_from(SIDES_PX))
def test_openings(crack: Mask, side_px: int) -> None:
    """An opening stays inside the crack, changes nothing when repeated, and a larger square keeps less."""
    opened = open_by_square(crack, side_px)
    assert not (opened & ~crack).any()
    assert np.array_equal(open_by_square(opened, side_px), opened)
    assert not (open_by_square(crack, side_px + 1) & ~opened).any()


@given(crack=cracks())
def test_widths_are_those_of_the_squares(crack: Mask) -> None:
    """Compared with every square that fits."""
    expected = np.zeros(crack.shape, np.int64)
    for side_px in SIDES_PX:
        for row in range(crack.shape[0] - side_px + 1):
            for col in range(crack.shape[1] - side_px + 1):
                square = np.s_[row : row + side_px, col : col + side_px]
                if crack[square].all():
                    expected[square] = side_px
    assert np.array_equal(widths(crack), expected)


@pytest.mark.parametrize(("width_px", "found"), [(1, 0), (3, 0), (4, 1), (8, 1), (9, 2), (30, 2)])
def test_the_class_of_a_line(width_px: int, found: int) -> None:
    """Up to 3 pixels, 4 to 8, and wider."""
    assert LEAST_PX == (1, 4, 9)
    assert width_class(line(width_px)) == found


def test_most_pixels_decide() -> None:
    """A wide place does not make a thin crack wide, and of two classes with as many pixels the narrower one counts."""
    crack = line(2)
    crack[8:18, 5:15] = True  # 100 pixels of 10, and 100 of 2
    assert width_class(crack) == 0
    crack[8:18, 15] = True
    assert width_class(crack) == 2
    assert width_class(np.zeros((5, 5), np.bool_)) is None
