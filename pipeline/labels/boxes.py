"""Boxes: the parts of a photo that are labelled tiles by themselves, where several tiles lie in one file.

Geometry and names only. Which boxes a photo gets is left to `masked` and `label_table`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import DataError

Pixels = NDArray[np.uint8]


class Box(NamedTuple):
    """A part of a photo, in pixels of the upright photo."""

    top_px: int
    left_px: int
    height_px: int
    width_px: int


def tile_name(url: str, box: Box | None) -> str:
    """Name a tile: its file, and where in it as a W3C media fragment; `None` is the whole file."""
    return url if box is None else f"{url}#xywh={box.left_px},{box.top_px},{box.width_px},{box.height_px}"


def cut(pixels: Pixels, box: Box | None) -> Pixels:
    """Return a tile's part of its photo; `None` is all of it.

    Shape: (H, W, 3) → (height_px, width_px, 3), a view.

    Raises:
        DataError: the box reaches over the photo's edge; a photo was replaced, or the table of boxes is another one's.
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
    return pixels[box.top_px : bottom_px, box.left_px : right_px]
