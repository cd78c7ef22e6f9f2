"""Joins the cracks of a raster over its windows, so that a crack of ten metres is one crack.

Each window shows its part of a crack. Where windows overlap, both show it: it is kept by the one on whose side of the
middle it lies, by the mean of what both show; and what one alone shows is kept, too. Ends of lines in different windows
that point at each other over a small gap are one line. Everything is in pixels of the raster, x before y.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from skimage.measure import approximate_polygon

from pipeline.core.wkt import Line, format_lines
from pipeline.measurement.cracks import Widths, WidthStatus, find_orientation, measure_box
from pipeline.measurement.lines import find_direction, measure_length

GAP_PX = 32.0
"""The widest gap between two ends. Thinning ends a line up to half a mask's width before the border of its window, on
either side of it, and a slanting line is longer than its gap is wide."""
ASIDE_PX = 6.0
"""How far two ends may lie beside each other: each window has moved its line to where its own pixels are darkest."""
ANGLE_DEG = 30.0
"""The most by which the directions of two ends may differ, and that of the gap from them."""
REACH_PX = 40.0
"""The direction of an end is that of so much of its line."""
SAME_PX = 10.0
"""Two windows show one crack where their lines are no farther apart."""
STEP_PX = 2.0
"""Distance of the points at which lines are compared."""
EXACT_PX = 0.05
"""Tolerance when those points are taken out again; lines are written to a tenth of a pixel."""
LEAST_SHARE = 0.5
"""Part of a crack's length whose width must be known, or its own is unknown."""


class Span(NamedTuple):
    """One side of a window, pixels of the raster."""

    start: float
    end: float


@dataclass(frozen=True)
class Piece:
    """A crack as one window shows it."""

    window: tuple[int, int]
    """Row and column of the window, in any numbers that grow downwards and to the right."""
    lines: Sequence[Line]
    length_px: float
    widths: Widths
    score: float


@dataclass(frozen=True)
class Stitched:
    """A crack of a raster."""

    members: tuple[int, ...]
    """Numbers of its pieces; the first is of the uppermost window, and of such the leftmost one."""
    lines: tuple[Line, ...]
    """The longest first. Shape: (N, 2) each."""
    length_px: float
    widths: Widths
    score: float
    is_whole: bool
    """Whether it is its one piece, unchanged."""

    @property
    def orientation_deg(self) -> float:
        """As of a `Crack`."""
        return find_orientation(np.concatenate(self.lines))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """As of a `Crack`."""
        return measure_box(self.lines)

    @property
    def line_wkt(self) -> str:
        """As of a `Crack`."""
        return format_lines(self.lines)


@dataclass(frozen=True)
class _Cut:
    """A piece without what its neighbours show."""

    piece: int
    lines: Sequence[Line]
    length_px: float
    is_whole: bool


def stitch(pieces: Sequence[Piece], rows: Mapping[int, Span], cols: Mapping[int, Span]) -> list[Stitched]:
    """Join the pieces of cracks over windows.

    Args:
        pieces: those of one raster.
        rows: top and bottom of each row of windows, by its number.
        cols: left and right of each column of windows.
    """
    cuts = [cut for cut in _cut_all(pieces, rows, cols) if cut.lines]
    links = _find_links(cuts, [pieces[cut.piece].window for cut in cuts])
    owners = np.array([(first, second) for first, _, _, second, _, _ in links], int).reshape(-1, 2)
    linked = coo_array((np.ones(len(owners)), (owners[:, 0], owners[:, 1])), (len(cuts), len(cuts)))
    count, crack_of = connected_components(linked, directed=False)
    members: list[list[int]] = [[] for _ in range(count)]
    for number, crack in enumerate(crack_of.tolist()):
        members[crack].append(number)
    links_of: list[list[_Link]] = [[] for _ in range(count)]
    for link in links:
        links_of[crack_of[link.cut]].append(link)
    return [_join(pieces, cuts, group, own) for group, own in zip(members, links_of, strict=True)]


class _Link(NamedTuple):
    """Two ends that are one place: of which cut, which of its lines, and at which side, 0 or -1."""

    cut: int
    line: int
    side: int
    other_cut: int
    other_line: int
    other_side: int


class _End(NamedTuple):
    cut: int
    line: int
    side: int
    place: NDArray[np.float64]
    outward: NDArray[np.float64]


def _find_cores(spans: Mapping[int, Span]) -> dict[int, Span]:
    """Return the part of each row or column of windows that is its own: neighbours share what both see in halves."""
    numbers = sorted(spans, key=lambda number: spans[number])
    middles = [(spans[one].end + spans[after].start) / 2 for one, after in pairwise(numbers)]
    starts, ends = [-np.inf, *middles], [*middles, np.inf]
    return {number: Span(start, end) for number, start, end in zip(numbers, starts, ends, strict=True)}


