"""From the bytes of a window, as `window_reader` hands them over, to 8-bit RGB pixels and which of them show something.

rasterio (GDAL) decodes excerpts, each as large as its window. What shows nothing is white, as in photos.
"""

import json
import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import rasterio
import rasterio.windows
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile

from pipeline.core.errors import DataError
from pipeline.images.decode import Photo, Pixels
from pipeline.images.exif import PhotoFacts
from pipeline.images.scale_facts import ScaleFacts
from pipeline.rasters.windows import Size, Window

CACHE_BYTES = 192 << 20
"""Of decoded blocks, while an excerpt is decoded: each is decoded once for all its bands."""
MOST_LEVEL = 0xFFFF
_NO_WINDOW, _NO_SIZE = Window(0, 0, 0, 0, 0, 0, 0, 0), Size(0, 0)

Levels = NDArray[np.uint8] | NDArray[np.uint16]
"""As a file stores them. Shape: (bands, H, W)."""


class Part(NamedTuple):
    """An excerpt of a picture or a mask, and what of it the window shows."""

    size_bytes: int
    """0 where nothing was ever written."""
    top_px: int
    """Of the window in the excerpt."""
    left_px: int
    bands: tuple[int, ...]
    """Of the excerpt that are read, from 1; the last one is alpha if `has_alpha`."""
    has_alpha: bool = False
    absent: tuple[tuple[int, int, int, int], ...] = ()
    """Top, left, height and width, in the window, of blocks that were never written."""


class Parts(NamedTuple):
    """What the bytes of a window are."""

    window: Window
    raster: Size
    """Of the level that is scored."""
    picture: Part
    mask: Part | None
    nodata: int | None
    white: int
    """Level that becomes 255."""
    is_negative: bool
    factor: float
    """Pixels of the raster to one of the level, along a side."""
    mm_per_px: float | None
    """Of the level, as the georeference tells it."""


@dataclass(frozen=True)
class WindowPhoto(Photo):
    """A decoded window."""

    window: Window = _NO_WINDOW
    raster: Size = _NO_SIZE
    valid: NDArray[np.bool_] | None = None
    """Which pixels show something; None where all do. Shape: (H, W)."""
    factor: float = 1.0
    """As in `Parts`."""


def pack_window(parts: Parts, excerpts: Sequence[bytes]) -> bytes:
    """Return the bytes of a window: what they are, and excerpts of the picture and of the mask."""
    head = json.dumps(parts).encode()
    return b"".join([struct.pack("<I", len(head)), head, *excerpts])


def decode_window(data: bytes, max_pixels: int = 0) -> WindowPhoto:  # noqa: ARG001 - a `Decoder`; windows are bounded
    """Decode a window.

    Raises:
        DataError: a block of it is damaged.
    """
    parts, excerpts = _unpack(data)
    size = Size(parts.window.height_px, parts.window.width_px)
    levels = _decode(parts.picture, excerpts[0], size)
    valid = _find_valid(parts, levels, excerpts[1], size)
    pixels = _to_rgb(parts, levels, size)
    if valid is not None:
        pixels[~valid] = 255
    return WindowPhoto(
        pixels,
        PhotoFacts(),
        ScaleFacts(map_mm_per_px=parts.mm_per_px),
        window=parts.window,
        raster=parts.raster,
        valid=valid,
        factor=parts.factor,
    )


