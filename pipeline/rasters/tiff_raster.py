"""A raster: a TIFF of any size, whose pixels are read window by window.

Here stands what of a file is a raster's picture, its overviews and its masks, and which kinds are read. The blocks of a
TIFF are its strips or tiles: what is compressed by itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.counts import count_of
from pipeline.core.errors import DataError
from pipeline.rasters.tiff_directories import Directory, read_array, read_directories
from pipeline.rasters.windows import Size
from pipeline.storage.byte_ranges import RangeReader

MOST_PIXELS = 1 << 37
"""Of a raster; ten gigapixels, of a mile of deck, are a fourteenth of it. A damaged header may claim any number."""
MOST_SIDE_PX = 1 << 24
"""Of a raster: 17 km at a millimetre to a pixel. A longer side would fill memory with the tiles along it."""
MOST_BLOCK_BYTES = 128 << 20
"""Of a decoded block: a worker must hold some of them."""
SPARE_BYTES = 1 << 20
"""What a compressed block may be larger than decoded: noise does not shrink."""
ROWS_BYTES = 256 << 10
"""An uncompressed strip is read in parts of about this size."""

UNCOMPRESSED, JPEG, DEFLATE = 1, 7, {8, 32946}
COMPRESSIONS = {UNCOMPRESSED: "none", 5: "LZW", JPEG: "JPEG", 8: "deflate", 32946: "deflate", 32773: "PackBits",
                34887: "LERC", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP"}  # fmt: skip
"""Those that are read, by their number."""

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_STRIP_PLACES, _SAMPLES, _STRIP_ROWS, _STRIP_SIZES, _PLANES = 273, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_PLACES, _TILE_SIZES, _EXTRA, _FORMATS = 322, 323, 324, 325, 338, 339
NODATA = 42113
"""GDAL's tag with the level of pixels that show nothing, as text."""
_REDUCED, _MASK = 1, 4
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _YCBCR = 0, 1, 2, 6
_ALPHAS = {1, 2}
_ADVICE = "Make a cloud-optimised GeoTIFF of it: gdal_translate -of COG in.tif out.tif."


