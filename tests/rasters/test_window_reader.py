"""Windows of rasters of every form: the pixels that GDAL reads, each block read seldom, damage confined."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.core.errors import DataError
from pipeline.images.decode import Pixels
from pipeline.images.tiles import TileSpec
from pipeline.rasters import windows
from pipeline.rasters.window_decoder import decode_window, scale_levels
from pipeline.rasters.window_reader import WindowReader, WindowRule, rule_of
from pipeline.storage.byte_ranges import ByteRange, BytesRangeReader
from tests.helpers.raster_files import ON_EARTH, add_overviews, make_bands, make_deck, read_raster, write_raster

RULE = WindowRule(TileSpec(32, 0.25))
TILED: dict[str, Any] = {"tiled": True, "blockxsize": 64, "blockysize": 32}
FORMS = {
    "uncompressed": {},
    "uncompressed planes": {"interleave": "band"},
    "uncompressed tiles": TILED,
    "LZW": {"compress": "LZW"},
    "LZW big-endian, predictor": {"compress": "LZW", "predictor": 2, "endianness": "BIG", **TILED},
    "deflate": {"compress": "DEFLATE", "predictor": 2},
    "deflate planes": {"compress": "DEFLATE", "interleave": "band", **TILED},
    "deflate BigTIFF": {"compress": "DEFLATE", "BIGTIFF": "YES", **TILED},
    "Zstandard": {"compress": "ZSTD", **TILED},
    "PackBits": {"compress": "PACKBITS"},
    "LZMA": {"compress": "LZMA"},
    "LERC": {"compress": "LERC", **TILED},
    "COG": {"driver": "COG", "compress": "DEFLATE", "blocksize": 128},
}
ONLY_8_BITS = {
    "JPEG": {"compress": "JPEG", **TILED},
    "JPEG strips": {"compress": "JPEG", "photometric": "YCBCR"},
    "JPEG YCbCr": {"compress": "JPEG", "photometric": "YCBCR", "tiled": True, "blockxsize": 64, "blockysize": 64},
    "WebP": {"compress": "WEBP", "WEBP_LOSSLESS": True, **TILED},
}


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "WINDOW_PIXELS", 150 * 150)


@dataclass
class CountingReader:
    """Bytes in memory that note what is read."""

    data: bytes
    read_ranges: list[ByteRange] = field(default_factory=list)
    name: str = "deck.tif"
    is_protected: bool = True
    is_concurrent: bool = True

    @property
    def size_bytes(self) -> int:
        """Their number."""
        return len(self.data)

    def read(self, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Return slices."""
        self.read_ranges += ranges
        return [self.data[start:end] for start, end in ranges]


def read_all(data: bytes, rule: WindowRule = RULE) -> tuple[Pixels, NDArray[np.bool_], dict[str, DataError]]:
    """Read all windows; return pixels, which of them show something, and failures by the window's name."""
    reader = WindowReader(BytesRangeReader("deck.tif", data), rule)
    size = reader.level.picture.size
    pixels, valid = np.zeros((*size, 3), np.uint8), np.zeros(size, bool)
    failures = {}
    for window, content in reader.read(reader.windows, reader.find_white()):
        if isinstance(content, DataError):
            failures[window.name] = content
            continue
        try:
            photo = decode_window(content)
        except DataError as error:
            failures[window.name] = error
            continue
        place = slice(window.top_px, window.end_px[0]), slice(window.left_px, window.end_px[1])
        pixels[place] = photo.pixels
        valid[place] = True if photo.valid is None else photo.valid
    return pixels, valid, failures


