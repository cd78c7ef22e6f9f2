"""Which level of a raster of 16 bits is white: the same for all its windows, and for every run.

Cameras of 12 or 14 bits leave most of 16 bits empty, and dividing by 65,535 would leave their pictures black. So white
is the lowest of 255, 511, 1023, … 65,535 that hardly a pixel exceeds: a power of two, which does not depend on the
light of the day, as percentiles do, and leaves the ratios of levels as they are.
"""

import contextlib

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import DataError
from pipeline.rasters.excerpts import Area, make_excerpt
from pipeline.rasters.tiff_raster import Blocks, Layer, Raster, place_block, read_blocks
from pipeline.rasters.window_decoder import MOST_LEVEL, decode_excerpt
from pipeline.storage.byte_ranges import RangeReader, read_whole

SAMPLE_BLOCKS = 16
"""Blocks that are looked at, spread evenly."""
LEAST_SIDE_PX = 512
"""The smallest overview that is looked at; a smaller one averages too much."""
WHITE_SHARE = 0.999
"""Part of the levels that white must reach: glints do not count."""


def find_white(source: RangeReader, raster: Raster) -> int:
    """Return the level that becomes white.

    Raises:
        DataError: a block is damaged.
    """
    if raster.levels[0].picture.bits == 8:
        return 255
    layers = [level.picture for level in raster.levels if min(level.picture.size) >= LEAST_SIDE_PX]
    layer = layers[-1] if layers else raster.levels[0].picture
    found = _sample(source, layer)
    if raster.nodata is not None:
        found = found[found != raster.nodata]
    if not len(found):
        return MOST_LEVEL
    high = int(np.quantile(found, WHITE_SHARE, method="lower"))
    return int(min(MOST_LEVEL, (1 << max(8, high.bit_length())) - 1))


def _sample(source: RangeReader, layer: Layer) -> NDArray[np.uint16]:
    """Return the colours' levels in some blocks, as far as they are sound. Shape: (n,)."""
    blocks = read_blocks(source, layer)
    planes = tuple(band - 1 for band in layer.colours) if layer.is_planar else (0,)
    written = np.argwhere(blocks.sizes[planes[0]] > 0)
    chosen = np.unique(np.linspace(0, len(written) - 1, SAMPLE_BLOCKS).astype(int)) if len(written) else slice(0)
    found = [np.empty(0, np.uint16)]
    for row, col in written[chosen].tolist():
        area = Area(row, col, row + 1, col + 1, planes)
        with contextlib.suppress(DataError):  # its own window will fail
            data = [_read_block(source, layer, blocks, key) for key in area.keys]
            bands = range(1, len(planes) + 1) if layer.is_planar else layer.colours
            levels = decode_excerpt(make_excerpt(layer, area, data), bands)
            found.append(levels[:, : layer.size.height_px - row * layer.block.height_px].ravel().astype(np.uint16))
    return np.concatenate(found)


def _read_block(source: RangeReader, layer: Layer, blocks: Blocks, key: tuple[int, int, int]) -> bytes:
    start, end = place_block(source, layer, blocks, key)
    return read_whole(source, start, end)
