"""Photos with annotations from labelling tools as labelled boxes: `annotations` reads them, the rules here label tiles.

* An area, a painted mask or a line with the name of a crack is a crack mask, and `masks` has the rule for it.
* A box says less: a crack is inside and touches all four sides. `label_by_frame` says which tiles it makes cracked.
* Sound: nothing that is or may be a crack is in the tile, nor within `masks.MARGIN_PX`. Boxes and points of a crack
  may be, and so may everything with a name that is not known, since it may be another word for crack.
* Any other tile has no honest label. What has the name of sound places is no crack, and says no more.

An export is taken to be complete: where nothing is drawn on a photo that it lists, nothing is cracked. A word about the
whole photo counts, too. Where no crack is drawn, one that means a crack or is not known says that there may be one: the
photo is not used. One that means sound says that nothing but the cracks drawn in it is a crack.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import storage
from pipeline.annotations import readers
from pipeline.annotations.entries import Coordinates, Size
from pipeline.annotations.shapes import (
    AnnotatedPhoto,
    Dot,
    Frame,
    Remark,
    Shape,
    check_inside,
    clip_upright,
    draw,
    scale,
)
from pipeline.core.counts import none_of
from pipeline.core.errors import DataError, UsageError
from pipeline.images.decode import decode
from pipeline.labels import masks
from pipeline.labels.boxes import Box
from pipeline.labels.label_tables import ClassNames
from pipeline.labels.mask_files import MOST_CRACK

Places = NDArray[np.int64]
"""Shape (n, 4): tiles as `Box` spells them."""

NAMED_CATEGORIES = 10
"""How many unknown categories an error names."""
ROUNDING = 1e-9
"""Differences that are none: they depend on the corner that a tool begins a box with."""
NO_NAME = "(no name)"
"""What counts call an annotation without a category."""


class LabelledBox(NamedTuple):
    """A tile of a photo."""

    url: str
    """The photo."""
    box: Box
    cracked: bool


class AnnotatedBoxes(NamedTuple):
    """The tiles of an export, and what was not used of it."""

    boxes: list[LabelledBox]
    unmatched: dict[str, int]
    """Categories that no class name takes, and how many annotations have each."""
    missing: list[str]
    """Annotated photos that were not found, as the export names them."""
    unannotated: int
    """Photos of which the export says nothing."""
    assumed_sound: int
    """Photos that are sound because YOLO has no file of labels for them."""
    points: int
    """Points: nobody knows how far what they mark reaches."""
    only_remarked: int
    """Photos said to be cracked, or to be of an unknown category, as a whole."""
    companions: list[str]
    """What lies beside COCO instances and cannot be read, a sentence for each file."""


class _Photo(NamedTuple):
    """What is drawn on a photo, in its pixels."""

    size: Size
    cracks: list[Shape]
    frames: list[Frame]
    """Boxes around cracks."""
    doubts: list[Shape]
    """What may be a crack."""
    remarks: set[bool | None]
    """What is said of the whole photo: cracked, sound, or something unknown."""


def is_annotated(url: str) -> bool:
    """Tell whether a file or folder holds annotations; a folder with `images` and `masks` holds masks.

    Raises:
        UsageError: a file is damaged, or of a format that cannot be read.
    """
    return not masks.is_masked(url) and readers.is_export(url)


def read_labelled_boxes(url: str, names: ClassNames) -> AnnotatedBoxes:
    """Cut the photos of an export into labelled tiles.

    Args:
        url: canonical URL of a file or folder for which `is_annotated` is true.
        names: of the two classes.

    Raises:
        UsageError: an entry is wrong, a photo does not fit its annotations, or annotations have unknown names only.
    """
    export = readers.read(url)
    everything = [photo for of_photo in export.photos.values() for photo in of_photo]
    unmatched = _count_unmatched(everything, names, url)
    boxes: list[LabelledBox] = []
    only_remarked = 0
    urls = sorted(export.photos)
    for photo_url, data in zip(urls, storage.read_many(urls), strict=True):
        photo = _sort_shapes(photo_url, data, export.photos[photo_url], names)
        if _is_usable(photo):
            boxes += [LabelledBox(photo_url, box, cracked) for box, cracked in _label_boxes(photo, photo_url)]
        else:
            only_remarked += 1
    return AnnotatedBoxes(
        boxes=boxes,
        unmatched=unmatched,
        missing=export.missing,
        unannotated=export.unannotated,
        assumed_sound=sum(photo.assumed_sound for photo in everything),
        points=sum(isinstance(shape, Dot) for photo in everything for shape in photo.shapes),
        only_remarked=only_remarked,
        companions=[str(companion) for companion in export.companions],
    )


def list_unused(found: AnnotatedBoxes) -> list[str]:
    """Say what was not used of an export, a sentence each."""
    categories = ", ".join(f"{name!r} ({count:,})" for name, count in list(found.unmatched.items())[:NAMED_CATEGORIES])
    sentences = [
        (
            sum(found.unmatched.values()),
            "annotation has a name that is",
            "annotations have names that are",
            f"no class: {categories}. No tile near is sound. Give those that belong with --positive or --negative.",
        ),
        (
            len(found.missing),
            "annotated photo was",
            "annotated photos were",
            f"not found, the first: {next(iter(found.missing), '')}. Put them below its folder, as JPEG or PNG.",
        ),
        (
            found.unannotated,
            "photo in the folder is",
            "photos in the folder are",
            "not in the annotations, and not used.",
        ),
        (
            found.assumed_sound,
            "photo has",
            "photos have",
            "no file of labels, as YOLO leaves it out where nothing is drawn: sound.",
        ),
        (found.points, "point is", "points are", "ignored, since nobody knows how far they reach."),
        (
            found.only_remarked,
            "photo is",
            "photos are",
            "said to be cracked, or something unknown, as a whole, and no crack is drawn: not used.",
        ),
        (
            len(found.companions),
            "file beside the annotations is",
            "files beside the annotations are",
            f"not used: {next(iter(found.companions), '')}",
        ),
    ]
    return [f"{count:,} {one if count == 1 else many} {what}" for count, one, many, what in sentences if count]


def label_by_frame(corners: Coordinates, boxes: Places) -> NDArray[np.bool_]:
    """Tell which tiles a box around a crack makes cracked.

    The crack runs from one end of its box to the other, since the box is as small as it can be. So every cross-section
    of the box, at right angles to its long sides, has some crack in it, and a tile that holds a whole cross-section
    holds that crack. The tile is cracked if it holds enough of them that the crack crosses a quarter of the tile's rows
    or columns, and if the box's middle line, where it holds them, enters the middle half of the tile.

    Shape: corners (4, 2), in order around the box; boxes (n, 4) → (n,).
    """
    sides = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    turned = np.roll(corners, -1, axis=0)
    cracked = np.zeros(len(boxes), np.bool_)
    if sides[0] >= sides[1] - ROUNDING:
        cracked |= _is_crossed(corners, boxes)
    if sides[1] >= sides[0] - ROUNDING:
        cracked |= _is_crossed(turned, boxes)
    return cracked


def _is_crossed(corners: Coordinates, boxes: Places) -> NDArray[np.bool_]:
    """Tell which tiles hold enough cross-sections of a box whose first side is a long one."""
    along, across = corners[1] - corners[0], corners[3] - corners[0]
    one, other = (_clip(np.broadcast_to(corner, (len(boxes), 2)), along, boxes, 0) for corner in corners[[0, 3]])
    start, end = np.maximum(one[0], other[0]), np.minimum(one[1], other[1])
    part = along * (end - start)[:, np.newaxis]
    middle = corners[0] + across / 2 + along * start[:, np.newaxis]
    near, far = _clip(middle, part, boxes, boxes[:, 2] // 4)
    crossed_px = (np.abs(part) - np.abs(across)).max(axis=1)
    is_long: NDArray[np.bool_] = crossed_px >= masks.LEAST_SPAN * boxes[:, 2] - ROUNDING
    return is_long & (end - start > ROUNDING) & (far - near > ROUNDING)


def _clip(
    origins: Coordinates, directions: Coordinates, boxes: Places, inset_px: NDArray[np.int64] | int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return from where to where a line runs in each tile, as parts of its length; the end before the start if nowhere.

    Source: Liang and Barsky, A New Concept and Method for Line Clipping, 1984.

    Shape: origins (n, 2), directions (n, 2) or (2,), boxes (n, 4) → (n,), (n,).
    """
    lows, sides = boxes[:, [1, 0]], boxes[:, [3, 2]]
    inset = np.reshape(inset_px, (-1, 1))
    low, high = lows + inset - origins, lows + sides - inset - origins
    steps = np.broadcast_to(directions, low.shape)
    still = steps == 0
    safe = np.where(still, 1.0, steps)
    outside = still & ~((low <= 0) & (high >= 0))
    first = np.where(still, np.where(outside, 1.0, 0.0), np.minimum(low / safe, high / safe))
    last = np.where(still, np.where(outside, 0.0, 1.0), np.maximum(low / safe, high / safe))
    return np.maximum(first.max(axis=1), 0.0), np.minimum(last.min(axis=1), 1.0)