@pytest.mark.parametrize(
    ("options", "dtype"),
    [
        *[pytest.param(options, "uint8", id=name) for name, options in (FORMS | ONLY_8_BITS).items()],
        *[pytest.param(options, "uint16", id=f"{name}, 16 bits") for name, options in FORMS.items()],
    ],
)
def test_the_pixels_are_those_that_gdal_reads(options: dict[str, Any], dtype: str) -> None:
    """Of every compression and layout; levels of 12 bits become 8 by the power of two that they fill."""
    bands = make_bands(300, 270).astype(dtype) * (16 if dtype == "uint16" else 1)
    data = write_raster(bands, **options)
    pixels, valid, failures = read_all(data)
    assert not failures
    assert valid.all()
    expected = np.moveaxis(read_raster(data), 0, -1)
    assert np.array_equal(pixels, expected if dtype == "uint8" else scale_levels(expected, 4095))


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("bands", [1, 2, 5])
def test_grey_is_three_times_the_first_band_and_further_bands_are_left_out(bands: int, interleave: str) -> None:
    """One and two bands are grey; of five, the first three are red, green and blue."""
    data = write_raster(make_bands(200, 210, bands), interleave=interleave, photometric="MINISBLACK", **TILED)
    pixels, _, failures = read_all(data)
    assert not failures
    chosen = [0, 1, 2] if bands == 5 else [0, 0, 0]
    assert np.array_equal(pixels, np.moveaxis(read_raster(data)[chosen], 0, -1))


def test_where_white_is_zero_levels_are_turned_round() -> None:
    """A negative, as scanners write."""
    data = write_raster(make_bands(100, 100, 1), photometric="MINISWHITE")
    assert np.array_equal(read_all(data)[0][..., 0], 255 - read_raster(data)[0])


@pytest.mark.parametrize("way", ["nodata", "alpha", "mask", "never written"])
def test_what_shows_nothing_is_white_and_told(way: str) -> None:
    """A level, an alpha band, a mask, or blocks that were never written."""
    bands, deck = np.maximum(make_bands(300, 290), 1), make_deck(300, 290, 60)
    bands[:, ~deck] = 0
    options: dict[str, Any] = {"compress": "DEFLATE", **TILED}
    if way == "nodata":
        data = write_raster(bands, nodata=0, **options)
    elif way == "alpha":
        data = write_raster(np.concatenate([bands, deck[None] * np.uint8(255)]), alpha=True, **options)
    elif way == "mask":
        data = write_raster(bands, mask=deck, **options)
    else:
        deck = deck.reshape(-1, 290)
        data = write_raster(bands, SPARSE_OK=True, **options)
    pixels, valid, failures = read_all(data)
    assert not failures
    if way == "never written":  # whole blocks, of which those beside the deck have pixels of it
        assert valid[deck].all()
        assert not valid.all()
        assert (pixels[~valid] == 255).all()
    else:
        assert np.array_equal(valid, deck)
        assert (pixels[~deck] == 255).all()
    assert np.array_equal(pixels[deck], np.moveaxis(bands, 0, -1)[deck])


def test_half_transparent_pixels_lie_on_white() -> None:
    """As in photos."""
    bands = np.concatenate([np.full((3, 64, 64), 100, np.uint8), np.full((1, 64, 64), 51, np.uint8)])
    pixels, valid, _ = read_all(write_raster(bands))
    assert valid.all()
    assert (pixels == round(0.2 * 100 + 0.8 * 255)).all()


@pytest.mark.parametrize(
    ("high", "white"), [(200, 255), (1000, 1023), (4000, 4095), (17_000, 32_767), (65_535, 65_535)]
)
def test_white_of_16_bits_is_a_power_of_two_that_hardly_a_pixel_exceeds(high: int, white: int) -> None:
    """It does not follow the light: of two pictures of one camera it is the same; nodata does not count."""
    levels = np.random.default_rng(1).integers(0, high + 1, (3, 600, 600)).astype(np.uint16)
    levels[:, :100] = 65_000
    data = write_raster(levels, nodata=65_000, compress="DEFLATE", **TILED)
    assert WindowReader(BytesRangeReader("deck.tif", data), RULE).find_white() == white


@pytest.mark.parametrize(("blocksize", "order"), [(128, 1), (128, -1), (256, 1)])
def test_blocks_are_read_hardly_more_than_once(monkeypatch: pytest.MonkeyPatch, blocksize: int, order: int) -> None:
    """Of a COG, a reading of all windows takes at most 1.2 times the bytes of the file's full size."""
    monkeypatch.setattr(windows, "WINDOW_PIXELS", 1 << 20)
    noise = np.random.default_rng(1).integers(0, 256, (3, 3000, 2900), dtype=np.uint8)
    source = CountingReader(
        write_raster(noise, driver="COG", compress="DEFLATE", blocksize=blocksize, OVERVIEWS="NONE")
    )
    reader = WindowReader(source, WindowRule(TileSpec(64, 0.0)))
    found = [*reader.read(reader.windows[::order], 255)]
    assert all(isinstance(content, bytes) for _, content in found)
    assert sum(end - start for start, end in source.read_ranges) <= 1.2 * source.size_bytes


