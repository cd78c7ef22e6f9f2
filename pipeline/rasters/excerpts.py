"""Excerpts of a raster: its compressed blocks around a window as a small TIFF of their own, which a decoder opens.

So no decoder sees the file, the network, or a size that nobody has checked: an excerpt is as large as the window that
it was made for. The bytes of blocks are copied as they are.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pipeline.rasters.tiff_directories import Directory
from pipeline.rasters.tiff_raster import Layer
from pipeline.rasters.windows import Window

_COPIED = (259, 266, 284, 317, 339, 347, 529, 530, 531, 532, 50674)
"""Compression, FillOrder, PlanarConfiguration, Predictor, SampleFormat, JPEGTables, YCbCr…, LercParameters."""
_RATIONALS = {529: "f4", 532: "f4"}
_BYTE_TAGS = {347}
_UNASSOCIATED = 2


class Area(NamedTuple):
    """Blocks of a layer, from row and column up to, but without, the last."""

    first_row: int
    first_col: int
    end_row: int
    end_col: int
    planes: tuple[int, ...]
    """From 0; (0,) where samples share blocks."""

    @property
    def keys(self) -> Iterator[tuple[int, int, int]]:
        """Plane, row and column of each block, in the order of a TIFF."""
        for plane in self.planes:
            for row in range(self.first_row, self.end_row):
                for col in range(self.first_col, self.end_col):
                    yield plane, row, col


def find_area(layer: Layer, window: Window) -> Area:
    """Return the blocks of a layer that a window touches."""
    bottom_px, right_px = window.end_px
    planes = tuple(band - 1 for band in list_bands(layer)) if layer.is_planar else (0,)
    return Area(
        window.top_px // layer.block.height_px,
        window.left_px // layer.block.width_px,
        -(-bottom_px // layer.block.height_px),
        -(-right_px // layer.block.width_px),
        planes,
    )


def list_bands(layer: Layer) -> tuple[int, ...]:
    """Return the bands that are read: the colours, and how opaque they are; from 1."""
    return (*layer.colours, layer.alpha) if layer.alpha is not None else layer.colours


def make_excerpt(layer: Layer, area: Area, blocks: Sequence[bytes]) -> bytes:
    """Return some blocks of a layer as a TIFF.

    Args:
        layer: of a raster.
        area: the blocks.
        blocks: their bytes, in the order of `Area.keys`; empty for one that was never written.
    """
    rows, cols = area.end_row - area.first_row, area.end_col - area.first_col
    height_px = rows * layer.block.height_px
    if not layer.is_tiled:
        height_px = min(height_px, layer.size.height_px - area.first_row * layer.block.height_px)
    samples = len(area.planes) if layer.is_planar else layer.samples
    alpha = layer.alpha is not None and layer.is_planar
    extra = (_UNASSOCIATED,) * alpha if layer.is_planar else layer.directory.numbers(338)
    is_mask = bool(layer.directory.number(254, 0) & 4)
    numbers: dict[int, Sequence[int]] = {
        256: (cols * layer.block.width_px,),
        257: (height_px,),
        258: (layer.bits,) * samples,
        262: (1 if is_mask else layer.directory.number(262, 1),),
        277: (samples,),
    }
    if extra:
        numbers[338] = extra
    if layer.is_tiled:
        numbers |= {322: (layer.block.width_px,), 323: (layer.block.height_px,)}
        tags = 324, 325
    else:
        numbers[278] = (layer.block.height_px,)
        tags = 273, 279
    sizes = [len(block) for block in blocks]
    return _write(layer.directory, numbers, tags, sizes) + b"".join(blocks)


def _write(
    directory: Directory, numbers: Mapping[int, Sequence[int]], tags: tuple[int, int], sizes: list[int]
) -> bytes:
    """Return a TIFF up to its blocks, which follow in order."""
    order = directory.form.order
    values = {tag: (4, struct.pack(f"{order}{len(each)}I", *each)) for tag, each in numbers.items()}
    values |= {tag: (3, _pack_shorts(order, numbers[tag])) for tag in (258, 338) if tag in numbers}
    values |= dict(_copy(directory, order))
    if len(directory.numbers(339)) > 1:  # one for each sample, of which there may be fewer now
        values[339] = 3, _pack_shorts(order, [directory.number(339, 1)] * len(numbers[258]))
    count = len(values) + 2
    long_bytes = sum(len(data) + len(data) % 2 for _, data in values.values() if len(data) > 4)
    start = 8 + 2 + 12 * count + 4 + long_bytes + (8 * len(sizes) if len(sizes) > 1 else 0)
    places, place = [], start
    for size in sizes:
        places.append(place if size else 0)
        place += size
    values |= {tags[0]: (4, struct.pack(f"{order}{len(places)}I", *places))}
    values |= {tags[1]: (4, struct.pack(f"{order}{len(sizes)}I", *sizes))}
    entries, rest, place = bytearray(), bytearray(), 8 + 2 + 12 * count + 4
    for tag, (kind, data) in sorted(values.items()):
        number = len(data) // {1: 1, 3: 2, 4: 4, 7: 1, 11: 4, 12: 8}[kind]
        if len(data) > 4:
            inline = struct.pack(f"{order}I", place + len(rest))
            rest += data + bytes(len(data) % 2)
        else:
            inline = data.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI4s", tag, kind, number, inline)
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8)
    return bytes(head + struct.pack(f"{order}H", count) + entries + struct.pack(f"{order}I", 0) + rest)


def _copy(directory: Directory, order: str) -> Iterator[tuple[int, tuple[int, bytes]]]:
    for tag in _COPIED:
        if tag not in directory.values:
            continue
        if tag in _BYTE_TAGS:
            yield tag, (7, directory.data(tag))
        elif tag == 50674:
            yield tag, (4, struct.pack(f"{order}{len(directory.numbers(tag))}I", *directory.numbers(tag)))
        else:
            yield tag, (3, _pack_shorts(order, directory.numbers(tag)))


def _pack_shorts(order: str, numbers: Sequence[int]) -> bytes:
    return struct.pack(f"{order}{len(numbers)}H", *(min(number, 0xFFFF) for number in numbers))