def _parse(shape: Shape, names: ClassNames) -> bool | None:
    """Tell what a shape is, by the first of its names that is known."""
    return next((found for name in shape.label.names if (found := names.parse(name)) is not None), None)


def _count_unmatched(photos: Sequence[AnnotatedPhoto], names: ClassNames, url: str) -> dict[str, int]:
    """Count the annotations of each unknown category, the most frequent first.

    Raises:
        UsageError: no annotation has a known one.
    """
    shapes = [shape for photo in photos for shape in photo.shapes]
    unmatched = Counter(next(iter(shape.label.names), NO_NAME) for shape in shapes if _parse(shape, names) is None)
    if unmatched and unmatched.total() == len(shapes):
        found = ", ".join(f"{name!r} ({count:,})" for name, count in unmatched.most_common(NAMED_CATEGORIES))
        raise UsageError(
            f"{none_of(len(shapes), 'annotation')} in {url} has the name of a class. Found: {found}"
            f"{', …' if len(unmatched) > NAMED_CATEGORIES else ''}. Give what means a crack with --positive, and what "
            "means none with --negative."
        )
    return dict(unmatched.most_common())


def _sort_shapes(url: str, data: bytes, annotated: Sequence[AnnotatedPhoto], names: ClassNames) -> _Photo:
    """Return what is drawn on a photo, sorted by what it means."""
    try:
        size = Size(*decode(data).pixels.shape[:2])
    except DataError as error:
        raise UsageError(f"{url} cannot be read: {error} Repair it, or remove it and its annotations.") from error
    photo = _Photo(size, [], [], [], set())
    for of_photo in annotated:
        _check_size(url, size, of_photo)
        factors = (float(size.width_px), float(size.height_px)) if of_photo.relative else (1.0, 1.0)
        for shape in of_photo.shapes:
            _sort_shape(scale(shape, factors), _parse(shape, names), photo)
    return photo._replace(doubts=[]) if False in photo.remarks else photo


