"""What became of each crack between two photos of one place: new, gone, longer, wider or the same.

The photos are laid over each other (`registration`). Cracks that run along each other belong together, and what one
photo shows as one crack may be two in the other: so groups are compared, of which most have one crack of each photo.
A network may find a crack in one photo and miss it in the other. So the other photo's pixels must agree that nothing
dark is there (`darkness`), and widths are measured at the same places of both.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from pipeline.core.wkt import Line
from pipeline.measurement.darkness import Grey, measure_darkness, measure_widths
from pipeline.measurement.profiles import Points
from pipeline.measurement.registration import Registration

STEP_PX = 2.0
"""Lines are compared at places this far from each other."""
NEAR_PX = 5.0
"""How far two lines of one crack may lie apart, beside twice the registration's error."""
MOST_TURN_DEG = 35.0
"""How much their directions may differ."""
SPAN_PX = 10.0
"""Length over which the direction of a line is taken."""
LEAST_SHARED = 0.5
"""Two cracks belong together from this share of the shorter one on …"""
LEAST_SHARED_PX = 60.0
"""… or from this length on."""
LEAST_INSIDE = 0.5
"""Share of a crack that both photos must show, or nothing is said of it …"""
LEAST_INSIDE_PX = 30.0
"""… and the length."""
LEAST_DARKNESS = 0.05
"""A crack that is hardly darker than the concrete cannot be looked for in the other photo."""
SHOWN = 0.3
"""The other photo shows a crack if it is this share as dark there: true cracks have 0.5 and more, other places 0.2 and
less, nine times out of ten (docs/experiments.md)."""
LEAST_GROWN_PX = 30.0
"""Shorter new parts of a crack are not told: a line wavers."""
LENGTH_ERROR = 0.03
"""Share of a length that is uncertain."""
WIDTH_ERROR_PX, WIDTH_ERROR = 0.5, 0.03
"""Uncertainty of one measured width: so many pixels, or this share of a wide one."""
LEAST_KNOWN, LEAST_PLACES = 0.5, 5
"""Share and number of the places at which both photos must tell a width."""

Change = Literal["new", "gone", "longer", "wider", "same", "outside", "unclear"]
"""What became of a crack. `longer` may be wider, too; `same` is one that grew no more than the error; of what is
`outside`, both photos do not show enough; `unclear` was found in one photo, but the other is dark there as well."""

KINDS: tuple[Change, ...] = ("new", "longer", "wider", "gone", "same", "unclear", "outside")
"""In the order in which people look at them."""


class KnownCrack(NamedTuple):
    """A crack as it was measured in its photo."""

    crack: int
    """Its number in the photo."""
    lines: Sequence[Line]
    """Points x, y in pixels of that photo."""
    width_px_p50: float | None = None
    width_px_p95: float | None = None
    width_status: str = "ok"


class CrackedPhoto(NamedTuple):
    """A photo and its cracks."""

    grey: Grey
    cracks: Sequence[KnownCrack]


@dataclass(frozen=True)
class Measured:
    """The cracks of a group in one photo."""

    cracks: tuple[int, ...] = ()
    """Their numbers, the longest first; none where none was found."""
    length_px: float | None = None
    """Of what both photos show, in pixels of A."""
    width_px_p50: float | None = None
    """Mean over their lengths, in pixels of A; None if it is unknown for more than half."""
    width_px_p95: float | None = None
    width_status: str | None = None
    """That of the longest crack: why its width is unknown, or `ok`."""


@dataclass(frozen=True)
class CrackChange:
    """What became of a crack, or of cracks that belong together. All lengths are in pixels of A."""

    change: Change
    a: Measured
    b: Measured
    longer_by_px: float | None = None
    """The length of the new parts; None unless it is more than the error."""
    wider_by_px: float | None = None
    """The median over places that both photos show; None unless it is more than the error."""
    grown: tuple[Line, ...] = ()
    """The new parts of B's lines, in pixels of B; none unless the crack is longer."""
    length_error_px: float | None = None
    """None where only one photo has the crack."""
    width_error_px: float | None = None
    """None where a width is unknown, too."""


