"""Pixels of any region of a raster, and of the whole of it in small, for pictures."""

from functools import cached_property

from pipeline.core.errors import DataError
from pipeline.images.decode import Pixels
from pipeline.images.tiles import TileSpec
from pipeline.rasters.window_decoder import decode_window
from pipeline.rasters.window_reader import WindowReader, WindowRule
from pipeline.rasters.windows import Size, Window
from pipeline.storage.byte_ranges import RangeReader

MOST_REGION_PIXELS = 1 << 27
"""Of one region: 400 MB, and as much again while it is decoded."""
MOST_OVERVIEW_PIXELS = 1 << 25
"""An overview that is larger is none that a page could show."""
_ANY_TILES = TileSpec(256, 0.0)


class RegionReader:
    """Reads regions of a raster.

    Args:
        file: of the raster.
        size: of the level whose pixels count, the raster itself or an overview of it.
    """

    def __init__(self, file: RangeReader, size: Size) -> None:
        self._file, self._size = file, size

    def read(self, top_px: int, left_px: int, height_px: int, width_px: int) -> Pixels:
        """Return a region; what shows nothing is white. Shape: (height_px, width_px, 3).

        Raises:
            DataError: a part of it is damaged, or the raster has no level of this size any more.
        """
        sizes = [level.picture.size for level in self._whole.raster.levels]
        if self._size not in sizes:
            found = f"{self._file.name} has no picture of {self._size.width_px:,} x {self._size.height_px:,} pixels"
            raise DataError("read", "archive_changed", f"{found} any more.")
        window = Window(top_px, left_px, height_px, width_px, 0, 0, 0, 0)
        return _read(self._at(sizes.index(self._size)), window, self._white)

    def read_small(self, longest_px: int) -> Pixels | None:
        """Return the whole raster from the smallest picture of it that is at least so long; None without a small one.

        Raises:
            DataError: a part of it is damaged.
        """
        sizes = [level.picture.size for level in self._whole.raster.levels]
        small = [number for number, size in enumerate(sizes) if size.height_px * size.width_px <= MOST_OVERVIEW_PIXELS]
        if not small:
            return None
        level = next((number for number in reversed(small) if max(sizes[number]) >= longest_px), small[0])
        return _read(self._at(level), Window(0, 0, *sizes[level], 0, 0, 0, 0), self._white)

    @cached_property
    def _whole(self) -> WindowReader:
        return self._at(0)

    @cached_property
    def _white(self) -> int:
        return self._whole.find_white()

    def _at(self, level: int) -> WindowReader:
        return WindowReader(self._file, WindowRule(_ANY_TILES, level))


def _read(reader: WindowReader, window: Window, white: int) -> Pixels:
    [(_, content)] = reader.read([window], white)
    if isinstance(content, DataError):
        raise content
    return decode_window(content).pixels
