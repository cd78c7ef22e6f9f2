"""What people draw on photos, whatever the tool, and how it becomes pixels.

A shape says where something is and what it is called; which names mean a crack is for the caller to say.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from pipeline.annotations.entries import MOST_COORDINATE, Coordinates, Entry, Size
from pipeline.annotations.rle import Mask, RunLengths

LINE_WIDTH_PX = 3
"""Of a crack that is drawn as a line. Cracks in inspection photos are 1 to 5 pixels wide, and the labels of tiles
depend on where a crack runs, not on its width."""
ELLIPSE_POINTS = 72
"""Corners of an ellipse: every 5 degrees, off by a thousandth of its radius."""
PARALLEL = 1e-4
"""How exact a polygon of four corners must be to be a box, as part of its extent; exporters round to 1e-6."""


class Label(NamedTuple):
    """What an annotation is called, and where it stands."""

    names: tuple[str, ...]
    """Its own name first, then wider ones, such as the supercategory; none if it has no name."""
    entry: Entry


class Area(NamedTuple):
    """An area with an outline: everything inside is what the label says."""

    label: Label
    rings: tuple[Coordinates, ...]
    """Outlines of its parts."""


class Line(NamedTuple):
    """A line along a crack."""

    label: Label
    points: Coordinates


class Frame(NamedTuple):
    """A box around something, turned or not: what the label says touches all four sides from inside."""

    label: Label
    corners: Coordinates
    """Shape (4, 2), in order around the box."""


class Raster(NamedTuple):
    """Pixels that are what the label says."""

    label: Label
    top_px: int
    left_px: int
    runs: RunLengths
    whole_photo: bool
    """Whether it must have the size of its photo."""


class Dot(NamedTuple):
    """Points: something is there, nobody says how far it reaches."""

    label: Label
    points: Coordinates


class Remark(NamedTuple):
    """A word about the whole photo."""

    label: Label


Shape = Area | Line | Frame | Raster | Dot | Remark


class AnnotatedPhoto(NamedTuple):
    """What an export says of one photo."""

    entry: Entry
    names: tuple[str, ...]
    """Paths of its file as the export spells them, the likeliest first; none if it is known not to be there."""
    size: Size | None
    """As the export says; None if it does not."""
    shapes: tuple[Shape, ...]
    relative: bool = False
    """Whether coordinates are parts of the photo's sides instead of pixels."""
    assumed_sound: bool = False
    """Whether nothing was written about the photo, and the format takes that for a photo without anything."""


def frame(label: Label, left: float, top: float, right: float, bottom: float) -> Frame:
    """Return an upright box.

    Raises:
        UsageError: it has no width or height.
    """
    if right <= left or bottom <= top:
        raise label.entry.error("the box", (left, top, right, bottom), "left < right and top < bottom")
    return Frame(label, np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64))


def area(label: Label, ring: Coordinates) -> Area | Frame:
    """Return the area inside an outline; a box if that is what it is.

    A polygon of two pairs of parallel sides is how several exporters write a box, and claims less than an area does.
    """
    corners = ring[:-1] if len(ring) == 5 and (ring[0] == ring[-1]).all() else ring
    if len(corners) == 4:
        extent = float(np.ptp(corners, axis=0).max())
        if np.abs(corners[0] + corners[2] - corners[1] - corners[3]).max() <= PARALLEL * extent:
            return Frame(label, corners)
    return Area(label, (ring,))


def ellipse(label: Label, centre: tuple[float, float], radii: tuple[float, float], degrees: float) -> Area:
    """Return the area of an ellipse, turned clockwise around its centre; centre and radii are x before y.

    Raises:
        UsageError: it has no extent.
    """
    if min(radii) <= 0:
        raise label.entry.error("the radii", radii, "two numbers over 0")
    angles = np.linspace(0, 2 * math.pi, ELLIPSE_POINTS, endpoint=False)
    ring = np.stack([radii[0] * np.cos(angles), radii[1] * np.sin(angles)], axis=1)
    return Area(label, (turn(ring + centre, centre, degrees),))