class _Seen(NamedTuple):
    """Places along a crack as a photo shows them, and the directions of the line there."""

    points: Points
    directions: Points


class _Traced(NamedTuple):
    """A crack as steps along its lines. Shape: (N, …)."""

    known: KnownCrack
    steps: NDArray[np.float64]
    """Start and end of each, in pixels of the crack's photo. Shape: (N, 2, 2)."""
    in_a: _Seen
    in_b: _Seen
    lengths: NDArray[np.float64]
    """In pixels of A."""
    across: NDArray[np.float64]
    """Pixels of A across the line to one pixel of the crack's photo."""
    inside: NDArray[np.bool_]
    """Whether both photos show it."""

    @property
    def inside_px(self) -> float:
        return float(self.lengths[self.inside].sum())

    @property
    def is_inside(self) -> bool:
        return self.inside_px >= max(LEAST_INSIDE_PX, LEAST_INSIDE * float(self.lengths.sum()))

    @property
    def stretch(self) -> float:
        return float(np.average(self.across, weights=self.lengths * self.inside + 1e-9))


def compare_cracks(a: CrackedPhoto, b: CrackedPhoto, registration: Registration) -> list[CrackChange]:
    """Say what became of each crack; each is in one change. In the order of `KINDS`, the longest first."""
    pair = _Pair(a.grey, b.grey, registration)
    before = [pair.trace(crack, is_b=False) for crack in a.cracks]
    after = [pair.trace(crack, is_b=True) for crack in b.cracks]
    changes = [pair.describe(*group) for group in _group(before, after, pair.near_px)]
    return sorted(changes, key=lambda change: (KINDS.index(change.change), -_longest(change)))


def _longest(change: CrackChange) -> float:
    return max(change.a.length_px or 0.0, change.b.length_px or 0.0)


