"""Boxes: parts of a photo that are labelled tiles, for files that hold several tiles.

Geometry and names only; `masks` and `tables` choose the boxes.
"""

from typing import Any, NamedTuple, TypeVar, cast

from numpy.typing import NDArray

from pipeline.core.errors import DataError

Array = TypeVar("Array", bound=NDArray[Any])


class Box(NamedTuple):
    """A part of a photo, in pixels of the upright photo."""

    top_px: int
    left_px: int
    height_px: int
    width_px: int


def tile_name(url: str, box: Box | None) -> str:
    """Name a tile by its file, with its box as a W3C media fragment; a tile without a box is the whole file."""
    return url if box is None else f"{url}#xywh={box.left_px},{box.top_px},{box.width_px},{box.height_px}"


def picture_of(name: str) -> str:
    """Return the file of a tile's name."""
    return name.partition("#xywh=")[0]


def cut(pixels: Array, box: Box | None) -> Array:
    """Return a box of a photo or of its mask, or all of it without a box.

    Shape: (H, W, …) → (height_px, width_px, …), a view.

    Raises:
        DataError: the box reaches over the photo's edge, so somebody replaced the photo or the table of boxes.
    """
    if box is None:
        return pixels
    height_px, width_px = pixels.shape[:2]
    bottom_px, right_px = box.top_px + box.height_px, box.left_px + box.width_px
    if bottom_px > height_px or right_px > width_px:
        raise DataError(
            "decode",
            "truncated_image",
            f"The photo is {height_px} pixels high and {width_px} wide; the tile ends at {bottom_px} and {right_px}.",
        )
    return cast("Array", pixels[box.top_px : bottom_px, box.left_px : right_px])
