"""The geometry of the plots in a page: bars, dots, axes and a scale bar, in pixels of an SVG.

The counts come from `dataset_stats`, and the page's template draws the SVG. Pixels count from the top left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import ceil, cos, floor, log10, radians

import numpy as np
from numpy.typing import NDArray

from pipeline.core.counts import count_of
from pipeline.reports import heatmap
from pipeline.reports.crack_stats import ClassTotals
from pipeline.reports.dataset_stats import Dot

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius, IUGG."""

WIDTH_PX = 640
PAD_PX = 30
"""Room for axes and for dots at the edge."""
FEET_PX = 24
"""Room below for the text under an axis or a plan."""

DIFFERENCE_BINS = 41
"""Bins of differences, from -1 to 1: an odd number, so that 0 is in the middle of one."""
FELL, ALIKE, ROSE = "#4a7fb5", "#9a9a9a", "#d7301f"
"""Colours of differences; all eyes can tell blue and red apart."""

_STEPS_S = (1, 10, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 2 * 86400, 7 * 86400, 14 * 86400)
"""Distances of ticks along the time, in seconds."""
_MOST_TICKS = 7
"""Along the time."""


@dataclass(frozen=True)
class Mark:
    """A bar or a dot."""

    x_px: float
    y_px: float
    """Top left corner of a bar, centre of a dot."""
    width_px: float
    """Width of a bar, radius of a dot."""
    height_px: float
    colour: str
    title: str
    """What it shows, in words."""
    image: str = ""
    """The worst photo of a dot."""


@dataclass(frozen=True)
class Tick:
    """A place on an axis."""

    place_px: float
    label: str


@dataclass(frozen=True)
class Plot:
    """What a template needs to draw a plot."""

    height_px: int
    marks: Sequence[Mark]
    across: Sequence[Tick] = ()
    down: Sequence[Tick] = ()
    note: str = ""
    """What the plot leaves out, or its scale, in words."""
    width_px: int = WIDTH_PX


def draw_histogram(counts: Sequence[int], height_px: int = 200) -> Plot:
    """Draw photos by score as bars in the colours of the scores."""
    most, bin_px = max(1, *counts), (WIDTH_PX - 2 * PAD_PX) / len(counts)
    room_px = height_px - FEET_PX - PAD_PX
    marks = [
        _bar(number, count, len(counts), (bin_px, room_px * count / most, height_px - FEET_PX))
        for number, count in enumerate(counts)
        if count
    ]
    across = [Tick(score_px(tenth / 5), f"{tenth / 5:g}") for tenth in range(6)]
    return Plot(height_px, marks, across, note=f"the highest bar is {count_of(most)}" if marks else "none was scored")


def draw_cracks(classes: Sequence[ClassTotals], labels: Mapping[float, str], height_px: int = 200) -> Plot:
    """Draw the length of crack in each class as bars.

    Args:
        classes: from left to right; grey, if they have no colour.
        labels: by their places on the axis, from 0 to 1.
        height_px: of the plot.
    """
    longest = max(one.length for one in classes) or 1
    room_px, floor_px, bin_px = (
        height_px - FEET_PX - PAD_PX,
        height_px - FEET_PX,
        (WIDTH_PX - 2 * PAD_PX) / len(classes),
    )
    marks = []
    for number, one in enumerate(classes):
        long_px = round(max(1.0, room_px * one.length / longest), 1)
        place = (round(PAD_PX + number * bin_px, 1), round(floor_px - long_px, 1), round(bin_px - 1, 1), long_px)
        if one.cracks:
            marks.append(Mark(*place, one.colour or ALIKE, one.title))
    return Plot(height_px, marks, [Tick(score_px(place), label) for place, label in labels.items()])


def draw_differences(differences: NDArray[np.float64], height_px: int = 200) -> Plot:
    """Draw differences of scores as bars from -1 to 1: fallen on the left, risen on the right, alike in the middle."""
    edges = np.linspace(-1, 1, DIFFERENCE_BINS + 1)
    counts = np.histogram(differences, edges)[0].tolist()
    plot, middle = draw_histogram(counts, height_px), DIFFERENCE_BINS // 2
    numbers = [number for number, count in enumerate(counts) if count]
    colours = [FELL if number < middle else ROSE if number > middle else ALIKE for number in numbers]
    titles = [f"{count_of(counts[number])} from {edges[number]:+.2f} to {edges[number + 1]:+.2f}" for number in numbers]
    marks = [
        replace(mark, colour=colour, title=title)
        for mark, colour, title in zip(plot.marks, colours, titles, strict=True)
    ]
    across = [Tick(score_px((tick + 1) / 2), f"{tick:+g}" if tick else "0") for tick in (-1, -0.5, 0, 0.5, 1)]
    return replace(plot, marks=marks, across=across)


def score_px(score: float) -> float:
    """Return the x of a score in the histogram."""
    return PAD_PX + score * (WIDTH_PX - 2 * PAD_PX)