def _cut_all(pieces: Sequence[Piece], rows: Mapping[int, Span], cols: Mapping[int, Span]) -> Iterable[_Cut]:
    """Yield each piece without what lies beyond its window's own part and is shown by another window, too."""
    dense = [[_densify(line) for line in piece.lines] for piece in pieces]
    shown = _Shown(pieces, dense, rows, cols)
    for number, piece in enumerate(pieces):
        own = [shown.choose_own(line, piece.window) for line in dense[number]]
        if all(each.all() for each in own):
            yield _Cut(number, piece.lines, piece.length_px, is_whole=True)
            continue
        kept = [part for line, is_own in zip(dense[number], own, strict=True) for part in _split(line, is_own)]
        before = sum(map(measure_length, piece.lines))
        share = sum(map(measure_length, kept)) / max(before, 1e-9)
        yield _Cut(number, kept, piece.length_px * share, is_whole=False)


class _Shown:
    """What windows show where they meet.

    Args:
        pieces: the cracks of all.
        dense: their lines, in points.
        rows: top and bottom of each row of windows.
        cols: left and right of each column.
    """

    def __init__(
        self,
        pieces: Sequence[Piece],
        dense: Sequence[Sequence[Line]],
        rows: Mapping[int, Span],
        cols: Mapping[int, Span],
    ) -> None:
        self._rows, self._cols = _find_cores(rows), _find_cores(cols)
        self._row_strips, self._col_strips = _find_strips(rows), _find_strips(cols)
        found, self._windows = [np.empty((0, 2))], list[tuple[int, int]]()
        for piece, lines in zip(pieces, dense, strict=True):
            for line in lines:
                shared = line[self._is_shared(line)]
                found.append(shared)
                self._windows += [piece.window] * len(shared)
        self._points = np.concatenate(found)
        self._tree = KDTree(self._points)

    def choose_own(self, line: Line, window: tuple[int, int]) -> NDArray[np.bool_]:
        """Choose the points of a line that its window keeps. Shape: (N, 2) → (N,)."""
        is_own, shared = np.ones(len(line), bool), np.flatnonzero(self._is_shared(line))
        near = self._tree.query_ball_point(line[shared], SAME_PX) if len(shared) else []
        for place, found in zip(shared.tolist(), near, strict=True):
            is_own[place] = self._find_owner(line[place], window, found) == window
        return is_own

    def _find_owner(self, point: NDArray[np.float64], window: tuple[int, int], near: Sequence[int]) -> tuple[int, int]:
        """Return the window that keeps a point, the same for all windows that show it."""
        by_window = {window: point}
        for number in sorted(near, key=lambda number: -float(np.hypot(*(self._points[number] - point)))):
            if self._windows[number] != window:
                by_window[self._windows[number]] = self._points[number]  # the nearest comes last
        if len(by_window) == 1:
            return window
        x, y = np.mean([*by_window.values()], axis=0).tolist()
        sides = (((row, col), self._rows[row], self._cols[col]) for row, col in sorted(by_window))
        inside = (each for each, down, across in sides
                  if down.start <= y <= down.end and across.start <= x <= across.end)  # fmt: skip
        return next(inside, min(by_window))  # it may lie on the side of a window that did not find it

    def _is_shared(self, line: Line) -> NDArray[np.bool_]:
        strips = np.searchsorted(self._col_strips, line[:, 0]) | np.searchsorted(self._row_strips, line[:, 1])
        return np.asarray(strips % 2 == 1)


def _find_strips(spans: Mapping[int, Span]) -> NDArray[np.float64]:
    """Return start and end of each strip that two rows or columns of windows share, a little wider. Shape: (2 n,)."""
    ordered = sorted(spans.values())
    edges = [(after.start - SAME_PX, before.end + SAME_PX) for before, after in pairwise(ordered)]
    return np.maximum.accumulate(np.array(edges, np.float64).ravel())


