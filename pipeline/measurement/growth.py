"""What became of each crack between two photos of one place: new, gone, longer, wider or the same.

The photos are laid over each other (`registration`). Cracks that run along each other belong together, and what one
photo shows as one crack may be two in the other: so groups are compared, of which most have one crack of each photo.
Claims hold only where both photos surely show the surface, and only beyond the error of the measurement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from pipeline.measurement.registration import Registration
from pipeline.measurement.wkt import Line

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
LENGTH_ERROR = 0.03
"""Share of a length that is uncertain (docs/cracks.md)."""
WIDTH_ERROR_PX = 0.5
"""Uncertainty of one measured width …"""
WIDTH_ERROR = 0.03
"""… and as a share of wide ones."""

Change = Literal["new", "gone", "longer", "wider", "same", "outside"]
"""What became of a crack. `longer` may be wider, too; `same` is one that grew no more than the error; of what is
`outside`, both photos do not show enough."""


class KnownCrack(NamedTuple):
    """A crack as it was measured in its photo."""

    crack: int
    """Its number in the photo."""
    lines: Sequence[Line]
    """Points x, y in pixels of that photo."""
    width_px_p50: float | None = None
    width_px_p95: float | None = None
    width_status: str = "ok"


@dataclass(frozen=True)
class Measured:
    """The cracks of a group in one photo."""

    cracks: tuple[int, ...] = ()
    """Their numbers, the longest first; none where the photo shows none."""
    length_px: float | None = None
    """Of what both photos show, in pixels of A."""
    width_px_p50: float | None = None
    """Mean over their lengths, in pixels of A; None if one of them is unknown."""
    width_px_p95: float | None = None
    width_status: str | None = None
    """Why the widths are unknown, or `ok`."""


@dataclass(frozen=True)
class CrackChange:
    """What became of a crack, or of cracks that belong together. All lengths are in pixels of A."""

    change: Change
    a: Measured
    b: Measured
    longer_by_px: float | None = None
    """None unless it is more than the error."""
    wider_by_px: float | None = None
    """By the median width; None unless it is more than the error."""
    length_error_px: float | None = None
    """None where only one photo shows the crack."""
    width_error_px: float | None = None
    """None where a width is unknown, too."""


class _Traced(NamedTuple):
    """A crack as places along its lines, in pixels of A. Shape: (N, 2), (N, 2), (N,) …"""

    known: KnownCrack
    points: NDArray[np.float64]
    directions: NDArray[np.float64]
    """Of length 1."""
    lengths: NDArray[np.float64]
    """The length for which each place stands."""
    inside: NDArray[np.bool_]
    """Whether both photos show the place."""
    stretch: float
    """Pixels of A across the line to one pixel of the crack's photo."""

    @property
    def inside_px(self) -> float:
        return float(self.lengths[self.inside].sum())

    @property
    def is_inside(self) -> bool:
        return self.inside_px >= max(LEAST_INSIDE_PX, LEAST_INSIDE * float(self.lengths.sum()))


def compare_cracks(
    cracks_a: Sequence[KnownCrack], cracks_b: Sequence[KnownCrack], registration: Registration
) -> list[CrackChange]:
    """Say what became of each crack; each is in one change. Those of `KINDS` in its order, the longest first."""
    near_px = NEAR_PX + 2 * registration.error_px
    a = [_trace(crack, registration, near_px, is_b=False) for crack in cracks_a]
    b = [_trace(crack, registration, near_px, is_b=True) for crack in cracks_b]
    changes = [_describe(*group, registration.error_px) for group in _group(a, b, near_px)]
    return sorted(changes, key=_rank)


KINDS: tuple[Change, ...] = ("longer", "wider", "new", "gone", "same", "outside")
"""In the order in which people look at them: a growing crack matters most."""


def _rank(change: CrackChange) -> tuple[int, float]:
    return KINDS.index(change.change), -max(change.a.length_px or 0, change.b.length_px or 0)


