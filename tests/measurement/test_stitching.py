"""Joining cracks over windows: a line that is cut into windows comes back as one, and no length counts twice."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.wkt import Line
from pipeline.measurement.cracks import Widths
from pipeline.measurement.lines import measure_length
from pipeline.measurement.stitching import Piece, Span, Stitched, stitch

ROWS = {0: Span(0, 1000), 1: Span(1000, 2000)}
COLS = {0: Span(0, 1000), 1: Span(1000, 2000), 2: Span(2000, 3000)}
OVERLAPPING = {0: Span(0, 1000), 1: Span(900, 1900), 2: Span(1800, 2800)}
WIDTHS = Widths("ok", 2.0, 3.0, 4.0)


def cut(line: Line, rows: dict[int, Span], cols: dict[int, Span], short_px: float = 0.0) -> list[Piece]:
    """What each window shows of a dense line: a piece for each run of it, which ends a little before the border."""
    pieces = []
    for row, down in rows.items():
        for col, across in cols.items():
            low, high = np.array([across.start, down.start]), np.array([across.end, down.end])
            is_inside = ((line >= low + short_px) & (line <= high - short_px)).all(axis=1)
            changes = np.flatnonzero(np.diff(is_inside, prepend=False, append=False))
            runs = [line[start:end] for start, end in zip(changes[::2], changes[1::2], strict=True)]
            pieces += [Piece((row, col), [run], measure_length(run), WIDTHS, 0.75) for run in runs if len(run) > 1]
    return pieces


def straight(*corners: tuple[float, float]) -> Line:
    """A line through corners, with a point every pixel or so."""
    parts = [np.linspace(a, b, max(2, int(np.hypot(b[0] - a[0], b[1] - a[1])))) for a, b in pairwise(corners)]
    return np.concatenate(parts)


def total(cracks: Sequence[Stitched]) -> float:
    """The length of all."""
    return sum(crack.length_px for crack in cracks)


@given(st.floats(0, 2000), st.floats(0, 2000), st.floats(0, 10), st.booleans())
@settings(max_examples=30)
def test_a_line_over_three_windows_is_one_crack(left: float, right: float, short_px: float, overlaps: bool) -> None:  # noqa: FBT001
    """Its length is that of the line, whether windows touch or overlap, and lines end at the border or before it."""
    cols = OVERLAPPING if overlaps else COLS
    line = straight((100.0, left), (2700.0, right))
    pieces = cut(line, {0: Span(-100, 2100)}, cols, short_px)
    [crack] = stitch(pieces, {0: Span(-100, 2100)}, cols)
    assert crack.length_px == pytest.approx(measure_length(line), abs=4)
    assert crack.members == tuple(range(3))
    assert len(crack.lines) == 1
    turned = crack.orientation_deg - np.degrees(np.arctan2(right - left, 2600))
    assert abs((turned + 90) % 180 - 90) < 0.5
    assert crack.widths.status == "ok"
    assert (crack.widths.p50, crack.widths.p95, crack.widths.max) == pytest.approx((2.0, 3.0, 4.0))
    assert not crack.is_whole


@given(st.lists(st.tuples(st.floats(50, 2950), st.floats(50, 1950)), min_size=2, max_size=4), st.booleans())
@settings(max_examples=30)
def test_no_length_is_lost_or_counts_twice(corners: list[tuple[float, float]], overlaps: bool) -> None:  # noqa: FBT001
    """Of lines over any windows, whatever becomes of their pieces; what is shorter than a cut may err stays out."""
    rows, cols = (
        ({0: Span(0, 1100), 1: Span(1000, 2000)}, {0: Span(0, 1100), 1: Span(1000, 3000)}) if overlaps else (ROWS, COLS)
    )
    line = straight(*corners)
    pieces = cut(line, rows, cols)
    found = stitch(pieces, rows, cols)
    borders = 12 * len(corners) * (len(rows) + len(cols)) ** 2
    assert abs(total(found) - measure_length(line)) <= borders
    assert len(found) <= len(pieces)


def test_a_crack_within_its_window_stays_as_it_is() -> None:
    """To the bit."""
    piece = Piece((0, 1), [np.array([[1200.0, 300.0], [1300.5, 411.0]])], 149.0, Widths("blurred"), 0.6)
    [crack] = stitch([piece], ROWS, COLS)
    assert crack.is_whole
    assert (crack.members, crack.length_px, crack.widths, crack.score) == ((0,), 149.0, Widths("blurred"), 0.6)
    np.testing.assert_array_equal(crack.lines[0], piece.lines[0])


def test_nothing_is_nothing() -> None:
    """No pieces, no cracks."""
    assert stitch([], ROWS, COLS) == []


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ([(500, 500), (990, 500)], [(1010, 520), (1500, 520)]),  # beside
        ([(500, 500), (990, 500)], [(1040, 500), (1500, 500)]),  # far away
        ([(500, 500), (990, 500)], [(1010, 500), (1300, 900)]),  # another direction
        ([(500, 500), (990, 500)], [(1010, 500), (1010, 100)]),  # square to it
    ],
)
def test_lines_that_do_not_go_on_stay_apart(line: list[tuple[float, float]], other: list[tuple[float, float]]) -> None:
    """The other lies aside, too far, or runs elsewhere."""
    lines = [straight(*line), straight(*other)]
    pieces = [Piece((0, col), [each], measure_length(each), WIDTHS, 0.75) for col, each in enumerate(lines)]
    assert len(stitch(pieces, ROWS, COLS)) == 2


def test_two_cracks_of_one_window_are_not_joined() -> None:
    """Within a window, measuring has decided."""
    lines = [straight((300, 500), (600, 500)), straight((610, 500), (900, 500))]
    pieces = [Piece((0, 0), [each], measure_length(each), WIDTHS, 0.75) for each in lines]
    assert len(stitch(pieces, ROWS, COLS)) == 2


def test_a_branch_in_the_next_window_belongs_to_the_crack() -> None:
    """Pieces that are linked are one, with all their lines; so are two cracks of a window that meet in another."""
    fork = Piece((0, 0), [straight((400, 500), (998, 500))], 598.0, WIDTHS, 0.75)
    arms = [straight((1002, 500), (1400, 500)), straight((1200, 500), (1200, 998))]
    tail = Piece((1, 1), [straight((1200, 1002), (1200, 1500))], 498.0, WIDTHS, 0.75)
    middle = Piece((0, 1), arms, sum(map(measure_length, arms)), WIDTHS, 0.75)
    [crack] = stitch([tail, middle, fork], ROWS, COLS)
    assert crack.members == (2, 1, 0)
    assert len(crack.lines) == 2
    assert crack.box == (400, 500, 1000, 1000)
    assert crack.length_px == pytest.approx(598 + 398 + 498 + 498 + 4 + 4, abs=1)


def test_what_one_window_alone_shows_stays() -> None:
    """In the strip that two windows share, a crack beyond the middle is kept if the other did not find it."""
    line = straight((960, 100), (995, 600))
    [crack] = stitch([Piece((0, 0), [line], measure_length(line), WIDTHS, 0.75)], {0: Span(0, 1000)}, OVERLAPPING)
    assert crack.length_px == pytest.approx(measure_length(line))


def test_what_two_windows_show_counts_once() -> None:
    """Each keeps its side of the middle, here all and nothing."""
    line = straight((960, 100), (995, 600))
    pieces = [Piece((0, col), [line + np.array([col, 0])], measure_length(line), WIDTHS, 0.75) for col in (0, 1)]
    [crack] = stitch(pieces, {0: Span(0, 1000)}, OVERLAPPING)
    assert crack.members == (1,)
    assert crack.length_px == pytest.approx(measure_length(line), rel=0.01)


@pytest.mark.parametrize("overlaps", [True, False])
@pytest.mark.parametrize(("one", "other"), [(-1, 1), (1, -1), (-3, 3), (4, -2), (0, 1), (-5, 0)])
def test_a_crack_along_the_middle_counts_once(one: float, other: float, overlaps: bool) -> None:  # noqa: FBT001
    """Each window sees it on its own side of the middle, or on the other's, by a few pixels."""
    line = straight((950.0 if overlaps else 1000.0, 100), (950.0 if overlaps else 1000.0, 600))
    pieces = [Piece((0, col), [line + np.array([aside, 0])], measure_length(line), WIDTHS, 0.75)
              for col, aside in enumerate((one, other))]  # fmt: skip
    found = stitch(pieces, {0: Span(0, 1000)}, OVERLAPPING if overlaps else COLS)
    assert total(found) == pytest.approx(measure_length(line), rel=0.01)
    assert [crack.is_whole for crack in found] == [True]