def test_an_overview_is_read_on_purpose() -> None:
    """Its size, its pixels, a larger pixel on the map; one that is missing is refused."""
    data = add_overviews(write_raster(make_bands(400, 400), compress="DEFLATE", **TILED, **ON_EARTH), [2, 4])
    reader = WindowReader(BytesRangeReader("deck.tif", data), WindowRule(RULE.tiles, overview=1))
    assert reader.level.picture.size == (200, 200)
    assert reader.factor == 2
    assert reader.describe()["overviews"] == [2]
    assert reader.describe()["geotransform"] == pytest.approx([500_000, 0.004, 0, 5_600_000, 0, -0.004])
    assert reader.mm_per_px == pytest.approx(4, rel=1e-3)
    pixels, _, failures = read_all(data, WindowRule(RULE.tiles, overview=2))
    assert not failures
    assert pixels.shape == (100, 100, 3)
    with pytest.raises(DataError, match=r"has 2 overviews; --overview asks for number 3"):
        read_all(data, WindowRule(RULE.tiles, overview=3))


def test_the_rule_of_a_dataset_stands_in_its_fingerprint() -> None:
    """Tiles, overlap and, where one was asked for, the overview."""
    assert rule_of({"tile_px": 32, "overlap": 0.25}) == RULE
    assert rule_of({"tile_px": 32, "overlap": 0.25, "overview": 2}) == WindowRule(RULE.tiles, overview=2)


@pytest.mark.parametrize("compress", ["DEFLATE", "ZSTD", "LZW", "JPEG", "LERC"])
def test_a_damaged_block_costs_its_windows_alone(compress: str) -> None:
    """Windows that do not touch it are as they were, and nothing else than a failure comes of it."""
    noise = np.random.default_rng(1).integers(0, 256, (3, 300, 270), dtype=np.uint8)
    data = write_raster(noise, compress=compress, **TILED)
    whole, _, _ = read_all(data)
    reader = WindowReader(BytesRangeReader("deck.tif", data), RULE)
    places, sizes = reader._blocks[0]
    start, size = int(places[0, 4, 2]), int(sizes[0, 4, 2])
    damaged = data[:start] + bytes(size) + data[start + size :]
    pixels, valid, failures = read_all(damaged)
    assert 1 <= len(failures) <= 4
    assert {failure.kind for failure in failures.values()} == {"truncated_image"}
    assert np.array_equal(pixels[valid], whole[valid])
    assert valid.sum() > 0.4 * valid.size


def test_a_raster_that_is_cut_short_yields_the_windows_before_the_cut() -> None:
    """The others fail, each with the reason."""
    noise = np.random.default_rng(1).integers(0, 256, (3, 600, 270), dtype=np.uint8)
    data = write_raster(noise, driver="COG", compress="DEFLATE", blocksize=128, OVERVIEWS="NONE")
    pixels, valid, failures = read_all(data[: len(data) // 2])
    assert failures
    assert {failure.kind for failure in failures.values()} == {"member_unreadable"}
    assert 0.2 < valid.mean() < 0.8
    assert np.array_equal(pixels[valid], np.moveaxis(noise, 0, -1)[valid])


def test_a_bomb_is_refused_before_it_is_read() -> None:
    """A raster that would grow beyond --max-ratio; the message says what to do with a sound one."""
    data = write_raster(
        np.zeros((3, 4000, 4000), np.uint8),
        compress="DEFLATE",
        zlevel=9,
        **(TILED | {"blockxsize": 512, "blockysize": 512}),
    )
    with pytest.raises(DataError, match="give a higher --max-ratio") as refusal:
        WindowReader(BytesRangeReader("deck.tif", data), RULE).check_ratio()
    assert refusal.value.kind == "too_large"
    WindowReader(BytesRangeReader("deck.tif", data), WindowRule(RULE.tiles, max_ratio=1e6)).check_ratio()