@dataclass(frozen=True)
class _Pair:
    """Two photos laid over each other."""

    grey_a: Grey
    grey_b: Grey
    registration: Registration

    @property
    def near_px(self) -> float:
        """How far two lines of one crack may lie apart, in pixels of A."""
        return NEAR_PX + 2 * self.registration.error_px

    def trace(self, known: KnownCrack, *, is_b: bool) -> _Traced:
        """Lay steps along a crack's lines, and find them in both photos."""
        pieces = [_sample(line) for line in known.lines]
        steps = np.concatenate([np.stack([line[:-1], line[1:]], axis=1) for line in pieces])
        own = _Seen(steps.mean(axis=1), np.concatenate([_find_directions(line) for line in pieces]))
        own_px = _lengths(steps[:, 1] - steps[:, 0])
        if not is_b:
            inside = self.registration.covers(own.points, self.near_px)
            in_b = _see(own, self.registration.to_b)
            return _Traced(known, steps, own, in_b, own_px, np.ones(len(steps)), inside)
        in_a = _see(own, self.registration.to_a)
        lengths = _lengths(self.registration.to_a(steps[:, 1]) - self.registration.to_a(steps[:, 0]))
        across = self.registration.areas(own.points) * own_px / lengths  # a strip's area over its length
        inside = self.registration.covers(in_a.points, self.near_px)
        return _Traced(known, steps, in_a, own, lengths, across, inside)

    def describe(self, a: Sequence[_Traced], b: Sequence[_Traced]) -> CrackChange:
        """Say what became of a group."""
        before, after = _measure(a), _measure(b)
        if not all(crack.is_inside for crack in [*a, *b]):  # it is alone in its group
            return CrackChange("outside", before, after)
        if not a or not b:
            [crack] = [*a, *b]
            absent: Change = "new" if b else "gone"
            is_absent = self._is_absent(crack, crack.inside, is_b=bool(b))
            return CrackChange(absent if is_absent else "unclear", before, after)
        grown = [part for crack in b for part in self._find_grown(crack, a)]
        length_error_px = 2 * self.registration.error_px + LENGTH_ERROR * _longest(CrackChange("same", before, after))
        longer_by_px = _beyond(sum(length_px for length_px, _ in grown), length_error_px)
        wider_by_px = width_error_px = None
        if before.width_px_p50 is not None and after.width_px_p50 is not None:
            wider_by_px, width_error_px = self._compare_widths(a, b)
        change: Change = "longer" if longer_by_px is not None else "same" if wider_by_px is None else "wider"
        parts = tuple(line for _, line in grown) if longer_by_px is not None else ()
        return CrackChange(change, before, after, longer_by_px, wider_by_px, parts, length_error_px, width_error_px)

    def _is_absent(self, crack: _Traced, chosen: NDArray[np.bool_], *, is_b: bool) -> bool:
        """Tell whether the other photo surely shows no crack at the chosen steps of one."""
        in_a, in_b = (
            measure_darkness(grey, seen.points[chosen], seen.directions[chosen], self.near_px)
            for grey, seen in ((self.grey_a, crack.in_a), (self.grey_b, crack.in_b))
        )
        own, other = (in_b, in_a) if is_b else (in_a, in_b)
        return own >= LEAST_DARKNESS and other < SHOWN * own

    def _find_grown(self, crack: _Traced, before: Sequence[_Traced]) -> Iterator[tuple[float, Line]]:
        """Yield the parts of a crack of B that A does not have: length in pixels of A, and line."""
        away, _ = KDTree(np.concatenate([each.in_a.points for each in before])).query(crack.in_a.points)
        is_far = (away > self.near_px) & crack.inside
        goes_on = (is_far[1:] == is_far[:-1]) & (crack.steps[1:, 0] == crack.steps[:-1, 1]).all(axis=1)
        for run in np.split(np.arange(len(is_far)), np.flatnonzero(~goes_on) + 1):
            length_px = float(crack.lengths[run].sum())
            if not is_far[run[0]] or length_px < LEAST_GROWN_PX:
                continue
            chosen = np.isin(np.arange(len(is_far)), run)
            if self._is_absent(crack, chosen, is_b=True):
                is_tip = away[run].min() < self.near_px + 2 * STEP_PX  # it begins `near_px` beyond the end of A's line
                line = np.concatenate([crack.steps[run, 0], crack.steps[run[-1:], 1]])
                yield length_px + self.near_px * is_tip, line

    def _compare_widths(self, a: Sequence[_Traced], b: Sequence[_Traced]) -> tuple[float | None, float | None]:
        """Return by how much B's crack is wider where both photos show it, None within the error; and the error."""
        points, directions = (np.concatenate([crack.in_a[part] for crack in a]) for part in (0, 1))
        of_b = [np.concatenate([crack.in_b[part] for crack in b]) for part in (0, 1)]
        away, nearest = KDTree(np.concatenate([crack.in_a.points for crack in b])).query(points)
        shared = away <= self.near_px
        across = np.concatenate([crack.across for crack in b])[nearest[shared]]
        widths_a = measure_widths(self.grey_a, points[shared], directions[shared])
        widths_b = measure_widths(self.grey_b, *(part[nearest[shared]] for part in of_b)) * across
        known = ~np.isnan(widths_a + widths_b)
        if known.sum() < max(LEAST_PLACES, LEAST_KNOWN * shared.sum()):
            return None, None
        error_px = math.hypot(_doubt(widths_a[known], 1.0), _doubt(widths_b[known], float(across.mean())))
        return _beyond(float(np.median((widths_b - widths_a)[known])), error_px), error_px


def _doubt(widths_px: NDArray[np.float64], scale: float) -> float:
    """Return the error of widths that were measured in a photo whose pixels are this large."""
    return max(WIDTH_ERROR_PX * scale, WIDTH_ERROR * float(np.median(widths_px)))


def _sample(line: Line) -> Line:
    """Return places along a line, its ends among them. Shape: (N, 2) → (M, 2)."""
    along = np.concatenate([[0.0], np.cumsum(_lengths(np.diff(line, axis=0)))])
    at = np.linspace(0, along[-1], max(2, round(along[-1] / STEP_PX) + 1))
    return np.stack([np.interp(at, along, values) for values in line.T], axis=1)


