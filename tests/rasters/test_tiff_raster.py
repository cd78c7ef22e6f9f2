"""What of a TIFF is a raster, and which kinds are refused."""

import struct
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import DataError
from pipeline.rasters.tiff_raster import open_raster, place_block, read_blocks
from pipeline.storage.byte_ranges import BytesRangeReader
from tests.helpers.raster_files import add_overviews, make_bands, write_raster

TILED: dict[str, Any] = {"tiled": True, "blockxsize": 64, "blockysize": 64}


def _source(data: bytes) -> BytesRangeReader:
    return BytesRangeReader("deck.tif", data)


def _patch(data: bytes, tag: int, value: int) -> bytes:
    """Change the value of a tag of the first directory, of a little-endian TIFF."""
    (place,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, place)
    for entry in range(place + 2, place + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, entry)[0] == tag:
            kind, number = struct.unpack_from("<HI", data, entry + 2)
            assert number == 1
            changed = struct.pack("<HI", 4, 1) + struct.pack("<I", value)
            assert kind in {3, 4}
            return data[: entry + 2] + changed + data[entry + 12 :]
    raise AssertionError(tag)


def test_levels_are_the_raster_its_overviews_and_their_masks() -> None:
    """The largest first; a mask belongs to the level of its size."""
    shown = np.ones((256, 256), bool)
    shown[:100] = False
    data = add_overviews(write_raster(make_bands(256, 256), mask=shown, **TILED), [2, 4])
    raster = open_raster(_source(data))
    assert [level.picture.size.height_px for level in raster.levels] == [256, 128, 64]
    assert [level.mask is not None and level.mask.size == level.picture.size for level in raster.levels] == [True] * 3


@pytest.mark.parametrize(("nodata", "level"), [(0, 0), (255, 255), (None, None)])
def test_nodata_is_a_level_that_a_pixel_can_have(nodata: int | None, level: int | None) -> None:
    """It stands in a tag of GDAL's, as text."""
    assert open_raster(_source(write_raster(make_bands(64, 64), nodata=nodata))).nodata == level


@pytest.mark.parametrize("text", ["n", "-", "x", " "])
def test_nodata_that_no_pixel_can_have_is_none(text: str) -> None:
    """Such as NaN: it says nothing of whole numbers."""
    data = write_raster(make_bands(64, 64), nodata=7)
    (place,) = [place for place in range(len(data) - 1) if data[place : place + 2] == b"7\0" and place < 600][:1]
    assert open_raster(_source(data[:place] + text.encode() + data[place + 1 :])).nodata is None


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint32", "complex64"])
def test_kinds_that_are_no_pictures_are_refused_by_name(dtype: str) -> None:
    """Heights, angles and radar."""
    with pytest.raises(DataError, match="of a kind that is not read") as refusal:
        open_raster(_source(write_raster(make_bands(64, 64, 1).astype(dtype))))
    assert refusal.value.kind == "unsupported_format"


def test_a_compression_that_is_not_read_is_told_with_a_way_out() -> None:
    """The message names those that are read, and the command that rewrites it."""
    data = _patch(write_raster(make_bands(64, 64)), 259, 34712)
    with pytest.raises(DataError, match=r"compression 34712; expected none, LZW, JPEG.*gdal_translate -of COG"):
        open_raster(_source(data))


def test_blocks_that_are_too_large_to_hold_are_refused() -> None:
    """A compressed strip of the whole raster must be decoded whole."""
    data = _patch(_patch(write_raster(make_bands(64, 64), compress="DEFLATE"), 256, 30_000), 257, 30_000)
    data = _patch(data, 278, 30_000)
    with pytest.raises(DataError, match="decoded whole") as refusal:
        open_raster(_source(data))
    assert refusal.value.kind == "too_large"


@pytest.mark.parametrize("side_px", [0, 2**31, 2**32 - 1])
def test_sizes_that_no_raster_has_are_refused(side_px: int) -> None:
    """A damaged header may claim any."""
    data = write_raster(make_bands(64, 64), **TILED)
    with pytest.raises(DataError, match="damaged: it claims"):
        open_raster(_source(_patch(_patch(data, 256, side_px), 257, side_px)))


def test_a_raster_as_narrow_as_a_line_is_bounded() -> None:
    """Its tiles would fill memory, however few its pixels are."""
    data = _patch(_patch(write_raster(make_bands(64, 64)), 256, 1), 257, 1 << 30)
    with pytest.raises(DataError, match="damaged: it claims"):
        open_raster(_source(_patch(data, 278, 1 << 30)))


def test_a_huge_raster_in_a_tiny_file_has_no_blocks() -> None:
    """Its index would be larger than the file."""
    data = write_raster(make_bands(64, 64), compress="DEFLATE", **TILED)
    data = _patch(_patch(data, 256, 200_000), 257, 200_000)
    raster = open_raster(_source(data))
    with pytest.raises(DataError, match=r"places of (its|1 of) "):
        read_blocks(raster.source, raster.levels[0].picture)


def test_a_block_that_lies_outside_the_file_is_refused() -> None:
    """So is one that is larger than what it becomes."""
    data = write_raster(make_bands(64, 64), compress="DEFLATE", **TILED)
    raster = open_raster(_source(data))
    layer = raster.levels[0].picture
    blocks = read_blocks(raster.source, layer)
    assert place_block(raster.source, layer, blocks, (0, 0, 0))[1] <= len(data)
    for place, size in ((len(data), 10), (-5, 10), (8, 1 << 30)):
        blocks.places[0, 0, 0], blocks.sizes[0, 0, 0] = place, size
        with pytest.raises(DataError, match="damaged or cut short"):
            place_block(raster.source, layer, blocks, (0, 0, 0))


def test_an_uncompressed_strip_is_read_in_parts() -> None:
    """One strip of a whole raster needs not be read for a few of its rows."""
    data = write_raster(make_bands(2000, 300), blockysize=2000)
    raster = open_raster(_source(data))
    layer = raster.levels[0].picture
    blocks = read_blocks(raster.source, layer)
    assert layer.block.height_px == (256 << 10) // 900
    assert int(blocks.sizes.sum()) == 2000 * 300 * 3


def test_an_uncompressed_strip_that_is_too_short_lacks_its_end() -> None:
    """What it lacks is damaged; it was not left unwritten, which would be nothing to score."""
    data = _patch(write_raster(make_bands(2000, 300), blockysize=2000), 279, 1000 * 900)
    raster = open_raster(_source(data))
    layer = raster.levels[0].picture
    blocks = read_blocks(raster.source, layer)
    assert (blocks.sizes > 0).all()
    assert place_block(raster.source, layer, blocks, (0, 2, 0))[1] <= len(data)
    with pytest.raises(DataError, match="damaged or cut short"):
        place_block(raster.source, layer, blocks, (0, 6, 0))