def _densify(line: Line) -> Line:
    """Add points, so that none is farther than `STEP_PX` from the next. Shape: (N, 2) → (M, 2)."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    steps = np.linspace(0, along[-1], max(2, int(np.ceil(along[-1] / STEP_PX)) + 1))
    at = np.union1d(along, steps)
    return np.stack([np.interp(at, along, values) for values in line.T], axis=-1)


def _split(line: Line, is_kept: NDArray[np.bool_]) -> list[Line]:
    """Return the runs of points that are kept, without those that a straight line replaces."""
    changes = np.flatnonzero(np.diff(is_kept, prepend=False, append=False))
    runs = [line[start:end] for start, end in zip(changes[::2], changes[1::2], strict=True)]
    return [approximate_polygon(run, EXACT_PX) for run in runs if len(run) > 1]


def _find_links(cuts: Sequence[_Cut], windows: Sequence[tuple[int, int]]) -> list[_Link]:
    """Find pairs of ends in different windows that point at each other; each end is in one pair, the closest first."""
    ends = [
        _End(number, place, side, line[side], find_direction(line, side, REACH_PX))
        for number, cut in enumerate(cuts)
        for place, line in enumerate(cut.lines)
        for side in (0, -1)
    ]
    if not ends:
        return []
    pairs = KDTree([end.place for end in ends]).query_pairs(GAP_PX + ASIDE_PX, output_type="ndarray")
    fitting = [
        (float(np.hypot(*(ends[one].place - ends[other].place))), one, other)
        for one, other in pairs.tolist()
        if windows[ends[one].cut] != windows[ends[other].cut] and _is_continued(ends[one], ends[other])
    ]
    taken, links = set[int](), list[_Link]()
    for _, one, other in sorted(fitting):
        if not taken & {one, other}:
            taken |= {one, other}
            links.append(_Link(*ends[one][:3], *ends[other][:3]))
    return links


def _is_continued(one: _End, other: _End) -> bool:
    """Tell whether a line runs on in another: their directions agree, and so does that of the gap, or it is small."""
    if -(one.outward @ other.outward) < np.cos(np.radians(ANGLE_DEG)):
        return False
    middle = one.outward - other.outward
    middle /= np.hypot(*middle)
    gap = other.place - one.place
    along, aside = float(gap @ middle), abs(float(gap[0] * middle[1] - gap[1] * middle[0]))
    return -ASIDE_PX <= along <= GAP_PX and aside <= max(ASIDE_PX, along * np.tan(np.radians(ANGLE_DEG)))


def _join(pieces: Sequence[Piece], cuts: Sequence[_Cut], members: Sequence[int], links: Sequence[_Link]) -> Stitched:
    """Make a crack of the pieces that are linked."""
    chosen = [cuts[number] for number in members]
    lines = _chain(
        {(number, place): line for number in members for place, line in enumerate(cuts[number].lines)}, links
    )
    gaps = (cuts[one].lines[place][side] - cuts[other].lines[far_place][far_side]
            for one, place, side, other, far_place, far_side in links)  # fmt: skip
    lengths = np.array([max(cut.length_px, 1e-9) for cut in chosen])
    own = sorted({cut.piece for cut in chosen}, key=lambda number: (pieces[number].window, number))
    return Stitched(
        members=tuple(own),
        lines=tuple(sorted(lines, key=measure_length, reverse=True)),
        length_px=float(lengths.sum() + sum(np.hypot(*gap) for gap in gaps)),
        widths=_combine([pieces[cut.piece].widths for cut in chosen], lengths),
        score=float(np.average([pieces[cut.piece].score for cut in chosen], weights=lengths)),
        is_whole=len(chosen) == 1 and chosen[0].is_whole,
    )


def _chain(lines: Mapping[tuple[int, int], Line], links: Sequence[_Link]) -> list[Line]:
    """Join lines at linked ends to longer ones."""
    after = {}
    for one, place, side, other, far_place, far_side in links:
        after[one, place, side] = other, far_place, far_side
        after[other, far_place, far_side] = one, place, side
    left, chained = dict(lines), list[Line]()
    # Begin where a line has a free end; what is left then are rings, which begin anywhere.
    free = [(key, side) for key in lines for side in (0, -1) if (*key, side) not in after]
    for key, side in [*free, *((key, 0) for key in lines)]:
        parts, at, from_side = list[Line](), key, side
        while at in left:
            line = left.pop(at)
            parts.append(line if from_side == 0 else line[::-1])
            *following, from_side = after.get((*at, -1 - from_side), (-1, -1, 0))
            at = following[0], following[1]
        if parts:
            chained.append(np.concatenate(parts))
    return chained


def _combine(widths: Sequence[Widths], lengths: NDArray[np.float64]) -> Widths:
    """Combine the widths of pieces by their lengths; places at the border of a window do not count against them."""
    by_status: dict[WidthStatus, float] = {}
    for each, length in zip(widths, lengths.tolist(), strict=True):
        by_status[each.status] = by_status.get(each.status, 0.0) + length
    border: WidthStatus = "at_border"
    counted = by_status if set(by_status) == {border} else {**by_status, border: 0.0}
    if counted.get("ok", 0.0) < LEAST_SHARE * sum(counted.values()):
        return Widths(max((status for status in counted if status != "ok"), key=lambda status: counted[status]))
    known = [(each, length) for each, length in zip(widths, lengths.tolist(), strict=True) if each.status == "ok"]
    p50, p95 = (
        float(np.average([value or 0.0 for value in values], weights=[length for _, length in known]))
        for values in ([each.p50 for each, _ in known], [each.p95 for each, _ in known])
    )
    most = max(each.max or 0.0 for each, _ in known)
    return Widths("ok", min(p50, p95, most), min(p95, most), most)  # means round