@dataclass(frozen=True)
class Layer:
    """One picture of a TIFF."""

    directory: Directory
    size: Size
    block: Size
    """Of a whole block; those at the lower edge of a raster of strips have fewer rows."""
    samples: int
    bits: int
    """Of a sample."""
    compression: int
    is_tiled: bool
    is_planar: bool
    """Whether each sample has blocks of its own."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of blocks."""
        return -(-self.size.height_px // self.block.height_px), -(-self.size.width_px // self.block.width_px)

    @property
    def pixel_bytes(self) -> int:
        """Of a decoded pixel, all its samples."""
        return max(1, self.samples * self.bits // 8)

    @property
    def is_negative(self) -> bool:
        """Whether the highest level is black."""
        return self.directory.number(_PHOTOMETRIC, _BLACK_IS_ZERO) == _WHITE_IS_ZERO

    @property
    def colours(self) -> tuple[int, ...]:
        """The bands that are red, green and blue, or the grey one; from 1."""
        return (1, 2, 3) if self.samples >= 3 else (1,)

    @property
    def alpha(self) -> int | None:
        """The band that tells how opaque a pixel is; from 1."""
        extra = self.directory.numbers(_EXTRA)
        first = self.samples - len(extra)
        return next((first + place + 1 for place, kind in enumerate(extra) if kind in _ALPHAS), None)


class Level(NamedTuple):
    """A raster in one size: as it is, or as an overview."""

    picture: Layer
    mask: Layer | None
    """Which pixels show something; None where the file has no mask of this size."""


class Blocks(NamedTuple):
    """Where the blocks of a layer are, plane by plane, row by row. Shape: (planes, rows, cols)."""

    places: NDArray[np.int64]
    sizes: NDArray[np.int64]
    """0 for a block that was never written."""


@dataclass(frozen=True)
class Raster:
    """A raster, open."""

    source: RangeReader
    levels: Sequence[Level]
    """The raster itself, then its overviews, each smaller than the one before."""
    nodata: int | None
    """Level of pixels that show nothing, in all bands."""

    @property
    def directory(self) -> Directory:
        """The tags of the raster itself."""
        return self.levels[0].picture.directory

    def choose_level(self, overview: int) -> Level:
        """Return a level of the raster.

        Raises:
            DataError: it has fewer overviews.
        """
        if overview < len(self.levels):
            return self.levels[overview]
        found = count_of(len(self.levels) - 1, "overview")
        message = f"{self.source.name} has {found}; --overview asks for number {overview}. Give a smaller one."
        raise DataError("open", "unsupported_format", message)


def open_raster(source: RangeReader) -> Raster:
    """Read what a raster is; no pixel yet.

    Raises:
        DataError: it is none that can be read, or is damaged so that it is not known what it is.
    """
    directories = read_directories(source)
    pictures = [each for each in directories if not each.number(_SUBFILE, 0) & _MASK]
    first = next((each for each in pictures if not each.number(_SUBFILE, 0) & _REDUCED), None)
    if first is None:
        raise DataError("open", "archive_unreadable", f"{source.name} is no raster: it has previews alone.")
    full = _make_layer(first, source)
    layers = [full, *_list_overviews(full, pictures, source)]
    masks = [_make_layer(each, source) for each in directories if each.number(_SUBFILE, 0) & _MASK]
    levels = [Level(layer, next((mask for mask in masks if mask.size == layer.size), None)) for layer in layers]
    return Raster(source, levels, _read_nodata(first))


def read_blocks(source: RangeReader, layer: Layer) -> Blocks:
    """Read where the blocks of a layer are.

    Raises:
        DataError: the file does not say it for every block.
    """
    rows, cols = layer.grid
    planes = layer.samples if layer.is_planar else 1
    rows_stored = -(-layer.size.height_px // _stored_rows(layer))
    count = planes * rows_stored * cols
    tags = (_TILE_PLACES, _TILE_SIZES) if layer.is_tiled else (_STRIP_PLACES, _STRIP_SIZES)
    places, sizes = (read_array(source, layer.directory, tag, count) for tag in tags)
    if min(len(places), len(sizes)) < count:
        found = f"{source.name} is damaged: it tells the places of {len(places):,} of {count:,} blocks."
        raise DataError("open", "archive_truncated", found)
    stored = Blocks(places.reshape(planes, rows_stored, cols), sizes.reshape(planes, rows_stored, cols))
    return stored if rows_stored == rows else _split_strips(stored, layer)


def place_block(source: RangeReader, layer: Layer, blocks: Blocks, key: tuple[int, int, int]) -> tuple[int, int]:
    """Return start and end of a block in the file.

    Args:
        source: the file.
        layer: that has the block.
        blocks: of the layer.
        key: plane, row and column.

    Raises:
        DataError: it reaches over the end of the file, or is too large for what it becomes.
    """
    start, size_bytes = int(blocks.places[key]), int(blocks.sizes[key])
    most = 2 * layer.block.height_px * layer.block.width_px * layer.pixel_bytes + SPARE_BYTES
    if not 0 <= size_bytes <= most or not 0 <= start <= source.size_bytes - size_bytes:
        found = f"a block has {size_bytes:,} bytes from byte {start:,} on, of {source.size_bytes:,}"
        raise DataError("read", "member_unreadable", f"The raster is damaged or cut short: {found}.")
    return start, start + size_bytes


def _list_overviews(full: Layer, pictures: Sequence[Directory], source: RangeReader) -> Iterator[Layer]:
    """Yield the overviews of a raster that can be read, the largest first."""
    found = list[Layer]()
    for each in pictures:
        if each.number(_SUBFILE, 0) & _REDUCED:
            try:
                found.append(_make_layer(each, source))
            except DataError:
                continue  # a preview of another kind
    found.sort(key=lambda layer: -layer.size.width_px)
    previous = full.size.width_px
    for layer in found:
        is_like = (layer.samples, layer.bits) == (full.samples, full.bits)
        if is_like and layer.size.width_px < previous:
            previous = layer.size.width_px
            yield layer


def _make_layer(directory: Directory, source: RangeReader) -> Layer:
    """Check that a picture is of a kind that is read, and return it."""
    size = Size(directory.number(_HEIGHT, 0), directory.number(_WIDTH, 0))
    is_tiled = _TILE_PLACES in directory.fields
    if is_tiled:
        block = Size(directory.number(_TILE_HEIGHT, 0), directory.number(_TILE_WIDTH, 0))
    else:
        block = Size(min(directory.number(_STRIP_ROWS, size.height_px), size.height_px), size.width_px)
    if min(*size, *block) < 1 or max(size) > MOST_SIDE_PX or size.height_px * size.width_px > MOST_PIXELS:
        found = f"{size.height_px:,} x {size.width_px:,} pixels in blocks of {block.height_px:,} x {block.width_px:,}"
        raise DataError("open", "archive_unreadable", f"{source.name} is damaged: it claims {found}.")
    layer = Layer(
        directory,
        size,
        block,
        directory.number(_SAMPLES, 1),
        directory.number(_BITS, 1),
        directory.number(_COMPRESSION, UNCOMPRESSED),
        is_tiled,
        directory.number(_PLANES, 1) == 2,
    )
    _check_kind(layer, source)
    return _check_block(_with_small_strips(layer), source)


def _check_kind(layer: Layer, source: RangeReader) -> None:
    """Refuse a kind of picture that is not read."""
    directory, is_mask = layer.directory, bool(layer.directory.number(_SUBFILE, 0) & _MASK)
    photometric = directory.number(_PHOTOMETRIC, _BLACK_IS_ZERO)
    kinds = {4} if is_mask else {_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB}
    is_jpeg = layer.compression == JPEG
    is_known = photometric in kinds or (photometric == _YCBCR and is_jpeg and layer.samples == 3)
    is_unsigned = set(directory.numbers(_FORMATS)) <= {1, 4}
    bits_known = len({*directory.numbers(_BITS)}) <= 1 and layer.bits in ({1, 8} if is_mask else {8, 16})
    samples_fit = 1 <= layer.samples <= 64 and not (photometric in {_RGB, _YCBCR} and layer.samples < 3)
    is_jpeg_like = not is_jpeg or layer.bits == 8
    if not (is_known and is_unsigned and bits_known and samples_fit and is_jpeg_like):
        found = (
            f"{count_of(layer.samples, 'band')} of {layer.bits} bits, photometric interpretation {photometric}, sample "
            f"format {directory.number(_FORMATS, 1)}"
        )
        message = (
            f"{source.name} is a raster of a kind that is not read: {found}. Expected grey or RGB of 8 or 16 bits."
        )
        raise DataError("open", "unsupported_format", message)
    if layer.compression not in COMPRESSIONS:
        known = ", ".join(dict.fromkeys(COMPRESSIONS.values()))
        message = f"{source.name} is a raster in compression {layer.compression}; expected {known}. {_ADVICE}"
        raise DataError("open", "unsupported_format", message)


def _with_small_strips(layer: Layer) -> Layer:
    """Return a layer whose uncompressed strips are read in parts, as if they were smaller."""
    if layer.is_tiled or layer.compression != UNCOMPRESSED or layer.bits < 8:
        return layer
    planes = layer.samples if layer.is_planar else 1
    row_bytes = layer.size.width_px * layer.pixel_bytes // planes
    most_rows, rows = max(1, ROWS_BYTES // row_bytes), layer.block.height_px
    if rows >= layer.size.height_px:
        part = min(most_rows, rows)
    else:
        part = next(part for part in range(min(most_rows, rows), 0, -1) if rows % part == 0)
    return Layer(**{**vars(layer), "block": Size(part, layer.size.width_px)})


def _check_block(layer: Layer, source: RangeReader) -> Layer:
    block_bytes = layer.block.height_px * layer.block.width_px * layer.pixel_bytes
    if block_bytes > MOST_BLOCK_BYTES:
        found = f"it is stored in blocks of {layer.block.height_px:,} x {layer.block.width_px:,} pixels"
        message = f"{source.name} cannot be read by windows: {found}, each of which must be decoded whole. {_ADVICE}"
        raise DataError("open", "too_large", message)
    return layer


def _stored_rows(layer: Layer) -> int:
    """Return the rows of a block as the file stores it."""
    if layer.is_tiled:
        return layer.block.height_px
    return min(layer.directory.number(_STRIP_ROWS, layer.size.height_px), layer.size.height_px)


def _split_strips(stored: Blocks, layer: Layer) -> Blocks:
    """Return the places of parts of uncompressed strips; -1 for what a strip lacks, as its size says."""
    planes = len(stored.places)
    row_bytes = layer.size.width_px * layer.pixel_bytes // planes
    first_rows = np.arange(0, layer.size.height_px, layer.block.height_px)
    strips, within = np.divmod(first_rows, _stored_rows(layer))
    starts = within * row_bytes
    rows = np.minimum(layer.block.height_px, layer.size.height_px - first_rows)
    held = stored.sizes[:, strips, 0]
    places = np.where(starts + rows * row_bytes <= held, stored.places[:, strips, 0] + starts, -1)
    return Blocks(places[..., None], np.where(held > 0, rows * row_bytes, 0)[..., None])


def _read_nodata(directory: Directory) -> int | None:
    """Return the level that shows nothing; None where there is none, or one that no pixel can have."""
    try:
        value = float(directory.data(NODATA).decode("ascii").strip("\0 "))
    except ValueError:
        return None
    return int(value) if value.is_integer() and value >= 0 else None