def decode_excerpt(excerpt: bytes, bands: Sequence[int], box: rasterio.windows.Window | None = None) -> Levels:
    """Decode bands of an excerpt, or what of them lies in a box.

    Raises:
        DataError: it is damaged.
    """
    try:
        with (
            warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning),
            rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES, GDAL_PAM_ENABLED="NO", GDAL_ERROR_ON_LIBJPEG_WARNING="YES"),
            MemoryFile(excerpt) as file,
            file.open(driver="GTiff") as opened,
        ):
            found: Levels = opened.read([*bands], window=box)
            return found
    except (RasterioError, rasterio.errors.RasterioIOError, ValueError, MemoryError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise DataError("decode", "truncated_image", f"A block of the raster is damaged: {reason}.") from error


def _unpack(data: bytes) -> tuple[Parts, tuple[bytes, bytes]]:
    (head_bytes,) = struct.unpack_from("<I", data)
    start = 4 + head_bytes
    found: list[Any] = json.loads(data[4:start])
    window, raster, picture, mask, *rest = found
    parts = Parts(
        Window(*window), Size(*raster), _read_part(picture), None if mask is None else _read_part(mask), *rest
    )
    middle = start + parts.picture.size_bytes
    return parts, (data[start:middle], data[middle:])


def _read_part(found: list[Any]) -> Part:
    size_bytes, top_px, left_px, bands, has_alpha, absent = found
    return Part(size_bytes, top_px, left_px, tuple(bands), has_alpha, tuple(tuple(box) for box in absent))


def _decode(part: Part, excerpt: bytes, size: Size) -> Levels | None:
    if part.size_bytes == 0:
        return None
    box = rasterio.windows.Window(part.left_px, part.top_px, size.width_px, size.height_px)
    levels = decode_excerpt(excerpt, part.bands, box)
    if levels.shape[1:] != tuple(size):
        raise DataError("decode", "truncated_image", "A block of the raster is damaged: it is too small.")
    return levels


def _find_valid(parts: Parts, levels: Levels | None, mask: bytes, size: Size) -> NDArray[np.bool_] | None:
    """Return which pixels show something; None if all do. Shape: (H, W)."""
    if levels is None:
        return np.zeros(size, bool)
    colours = levels[:-1] if parts.picture.has_alpha else levels
    shown = list[NDArray[np.bool_]]()
    if parts.nodata is not None:
        shown.append((colours != parts.nodata).any(axis=0))
    if parts.picture.has_alpha:
        shown.append(levels[-1] > 0)
    if parts.mask is not None:
        masked = _decode(parts.mask, mask, size)
        shown.append(np.zeros(size, bool) if masked is None else masked[0] > 0)
    if parts.picture.absent:
        written = np.ones(size, bool)
        for top, left, height, width in parts.picture.absent:
            written[top : top + height, left : left + width] = False
        shown.append(written)
    if not shown:
        return None
    valid: NDArray[np.bool_] = np.logical_and.reduce(shown)
    return None if valid.all() else valid


def _to_rgb(parts: Parts, levels: Levels | None, size: Size) -> Pixels:
    """Return levels as 8-bit RGB on white. Shape: (bands, H, W) → (H, W, 3)."""
    pixels = np.empty((*size, 3), np.uint8)
    if levels is None:
        pixels[:] = 255
        return pixels
    colours = levels[:-1] if parts.picture.has_alpha else levels
    table = scale_levels(np.arange(np.iinfo(levels.dtype).max + 1), parts.white)
    if parts.is_negative:
        table = 255 - table
    is_plain = levels.dtype == np.uint8 and not parts.is_negative
    for band in range(3):
        plane = colours[min(band, len(colours) - 1)]
        pixels[..., band] = plane if is_plain else table[plane]
    if parts.picture.has_alpha:
        _lay_on_white(pixels, levels[-1])
    return pixels


def scale_levels(levels: NDArray[np.integer], white: int) -> NDArray[np.uint8]:
    """Scale levels to 0 … 255, rounded; `white` and more become 255."""
    return ((np.minimum(levels.astype(np.int64), white) * 255 + white // 2) // white).astype(np.uint8)


def _lay_on_white(pixels: Pixels, alpha: NDArray[np.integer]) -> None:
    most = np.iinfo(alpha.dtype).max
    partly = (alpha > 0) & (alpha < most)
    if partly.any():
        opaque = (alpha[partly].astype(np.float32) / most)[:, None]
        pixels[partly] = np.rint(opaque * pixels[partly] + (1 - opaque) * 255).astype(np.uint8)