def _sort_shape(shape: Shape, cracked: bool | None, photo: _Photo) -> None:  # noqa: FBT001 - a label
    check_inside(shape, photo.size)
    if isinstance(shape, Remark):
        photo.remarks.add(cracked)
    elif cracked is None or (cracked and isinstance(shape, Dot)):
        photo.doubts.append(shape)
    elif cracked and isinstance(shape, Frame):
        photo.frames.append(clip_upright(shape, photo.size))
    elif cracked:
        photo.cracks.append(shape)


def _check_size(url: str, size: Size, annotated: AnnotatedPhoto) -> None:
    if annotated.size in {None, size}:
        return
    swapped = " It was drawn on before its EXIF turned it upright: export again from a tool that heeds EXIF."
    raise UsageError(
        f"{annotated.entry} says that its photo is {annotated.size}; {url} is {size} (upright, as its EXIF says)."
        f"{swapped if annotated.size == size[::-1] else ' Give the photo that was drawn on.'}"
    )


def _is_usable(photo: _Photo) -> bool:
    """Tell whether what is not drawn says anything: not where a word about the whole photo says more."""
    if photo.cracks or photo.frames or not photo.remarks:
        return True
    return False in photo.remarks and True not in photo.remarks


def _label_boxes(photo: _Photo, url: str) -> Iterator[tuple[Box, bool]]:
    """Yield the tiles of a photo that have an honest label, and whether they are cracked."""
    crack = draw(photo.cracks, photo.size)
    if (share := float(crack.mean())) > MOST_CRACK:
        raise UsageError(
            f"Annotations mark {share:.0%} of {url} as crack; expected the crack alone. Give only the name of cracks "
            "with --positive, and draw places with cracks in them as boxes."
        )
    may_be = crack | draw([*photo.frames, *photo.doubts], photo.size)
    boxes = [box for box, _ in masks.label_boxes(np.zeros(photo.size, np.bool_))]
    framed = _label_by_frames(photo.frames, np.array(boxes, np.int64).reshape(-1, 4))
    for box, is_framed in zip(boxes, framed.tolist(), strict=True):
        if masks.label_box(may_be, box) is False:
            yield box, False
        elif is_framed or masks.label_box(crack, box):
            yield box, True


def _label_by_frames(frames: Sequence[Frame], boxes: Places) -> NDArray[np.bool_]:
    """Tell which tiles any of the boxes around cracks makes cracked, looking only at the tiles that it reaches into."""
    cracked = np.zeros(len(boxes), np.bool_)
    low, high = boxes[:, [1, 0]], boxes[:, [1, 0]] + boxes[:, [3, 2]]
    for _, corners in frames:
        near = np.flatnonzero(((corners.max(axis=0) > low) & (corners.min(axis=0) < high)).all(axis=1) & ~cracked)
        cracked[near] = label_by_frame(corners, boxes[near])
    return cracked
