"""The windows of a raster: rectangles of whole tiles of the one grid that covers it. Geometry alone.

A window is what a worker reads, decodes and scores at a time. Every tile of the raster's grid is in exactly one window,
so the tiles, and their scores, are those of a photo of the raster's size, however the windows are laid.
"""

import re
from collections.abc import Iterator
from math import isqrt
from typing import NamedTuple

from pipeline.images.tiles import Tile, TileSpec, starts

WINDOW_PIXELS = 1 << 24
"""A window has about so many: 50 MB of RGB, a few seconds of work for a CPU."""
WINDOW_BYTES = 64 << 20
"""A window has at most about so many bytes as they are stored decoded: of 16 bits or many bands it has fewer pixels."""
BLOCKS_HIGH = 8
"""Blocks to the height of a window: neighbours above each other read one row of blocks twice, which is an eighth more;
those beside each other share theirs (`reader`)."""

_NAME = re.compile(r"r(\d+)c(\d+)")


class Size(NamedTuple):
    """Of a raster or a block, pixels."""

    height_px: int
    width_px: int


class Window(NamedTuple):
    """A rectangle of a raster, and the tiles of its grid in it."""

    top_px: int
    left_px: int
    height_px: int
    width_px: int
    first_row: int
    """Of the raster's grid."""
    first_col: int
    rows: int
    """Of tiles."""
    cols: int

    @property
    def name(self) -> str:
        """Name of the window: row and column of its upper left pixel in the raster."""
        return f"r{self.top_px:06}c{self.left_px:06}"

    @property
    def end_px(self) -> tuple[int, int]:
        """Row and column behind its lower right pixel."""
        return self.top_px + self.height_px, self.left_px + self.width_px


def parse_name(name: str) -> tuple[int, int]:
    """Return row and column of the upper left pixel of a window in its raster, from the window's name.

    Raises:
        ValueError: it is no name of a window.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is no window of a raster; expected a name such as r004032c000000.")
    return int(match[1]), int(match[2])


def plan_windows(raster: Size, block: Size, pixel_bytes: int, spec: TileSpec) -> Iterator[Window]:
    """Lay windows over a raster, row by row.

    Args:
        raster: size.
        block: size of the strips or tiles that the file consists of.
        pixel_bytes: of a decoded pixel as it is stored, all its bands.
        spec: the grid of tiles.
    """
    most_px = max(1, min(WINDOW_PIXELS, WINDOW_BYTES // pixel_bytes))
    height_px, width_px = _choose_shape(raster, block, most_px, spec)
    down = [*_split_side(raster.height_px, height_px, spec)]
    across = [*_split_side(raster.width_px, width_px, spec)]
    for top_px, bottom_px, first_row, rows in down:
        for left_px, right_px, first_col, cols in across:
            size = bottom_px - top_px, right_px - left_px
            yield Window(top_px, left_px, *size, first_row, first_col, rows, cols)


def list_tiles(window: Window, raster: Size, spec: TileSpec) -> list[Tile]:
    """List the tiles of a window, row by row, in rows, columns and pixels of the window itself."""
    box_height_px, box_width_px = (min(side_px, spec.tile_px) for side_px in raster)
    down = starts(raster.height_px, box_height_px, spec.step_px)[window.first_row :][: window.rows]
    across = starts(raster.width_px, box_width_px, spec.step_px)[window.first_col :][: window.cols]
    return [
        Tile(row, col, top_px - window.top_px, left_px - window.left_px, box_height_px, box_width_px)
        for row, top_px in enumerate(down)
        for col, left_px in enumerate(across)
    ]


def count_tiles(raster: Size, spec: TileSpec) -> tuple[int, int]:
    """Return rows and columns of the grid of a raster."""
    rows, cols = (len(starts(side_px, min(side_px, spec.tile_px), spec.step_px)) for side_px in raster)
    return rows, cols


def _choose_shape(raster: Size, block: Size, most_px: int, spec: TileSpec) -> tuple[int, int]:
    """Choose about how high and wide windows are, so that few blocks lie in two of them.

    Of a raster of strips, windows are as wide as it is; of one of tiles, they are squares, or higher where its tiles
    are large.
    """
    if block.width_px >= raster.width_px:
        width_px = min(raster.width_px, 4 * most_px // min(raster.height_px, spec.tile_px))
        return max(1, most_px // width_px), width_px
    side_px = isqrt(most_px)
    is_small = block.height_px * block.width_px <= most_px // 16
    height_px = max(side_px, BLOCKS_HIGH * block.height_px) if is_small else side_px
    return height_px, most_px // height_px


def _split_side(side_px: int, window_px: int, spec: TileSpec) -> Iterator[tuple[int, int, int, int]]:
    """Split the tiles along one side evenly; yield start and end in pixels, the first tile, and how many.

    Args:
        side_px: of the raster.
        window_px: about the side of a window; one has at least one tile.
        spec: the grid of tiles.
    """
    box_px = min(side_px, spec.tile_px)
    places = starts(side_px, box_px, spec.step_px)
    most = max(1, (window_px - box_px) // spec.step_px + 1)
    parts = 1 if window_px >= side_px else -(-len(places) // most)
    ends = [len(places) * (part + 1) // parts for part in range(parts)]
    for first, end in zip([0, *ends], ends, strict=False):
        yield places[first], places[end - 1] + box_px, first, end - first