def test_widths_are_weighted_by_length() -> None:
    """The median and the 95th percentile are means of the pieces', the greatest is the greatest."""
    lines = [straight((100, 500), (1000, 500)), straight((1000, 500), (1300, 500))]
    widths = [Widths("ok", 2.0, 3.0, 4.0), Widths("ok", 6.0, 7.0, 8.0)]
    pieces = [Piece((0, col), [line], measure_length(line), width, score)
              for col, (line, width, score) in enumerate(zip(lines, widths, (0.8, 0.6), strict=True))]  # fmt: skip
    [crack] = stitch(pieces, ROWS, COLS)
    assert crack.widths.status == "ok"
    assert (crack.widths.p50, crack.widths.p95, crack.widths.max) == pytest.approx((3.0, 4.0, 8.0), rel=2e-3)
    assert crack.score == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("other", "expected"), [("at_border", "ok"), ("too_thin", "too_thin"), ("not_dark", "not_dark")]
)
def test_an_unknown_width_of_most_of_a_crack_is_its_own(other: str, expected: str) -> None:
    """But the border of a window is none of the raster."""
    lines = [straight((700, 500), (1000, 500)), straight((1000, 500), (1900, 500))]
    statuses = [WIDTHS, Widths(other)]  # type: ignore[arg-type]
    pieces = [Piece((0, col), [line], measure_length(line), width, 0.75)
              for col, (line, width) in enumerate(zip(lines, statuses, strict=True))]  # fmt: skip
    [crack] = stitch(pieces, ROWS, COLS)
    assert crack.widths.status == expected
    assert (crack.widths.p50 is None) == (expected != "ok")


def test_a_ring_over_four_windows_is_one_line() -> None:
    """It has no end, and the joining ends all the same."""
    angles = np.linspace(0, 2 * np.pi, 1000)
    ring = np.stack([1000 + 400 * np.cos(angles + 0.1), 1000 + 400 * np.sin(angles + 0.1)], axis=-1)
    [crack] = stitch(cut(ring, ROWS, COLS), ROWS, COLS)
    assert crack.length_px == pytest.approx(2 * np.pi * 400, abs=10)
    assert len(crack.lines) == 1