def _trace(known: KnownCrack, registration: Registration, margin_px: float, *, is_b: bool) -> _Traced:
    """Lay places along a crack's lines, and take them to photo A."""
    pieces = [_sample(line) for line in known.lines]
    starts, ends = np.concatenate([line[:-1] for line in pieces]), np.concatenate([line[1:] for line in pieces])
    own_px = np.maximum(np.hypot(*(ends - starts).T), 1e-9)
    areas = np.ones(len(starts))
    if is_b:
        areas = registration.areas((starts + ends) / 2)
        pieces = [registration.to_a(line) for line in pieces]
        starts, ends = registration.to_a(starts), registration.to_a(ends)
    lengths = np.maximum(np.hypot(*(ends - starts).T), 1e-9)
    points = (starts + ends) / 2
    inside = registration.covers(points, margin_px)
    across = areas * own_px / lengths  # the area of a strip over its length
    stretch = float(np.average(across[inside], weights=lengths[inside])) if inside.any() else 1.0
    return _Traced(known, points, np.concatenate([_find_directions(line) for line in pieces]), lengths, inside, stretch)


def _sample(line: Line) -> NDArray[np.float64]:
    """Return places along a line, its ends among them. Shape: (N, 2) → (M, 2)."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.linspace(0, along[-1], max(2, round(along[-1] / STEP_PX) + 1))
    return np.stack([np.interp(at, along, values) for values in line.T], axis=1)


def _find_directions(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the direction of each step of a line, taken over its surroundings. Shape: (M, 2) → (M - 1, 2)."""
    half = round(SPAN_PX / STEP_PX / 2)
    steps = np.arange(len(line) - 1)
    chords = line[np.minimum(steps + 1 + half, len(line) - 1)] - line[np.maximum(steps - half, 0)]
    directions: NDArray[np.float64] = chords / np.maximum(np.hypot(*chords.T), 1e-9)[:, None]
    return directions


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
    points, directions = other.points[other.inside], other.directions[other.inside]
    away, nearest = KDTree(points).query(one.points[one.inside], distance_upper_bound=near_px)
    found = np.flatnonzero(np.isfinite(away))
    turns = np.abs((one.directions[one.inside][found] * directions[nearest[found]]).sum(axis=1))
    return float(one.lengths[one.inside][found[turns >= np.cos(np.radians(MOST_TURN_DEG))]].sum())


def _describe(a: Sequence[_Traced], b: Sequence[_Traced], error_px: float) -> CrackChange:
    before, after = _measure(a), _measure(b)
    if not all(crack.is_inside for crack in [*a, *b]):  # it is alone in its group
        return CrackChange("outside", before, after)
    if before.length_px is None or after.length_px is None:
        return CrackChange("gone" if a else "new", before, after)
    length_error_px = 2 * error_px + LENGTH_ERROR * max(before.length_px, after.length_px)
    longer_by_px = _beyond(after.length_px - before.length_px, length_error_px)
    width_error_px = wider_by_px = None
    if before.width_px_p50 is not None and after.width_px_p50 is not None:
        width_error_px = float(np.hypot(_doubt(before.width_px_p50, a), _doubt(after.width_px_p50, b)))
        wider_by_px = _beyond(after.width_px_p50 - before.width_px_p50, width_error_px)
    change: Change = "same" if wider_by_px is None else "wider"
    change = change if longer_by_px is None else "longer"
    return CrackChange(change, before, after, longer_by_px, wider_by_px, length_error_px, width_error_px)


def _doubt(width_px: float, cracks: Sequence[_Traced]) -> float:
    """Return the error of a width in pixels of A."""
    return max(WIDTH_ERROR_PX * max(crack.stretch for crack in cracks), WIDTH_ERROR * width_px)


def _beyond(difference: float, error: float) -> float | None:
    return difference if difference > error else None


def _measure(cracks: Sequence[_Traced]) -> Measured:
    """Measure the cracks of a group in one photo."""
    if not cracks:
        return Measured()
    ordered = sorted(cracks, key=lambda crack: crack.inside_px, reverse=True)
    unknown = next((each.known.width_status for each in ordered if each.known.width_px_p50 is None), "ok")
    p50 = _average([(crack.known.width_px_p50, crack) for crack in cracks])
    p95 = _average([(crack.known.width_px_p95, crack) for crack in cracks])
    numbers = tuple(crack.known.crack for crack in ordered)
    return Measured(numbers, sum(crack.inside_px for crack in cracks), p50, p95, unknown)


def _average(widths: Sequence[tuple[float | None, _Traced]]) -> float | None:
    """Return the mean of widths in pixels of A, weighted with the lengths that both photos show."""
    known = [(width_px * crack.stretch, crack.inside_px) for width_px, crack in widths if width_px is not None]
    if len(known) < len(widths) or not sum(weight for _, weight in known):
        return known[0][0] if len(known) == len(widths) else None
    return float(np.average([value for value, _ in known], weights=[weight for _, weight in known]))
