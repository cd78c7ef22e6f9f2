"""The tile grid of a photo: its boxes, and the pixels in them.

The grid covers every pixel: it shifts the last row and column in, and neither pads nor drops them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.core.errors import UsageError
from pipeline.images.decode import Pixels, resize

ONE_TILE_LIMIT = 1.25
"""A photo with both sides at most this many tiles long is one tile, resized."""


class Tile(NamedTuple):
    """One box of the grid, in pixels of the upright photo."""

    row: int
    col: int
    top_px: int
    left_px: int
    height_px: int
    width_px: int


@dataclass(frozen=True)
class TileSpec:
    """How to cut photos."""

    tile_px: int
    """Side of the square that the network sees, pixels."""
    overlap: float
    """Share of a tile that the next one covers, too, in [0, 0.9]."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.tile_px < 16:
            raise UsageError(f"The tile is {self.tile_px} pixels; expected at least 16. Give a larger --tile.")
        if not 0 <= self.overlap <= 0.9:
            raise UsageError(f"The overlap is {self.overlap}; expected a share from 0 to 0.9. Give another --overlap.")

    @property
    def step_px(self) -> int:
        """Distance between the edges of neighbouring tiles, pixels."""
        return max(1, round(self.tile_px * (1 - self.overlap)))


def grid(height_px: int, width_px: int, spec: TileSpec) -> list[Tile]:
    """List the boxes that cover a photo, row by row.

    Every box is inside the photo, and every pixel is in a box. Boxes span a side that is shorter than a tile.
    """
    if max(height_px, width_px) <= ONE_TILE_LIMIT * spec.tile_px:
        return [Tile(0, 0, 0, 0, height_px, width_px)]
    box_height_px, box_width_px = min(height_px, spec.tile_px), min(width_px, spec.tile_px)
    return [
        Tile(row, col, top_px, left_px, box_height_px, box_width_px)
        for row, top_px in enumerate(starts(height_px, box_height_px, spec.step_px))
        for col, left_px in enumerate(starts(width_px, box_width_px, spec.step_px))
    ]


def cut(pixels: Pixels, tiles: list[Tile], tile_px: int) -> Pixels:
    """Copy the boxes out of a photo, each resized to what the network sees.

    Shape: pixels (H, W, 3) → (N, tile_px, tile_px, 3), uint8.
    """
    squares = np.empty((len(tiles), tile_px, tile_px, 3), np.uint8)
    for square, (_, _, top, left, height, width) in zip(squares, tiles, strict=True):
        square[:] = resize(pixels[top : top + height, left : left + width], tile_px, tile_px)
    return squares


def starts(side_px: int, box_px: int, step_px: int) -> list[int]:
    """List where boxes start along one side: a step apart, the last one shifted in to end with the photo."""
    last = side_px - box_px
    return [*range(0, last, step_px), last]
