"""From the crack probabilities of a photo's tiles, and its pixels, to cracks: lines with length, direction and width.

Everything is in pixels of the upright photo; `scale` tells millimetres.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError, distance
from skimage.measure import approximate_polygon

from pipeline.core.wkt import format_lines
from pipeline.images.decode import Pixels, resize
from pipeline.images.tiles import Tile
from pipeline.measurement.lines import AROUND, Line, LineRule, measure_length, trace_lines
from pipeline.measurement.profiles import ALONG_PX, LUMA, are_inside, cut_profiles, find_normals
from pipeline.measurement.width import measure_profiles, median_without_nan

MAP_STEP_PX = 2
"""Pixels of the photo to one of the map in which lines are traced; the photo's own pixels then move them."""
LOW, HIGH = 0.4, 0.7
"""Probability from which on a place may belong to a crack, if one that is connected with it has at least the other:
hysteresis (docs/experiments.md)."""
RULE = LineRule(spur_px=12.0, gap_px=12.0, gap_angle_deg=30.0)
"""In pixels of the map."""
LEAST_EVIDENCE_PX = 40.0
"""Length of a crack times what its mean probability is over one half. Of finds with less, two in five are stains, pores
and edges: a sure crack counts from 80 pixels on, a doubtful one must be longer (docs/experiments.md)."""
FILLED = 12
"""Half width of what is filled, pixels of the map."""
DARKEST_PERCENT = 25
"""What is filled is as dark as these of the places around it."""
SMOOTH_PX, SMOOTH_MOVED_PX = 3.0, 2.0
"""Standard deviation of the Gaussian that takes the steps of pixels out of a line, in pixels along it: before and after
the photo's pixels have moved it."""
TOLERANCE_PX = 0.5
"""How far the simplified line may be from the smooth one."""
POINT_STEP_PX = 2.5
"""Distance of a line's points …"""
PROFILE_POINTS = 2
"""… of which as many are from one profile to the next: 5 pixels."""
REACH = 3.0
"""Half length of a profile, in half widths of the map: masks are wider than their cracks."""
LEAST_REACH_PX, MOST_REACH_PX = 16, 64
MOST_WIDTH, BLUR_PX = 3.0, 3.0
"""In half widths of the map, and pixels more: what is wider across a crack is a shadow or a stain that it runs into."""
MOST_MOVE_PX = 6.0
"""How far the map may be from the crack."""
MOST_JUMP_PX = 2.0
"""A profile whose darkest place is farther from the median of its neighbours' found something else."""
MEDIAN_PROFILES = 5
"""Of so many neighbours is the running median of widths and of moves."""
TOO_THIN_PX = 0.5
"""Widths below are guesses."""
LEAST_SHARE = 0.5
"""Part of a crack's profiles that must be measurable, or its width is unknown."""
HULL_POINTS = 200
"""Chords of so many points are all compared."""

WidthStatus = Literal["ok", "too_thin", "not_dark", "blurred", "at_border"]
"""Why a width is unknown: under half a pixel; no darker than the concrete, so filled, lit or efflorescing; out of
focus; too close to the photo's edge for a background on both sides."""


class CrackedTile(NamedTuple):
    """A tile and the crack probabilities at its places."""

    tile: Tile
    probability: NDArray[np.floating]
    """Shape (h, w), from 0 to 1."""
    is_cracked: bool
    """Whether the tile's own score is over the threshold; other tiles only lengthen the cracks of such."""


@dataclass(frozen=True)
class Widths:
    """The widths of one crack in pixels; None where they are unknown."""

    status: WidthStatus
    p50: float | None = None
    p95: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class Crack:
    """One crack of a photo."""

    lines: tuple[Line, ...]
    """Points x, y in pixels of the upright photo, the longest line first. Shape: (N, 2) each."""
    length_px: float
    """Of all lines."""
    orientation_deg: float
    """Of the longest chord, from 0 along a row to 90 along a column and on to 180; clockwise as people look at the
    photo, for rows are counted downwards."""
    widths: Widths
    score: float
    """The mean crack probability along the lines."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, width and height of the pixels that the lines touch."""
        return measure_box(self.lines)

    def move(self, right_px: int, down_px: int) -> "Crack":
        """Return the crack elsewhere: of a window, in its raster."""
        return replace(self, lines=tuple(np.add(line, (right_px, down_px)) for line in self.lines))

    @property
    def line_wkt(self) -> str:
        """The lines as text, the column `line_wkt`."""
        return format_lines(self.lines)