def turn(points: Coordinates, centre: tuple[float, float], degrees: float) -> Coordinates:
    """Turn points clockwise, as seen on the photo, whose y axis points down. Shape: (n, 2) → (n, 2)."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned: Coordinates = (points - centre) @ np.array([(cosine, sine), (-sine, cosine)]) + centre
    return turned


def scale(shape: Shape, factors: tuple[float, float]) -> Shape:
    """Return a shape with its x and y multiplied; one that has no outline as it is."""
    match shape:
        case Area(label, rings):
            return Area(label, tuple(ring * factors for ring in rings))
        case Line(label, points):
            return Line(label, points * factors)
        case Frame(label, corners):
            return Frame(label, corners * factors)
        case Dot(label, points):
            return Dot(label, points * factors)
    return shape


def check_inside(shape: Shape, size: Size) -> None:
    """Check that a shape lies on a photo, at least in part; what reaches over its edge is cut off in drawing.

    Raises:
        UsageError: it lies outside, or is a mask of another size than the photo.
    """
    if isinstance(shape, Raster):
        if shape.whole_photo and shape.runs.size != size:
            raise shape.label.entry.error("a mask", tuple(shape.runs.size), f"the size of its photo: {size}")
        inside = _crop(shape, size) is not None
    else:
        points = _list_points(shape)
        if (np.abs(points) > MOST_COORDINATE).any():
            raise shape.label.entry.error("a coordinate", float(np.abs(points).max()), f"pixels of a photo: {size}")
        low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else (np.zeros(2), np.zeros(2))
        inside = bool((high >= 0).all() and low[0] <= size.width_px and low[1] <= size.height_px)
        if isinstance(shape, Frame):  # which must cover a pixel, while outlines and points may lie on the edge
            inside = bool((high > 0).all() and low[0] < size.width_px and low[1] < size.height_px)
    if not inside:
        expected = f"some of it on the photo, which is {size}"
        raise shape.label.entry.error("a place outside of its photo", type(shape).__name__, expected)


def clip_upright(box: Frame, size: Size) -> Frame:
    """Return an upright box without what reaches over the photo's edge, where the crack in it runs, too."""
    if not is_upright(box.corners):
        return box
    return Frame(box.label, np.clip(box.corners, 0, (size.width_px, size.height_px)))


def draw(shapes: Iterable[Shape], size: Size) -> Mask:
    """Return where any of these shapes is, boxes and areas filled. Shape: → (height_px, width_px)."""
    canvas = Image.new("L", (size.width_px, size.height_px))
    pen = ImageDraw.Draw(canvas)
    rasters = []
    for shape in shapes:
        match shape:
            case Area(_, rings):
                for ring in rings:
                    _fill(pen, ring)
            case Line(_, points):
                pen.line(points.ravel().tolist(), fill=1, width=LINE_WIDTH_PX, joint="curve")
            case Frame(_, corners):
                _fill_frame(pen, corners)
            case Dot(_, points):
                pen.point(np.floor(points).ravel().tolist(), fill=1)
            case Raster():
                rasters.append(shape)
    mask = np.array(canvas, np.bool_)
    for raster in rasters:
        _paste(mask, raster)
    return mask


def is_upright(corners: Coordinates) -> bool:
    """Tell whether a box has upright sides. Shape: (4, 2) →."""
    return bool((np.abs(corners[0] - corners[1]).min() == 0) and (np.abs(corners[1] - corners[2]).min() == 0))


def _list_points(shape: Shape) -> Coordinates:
    match shape:
        case Area(_, rings):
            return np.concatenate(rings)
        case Line(_, points) | Frame(_, points) | Dot(_, points):
            return points
    return np.empty((0, 2))


def _fill(pen: ImageDraw.ImageDraw, ring: Coordinates) -> None:
    """Fill an outline; its own pixels count, so that a crack of no width is still drawn."""
    if len(ring) == 1:
        pen.point(np.floor(ring).ravel().tolist(), fill=1)
    else:
        pen.polygon(ring.ravel().tolist(), fill=1, outline=1)


def _fill_frame(pen: ImageDraw.ImageDraw, corners: Coordinates) -> None:
    """Fill every pixel that a box covers, at least in part; Pillow alone would add a row and a column."""
    if not is_upright(corners):
        return _fill(pen, corners)
    left, top = np.floor(corners.min(axis=0)).tolist()
    right, bottom = (np.ceil(corners.max(axis=0)) - 1).tolist()
    return pen.rectangle((left, top, max(left, right), max(top, bottom)), fill=1)


def _crop(raster: Raster, size: Size) -> tuple[slice, slice] | None:
    """Return the rows and columns of a photo that a mask covers, None if there are none."""
    top, left = max(0, raster.top_px), max(0, raster.left_px)
    bottom = min(size.height_px, raster.top_px + raster.runs.size.height_px)
    right = min(size.width_px, raster.left_px + raster.runs.size.width_px)
    return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None


def _paste(mask: Mask, raster: Raster) -> None:
    place = _crop(raster, Size(*mask.shape))
    if place is None:
        return
    rows, columns = place
    part = raster.runs.decode()
    mask[rows, columns] |= part[
        rows.start - raster.top_px : rows.stop - raster.top_px,
        columns.start - raster.left_px : columns.stop - raster.left_px,
    ]