def _find_directions(line: Line) -> Points:
    """Return the direction of each step of a line, taken over its surroundings. Shape: (M, 2) → (M - 1, 2)."""
    half = round(SPAN_PX / STEP_PX / 2)
    steps = np.arange(len(line) - 1)
    return _normalise(line[np.minimum(steps + 1 + half, len(line) - 1)] - line[np.maximum(steps - half, 0)])


def _see(seen: _Seen, to_other: Callable[[Points], Points]) -> _Seen:
    """Return places as the other photo shows them."""
    points = to_other(seen.points)
    return _Seen(points, _normalise(to_other(seen.points + seen.directions) - points))


def _lengths(vectors: Points) -> NDArray[np.float64]:
    """Return the lengths of vectors, more than 0. Shape: (N, 2) → (N,)."""
    lengths: NDArray[np.float64] = np.maximum(np.linalg.norm(vectors, axis=1), 1e-9)
    return lengths


def _normalise(vectors: Points) -> Points:
    return vectors / _lengths(vectors)[:, None]


def _group(a: Sequence[_Traced], b: Sequence[_Traced], near_px: float) -> list[tuple[list[_Traced], list[_Traced]]]:
    """Put the cracks that run along each other into one group, whichever photo shows them."""
    linked = [
        (i, len(a) + j)
        for i, one in enumerate(a)
        for j, other in enumerate(b)
        if one.is_inside and other.is_inside and _run_along(one, other, near_px)
    ]
    cracks = [*a, *b]
    rows, columns = np.array(linked, int).reshape(-1, 2).T
    count, group_of = connected_components(coo_array((np.ones(len(linked)), (rows, columns)), (len(cracks),) * 2))
    groups: list[tuple[list[_Traced], list[_Traced]]] = [([], []) for _ in range(count)]
    for place, crack in enumerate(cracks):
        groups[group_of[place]][place >= len(a)].append(crack)
    return groups


def _run_along(one: _Traced, other: _Traced, near_px: float) -> bool:
    """Tell whether two lines are the same for long enough."""
    shared_px = min(_measure_shared(one, other, near_px), _measure_shared(other, one, near_px))
    return shared_px >= min(LEAST_SHARED_PX, LEAST_SHARED * min(one.inside_px, other.inside_px))


def _measure_shared(one: _Traced, other: _Traced, near_px: float) -> float:
    """Return the length of one crack that lies along another, where both photos show it."""
    points, directions = (part[other.inside] for part in other.in_a)
    away, nearest = KDTree(points).query(one.in_a.points[one.inside], distance_upper_bound=near_px)
    found = np.flatnonzero(np.isfinite(away))
    turns = np.abs((one.in_a.directions[one.inside][found] * directions[nearest[found]]).sum(axis=1))
    return float(one.lengths[one.inside][found[turns >= np.cos(np.radians(MOST_TURN_DEG))]].sum())


def _beyond(difference: float, error: float) -> float | None:
    return difference if difference > error else None


def _measure(cracks: Sequence[_Traced]) -> Measured:
    """Measure the cracks of a group in one photo."""
    if not cracks:
        return Measured()
    ordered = sorted(cracks, key=lambda crack: crack.inside_px, reverse=True)
    return Measured(
        tuple(crack.known.crack for crack in ordered),
        sum(crack.inside_px for crack in cracks),
        _average([(crack.known.width_px_p50, crack) for crack in ordered]),
        _average([(crack.known.width_px_p95, crack) for crack in ordered]),
        ordered[0].known.width_status,
    )


def _average(widths: Sequence[tuple[float | None, _Traced]]) -> float | None:
    """Return the mean of widths in pixels of A, weighted with the lengths that both photos show."""
    known = [(width_px * crack.stretch, crack.inside_px + 1e-9) for width_px, crack in widths if width_px is not None]
    known_px = sum(length_px for _, length_px in known)
    if known_px < LEAST_KNOWN * sum(crack.inside_px + 1e-9 for _, crack in widths):
        return None
    return sum(width_px * length_px for width_px, length_px in known) / known_px