def measure_box(lines: Sequence[Line]) -> tuple[int, int, int, int]:
    """Return left, top, width and height of the pixels that lines touch; their points are x, y."""
    points = np.concatenate(lines)
    right, bottom = np.ceil(points.max(axis=0)).astype(int).tolist()
    left, top = np.floor(points.min(axis=0)).astype(int).tolist()
    left, top = min(left, right - 1), min(top, bottom - 1)
    return left, top, right - left, bottom - top


def find_orientation(points: Line) -> float:
    """Return the direction of the longest chord, degrees; points x, y."""
    if len(points) > HULL_POINTS:  # the ends of the longest chord are corners of the hull, of which there are few
        with contextlib.suppress(QhullError):  # all on one line
            points = points[ConvexHull(points).vertices]
    apart = distance.squareform(distance.pdist(points))
    first, second = np.unravel_index(np.argmax(apart), apart.shape)
    across, down = points[second] - points[first]
    angle = float(np.degrees(np.arctan2(down, across)))
    return angle % 180 if angle % 180 < 179.9999 else 0.0  # a column holds seven digits


def choose_tiles(tiles: Sequence[Tile], is_cracked: Sequence[bool]) -> list[int]:
    """Return the numbers of the cracked tiles and of those that touch one: so far a crack is followed.

    Args:
        tiles: those of one photo in which cracks may be.
        is_cracked: as in `CrackedTile`, one per tile.
    """
    near = ndimage.binary_dilation(_lay_out(tiles, is_cracked), AROUND)
    return [number for number, (row, col, *_) in enumerate(tiles) if near[row, col]]


def _lay_out(tiles: Sequence[Tile], values: Sequence[bool]) -> NDArray[np.bool_]:
    """Return values of tiles at their rows and columns of the photo's grid; false where there is no tile."""
    laid = np.zeros([max((place[axis] for place in tiles), default=0) + 1 for axis in range(2)], bool)
    for (row, col, *_), value in zip(tiles, values, strict=True):
        laid[row, col] = value
    return laid


def _group_tiles(maps: Sequence[CrackedTile]) -> list[list[CrackedTile]]:
    """Return the tiles that touch each other, over others, too; groups without a cracked tile are left out."""
    tiles = [found.tile for found in maps]
    labels, _ = ndimage.label(_lay_out(tiles, [True] * len(tiles)), AROUND)
    cracked = _lay_out(tiles, [found.is_cracked for found in maps])
    groups: dict[int, list[CrackedTile]] = {label: [] for label in np.unique(labels[cracked]).tolist()}
    for found in maps:
        if (label := int(labels[found.tile.row, found.tile.col])) in groups:
            groups[label].append(found)
    return [*groups.values()]


def measure_cracks(pixels: Pixels, maps: Sequence[CrackedTile]) -> list[Crack]:
    """Find and measure the cracks of a photo, the longest first.

    Args:
        pixels: the upright photo, shape (H, W, 3).
        maps: the tiles in which cracks may be.
    """
    cracks = [crack for group in _group_tiles(maps) for crack in _measure_group(pixels, group)]
    return sorted(cracks, key=lambda crack: crack.length_px, reverse=True)


def _measure_group(pixels: Pixels, maps: Sequence[CrackedTile]) -> Iterator[Crack]:
    corner, probability, is_sure = _join_maps(maps)
    places = _choose_places(probability, is_sure)
    _fill_wide(places, probability, _reduce(pixels, corner, places.shape))
    half_widths = ndimage.distance_transform_edt(places) * MAP_STEP_PX
    for traced in trace_lines(places, RULE):
        lines = [_smooth(line * MAP_STEP_PX, SMOOTH_PX) for line in traced]
        along = np.concatenate(lines) / MAP_STEP_PX
        score = float(_look_up(probability, along).mean())
        if sum(map(measure_length, lines)) * (score - 1 / 2) < LEAST_EVIDENCE_PX:
            continue
        half_width_px = float(np.median(_look_up(half_widths, along)))
        yield _measure_crack(pixels, [line + corner for line in lines], half_width_px, score)