def _bar(number: int, count: int, bins: int, size_px: tuple[float, float, float]) -> Mark:
    width_px, long_px, floor_px = size_px
    first, last = number / bins, (number + 1) / bins
    title = f"{count_of(count)} from {first:.3g} to {last:.3g}"
    least_px = max(1.0, long_px)  # one photo among many thousands must be visible
    x_px = round(PAD_PX + number * width_px, 1)
    return Mark(x_px, round(floor_px - least_px, 1), round(width_px - 1, 1), round(least_px, 1),
                heatmap.to_css((first + last) / 2), title)  # fmt: skip


def draw_plan(dots: Sequence[Dot], left_out: int) -> Plot | None:
    """Draw positions as seen from above, north up and true to scale; return None without any.

    The plan takes the Earth for a plane around the middle of all positions: on a bridge nobody sees the difference.
    """
    if not dots:
        return None
    to_east_m = radians(1) * EARTH_RADIUS_M * cos(radians(sum(dot.y for dot in dots) / len(dots)))
    east_m = [dot.x * to_east_m for dot in dots]
    north_m = [dot.y * radians(1) * EARTH_RADIUS_M for dot in dots]
    wide_m, high_m = max(east_m) - min(east_m), max(north_m) - min(north_m)
    px_per_m = min((WIDTH_PX - 2 * PAD_PX) / max(wide_m, 1), (WIDTH_PX - 2 * PAD_PX) * 0.6 / max(high_m, 1))
    left_px = (WIDTH_PX - wide_m * px_per_m) / 2
    marks = [
        _dot(dot, left_px + (x_m - min(east_m)) * px_per_m, PAD_PX + (max(north_m) - y_m) * px_per_m, len(dots))
        for dot, x_m, y_m in zip(dots, east_m, north_m, strict=True)
    ]
    note = f"{count_of(left_out)} far away from all others not drawn." if left_out else ""
    scale = _scale_bar(px_per_m)
    return Plot(round(high_m * px_per_m) + 2 * PAD_PX + FEET_PX, marks, [scale], note=note)


def draw_timeline(dots: Sequence[Dot], height_px: int = 220) -> Plot | None:
    """Draw scores along the time of capture; return None if no photo has one."""
    if not dots:
        return None
    first, last = min(dot.x for dot in dots), max(dot.x for dot in dots)
    px_per_s = (WIDTH_PX - 2 * PAD_PX) / max(last - first, 1)
    room_px = height_px - FEET_PX - PAD_PX
    marks = [_dot(dot, PAD_PX + (dot.x - first) * px_per_s, PAD_PX + (1 - dot.y) * room_px, len(dots)) for dot in dots]
    across = [Tick(round(PAD_PX + (at - first) * px_per_s, 1), label) for at, label in _time_ticks(first, last)]
    down = [Tick(PAD_PX + (1 - score) * room_px, f"{score:g}") for score in (0, 0.5, 1)]
    return Plot(height_px, marks, across, down)


def _dot(dot: Dot, x_px: float, y_px: float, dots: int) -> Mark:
    radius_px = 5.5 if dots < 200 else 3.5 if dots < 2000 else 2.2
    more = f" and {count_of(dot.photos - 1, 'other')}" if dot.photos > 1 else ""
    title = f"{dot.image}{more}: score {dot.score:.2f}"
    return Mark(round(x_px, 1), round(y_px, 1), radius_px, radius_px, heatmap.to_css(dot.score), title, dot.image)


def _scale_bar(px_per_m: float) -> Tick:
    """Return a round length of at most a quarter of the plan, with its label."""
    long_m = round_down(WIDTH_PX / 4 / px_per_m)
    return Tick(round(long_m * px_per_m, 1), f"{long_m / 1000:g} km" if long_m >= 1000 else f"{long_m:g} m")


def round_down(value: float) -> float:
    """Return the next lower number of 1, 2, 5, 10, 20 … and their parts, for scale bars."""
    power = 10.0 ** floor(log10(value))
    return next((step * power for step in (5, 2) if step * power <= value), power)


def _time_ticks(first_s: float, last_s: float) -> list[tuple[float, str]]:
    """Return round moments between two moments, each with a label; at least the first."""
    if last_s - first_s < 1:
        return [(first_s, f"{_utc(first_s):%d %b %Y %H:%M}")]
    step_s = next((step for step in _STEPS_S if (last_s - first_s) / step <= _MOST_TICKS), None)
    step_s = step_s or 86400 * ceil((last_s - first_s) / 86400 / _MOST_TICKS)
    form = "%H:%M:%S" if step_s < 60 else "%d %b %H:%M" if step_s < 86400 else "%d %b %Y"
    begin = -(-first_s // step_s) * step_s
    places = [begin + number * step_s for number in range(_MOST_TICKS + 1) if begin + number * step_s <= last_s]
    return [(at, f"{_utc(at):{form}}") for at in places or [first_s]]


def _utc(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