def _join_maps(maps: Sequence[CrackedTile]) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
    """Join the maps of tiles to one of the part of the photo that they cover.

    Returns:
        The part's upper left corner, row and column in pixels of the photo; the probability, and where tiles are
        cracked, shape (h, w) each.
    """
    boxes = np.array([[tile.top_px, tile.left_px, tile.height_px, tile.width_px] for tile, *_ in maps])
    starts = boxes[:, :2] // MAP_STEP_PX
    stops = -(-(boxes[:, :2] + boxes[:, 2:]) // MAP_STEP_PX)
    corner = starts.min(axis=0)
    probability = np.zeros(stops.max(axis=0) - corner, np.float32)
    is_cracked = np.zeros(probability.shape, bool)
    for tile_map, start, stop in zip(maps, starts - corner, stops - corner, strict=True):
        part = tuple(map(slice, start, stop))
        grey = resize(np.rint(tile_map.probability * 255).astype(np.uint8), *(stop - start).tolist())
        np.maximum(probability[part], grey / np.float32(255), out=probability[part])
        is_cracked[part] |= tile_map.is_cracked
    return corner * MAP_STEP_PX, probability, is_cracked


def _choose_places(probability: NDArray[np.float32], is_cracked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the connected places of which one is sure: hysteresis (Canny 1986)."""
    labels, _ = ndimage.label(probability >= LOW, AROUND)
    sure = np.unique(labels[(probability >= HIGH) & is_cracked])
    return np.isin(labels, sure[sure > 0])


def _fill_wide(places: NDArray[np.bool_], probability: NDArray[np.float32], grey: NDArray[np.float32]) -> None:
    """Add what lies between places and is as dark, in place: of a wide crack, the network sees the edges only.

    It is as probable as they are. Shape: (h, w) each.
    """
    margin = 2 * FILLED
    labels, _ = ndimage.label(places, AROUND)
    for box in ndimage.find_objects(labels):
        part = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in box)
        own = places[part]
        near = np.pad(_find_chessboard_distances(~own) <= FILLED, 1, mode="edge")
        closed = (_find_chessboard_distances(near) > FILLED)[1:-1, 1:-1]
        added = closed & ~own & (grey[part] <= np.percentile(grey[part][own], DARKEST_PERCENT))
        added |= _find_holes(own | added, closed, grey[part])
        probability[part][added] = np.median(probability[part][own])
        own |= added


def _find_holes(own: NDArray[np.bool_], closed: NDArray[np.bool_], grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return what places enclose, if half of it is nearer to the dark of a crack than to the concrete.

    Grain leaves holes in the floor of a wide crack, and a line runs around each; around an island of concrete, one
    should. Shape: (h, w) each.
    """
    labels, count = ndimage.label(~own)
    numbers = np.arange(1, count + 1)
    holes = numbers[ndimage.minimum(closed, labels, numbers) > 0]
    if not len(holes):
        return np.zeros(own.shape, bool)
    halfway = (np.percentile(grey[own], DARKEST_PERCENT) + np.median(grey[~own])) / 2
    return np.isin(labels, holes[ndimage.median(grey, labels, holes) <= halfway])


def _find_chessboard_distances(inside: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the distance of each place to where `inside` is false: several times faster than that of Euclid."""
    found: NDArray[np.int32] = ndimage.distance_transform_cdt(inside, "chessboard")
    return found


def _reduce(pixels: Pixels, corner: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return every second pixel's luma from a corner on, in the shape of a map."""
    chosen = tuple(
        slice(start, start + size * MAP_STEP_PX, MAP_STEP_PX) for start, size in zip(corner, shape, strict=True)
    )
    return pixels[chosen] @ LUMA


def _look_up(values: NDArray[np.floating], points: Line) -> NDArray[np.floating]:
    """Return the values of a map at points of it. Shape: (h, w), (N, 2) → (N,)."""
    rows, cols = np.clip(points.astype(int), 0, np.subtract(values.shape, 1)).T
    found: NDArray[np.floating] = values[rows, cols]
    return found


def _smooth(line: Line, deviation_px: float) -> Line:
    """Return a line without the steps of its pixels, its points evenly apart; its ends stay.

    Shape: (N, 2) → (M, 2).
    """
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    count = max(2, round(along[-1] / POINT_STEP_PX) + 1)
    points = np.stack([np.interp(np.linspace(0, along[-1], count), along, values) for values in line.T], axis=1)
    deviation = deviation_px / POINT_STEP_PX
    pad = min(count - 1, round(4 * deviation))
    before, after = 2 * points[0] - points[pad:0:-1], 2 * points[-1] - points[-2 : -pad - 2 : -1]
    longer = np.concatenate([before, points, after])
    smooth: Line = ndimage.gaussian_filter1d(longer, deviation, axis=0, mode="nearest")
    return smooth[pad : pad + count]


def _measure_crack(pixels: Pixels, lines: Sequence[Line], half_width_px: float, score: float) -> Crack:
    """Move lines to where the photo is darkest, and measure across them. Lines in pixels of the photo, row first."""
    tangents = [_find_tangents(line) for line in lines]
    stations = [np.arange(min(1, len(line) - 1), len(line), PROFILE_POINTS) for line in lines]
    points, directions = (
        np.concatenate([values[at] for values, at in zip(of_all, stations, strict=True)])
        for of_all in (lines, tangents)
    )
    reach_px = int(np.clip(REACH * half_width_px, LEAST_REACH_PX, MOST_REACH_PX))
    widths, moves, is_inside, is_blurred = _measure_across(pixels, points, directions, reach_px)
    widths[widths > MOST_WIDTH * half_width_px + BLUR_PX] = np.nan
    ends = np.cumsum([len(at) for at in stations])[:-1]
    moved, medians = list[Line](), list[NDArray[np.float64]]()
    for line, along, at, own_widths, own_moves in zip(
        lines, tangents, stations, np.split(widths, ends), np.split(moves, ends), strict=True
    ):
        middle = _find_running_median(own_moves)
        own_widths[~(np.abs(own_moves - middle) <= MOST_JUMP_PX) | (np.abs(middle) > MOST_MOVE_PX)] = np.nan
        known = ~np.isnan(own_widths)
        medians.append(np.where(known, _find_running_median(own_widths), np.nan))
        is_led = known.sum() >= LEAST_SHARE * len(known)
        moved.append(_move(line, along, at[known], middle[known]) if is_led else line)
    moved = [np.clip(line, 0, pixels.shape[:2]) for line in moved]
    simple = tuple(approximate_polygon(line, TOLERANCE_PX)[:, ::-1] for line in moved)
    return Crack(
        lines=simple,
        length_px=sum(map(measure_length, moved)),
        orientation_deg=find_orientation(np.concatenate(simple)),
        widths=_summarise(np.concatenate(medians), is_inside, is_blurred),
        score=score,
    )


def _move(line: Line, tangents: Line, stations: NDArray[np.int64], moves: NDArray[np.float64]) -> Line:
    """Return a line moved across itself, as far as some of its points say."""
    by = np.interp(np.arange(len(line)), stations, moves)
    return _smooth(line + by[:, None] * find_normals(tangents[:, ::-1])[:, ::-1], SMOOTH_MOVED_PX)


def _find_tangents(line: Line) -> Line:
    along = np.gradient(line, axis=0)
    unit: Line = along / np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    return unit


class _Across(NamedTuple):
    """What profiles tell; NaN where there is no measure. Shape: (N,) each."""

    widths: NDArray[np.float64]
    moves: NDArray[np.float64]
    is_inside: NDArray[np.bool_]
    """Whether the whole profile is within the photo."""
    is_blurred: NDArray[np.bool_]


def _measure_across(pixels: Pixels, points: Line, tangents: Line, reach_px: int) -> _Across:
    """Measure across lines at some of their points. Shape: (N, 2) each."""
    x_y, directions = points[:, ::-1], tangents[:, ::-1]
    is_inside = are_inside(pixels.shape, x_y, directions, reach_px, ALONG_PX)
    found = measure_profiles(cut_profiles(pixels, x_y[is_inside], directions[is_inside], reach_px, ALONG_PX))
    widths, moves = np.full(len(points), np.nan), np.full(len(points), np.nan)
    is_blurred = np.zeros(len(points), bool)
    widths[is_inside], moves[is_inside], is_blurred[is_inside] = found.width_px, found.offset_px, found.is_blurred
    return _Across(widths, moves, is_inside, is_blurred)


def _find_running_median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each value's neighbourhood without NaN; NaN where there is nothing else. Shape: (n,)."""
    padded = np.pad(values, MEDIAN_PROFILES // 2, constant_values=np.nan)
    return median_without_nan(np.lib.stride_tricks.sliding_window_view(padded, MEDIAN_PROFILES))


def _summarise(widths: NDArray[np.float64], is_inside: NDArray[np.bool_], is_blurred: NDArray[np.bool_]) -> Widths:
    """Compute the widths of a crack from those at its places, NaN where unknown. Shape: (N,) each."""
    is_known = ~np.isnan(widths)
    if is_inside.sum() < LEAST_SHARE * len(is_inside):
        return Widths("at_border")
    if is_known.sum() < LEAST_SHARE * is_inside.sum():
        return Widths("not_dark")
    if (is_known & is_blurred).sum() > LEAST_SHARE * is_known.sum():
        return Widths("blurred")
    p50, p95, most = np.percentile(widths[is_known & ~is_blurred], [50, 95, 100]).tolist()
    return Widths("too_thin") if p50 < TOO_THIN_PX else Widths("ok", p50, p95, most)
