"""The decoder: from the bytes of a photo to upright RGB pixels and the facts in its EXIF.

Every photo that is scored goes through `decode`. Whatever is wrong with the bytes raises `DataError`.
"""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from pipeline.core.errors import DataError
from pipeline.images.exif import DAMAGED, PhotoFacts, read_facts

Pixels = NDArray[np.uint8]
"""A picture or several: (…, H, W, 3), 8-bit RGB."""

MAX_PIXELS = 200_000_000
"""Largest photo by default; its RGB pixels are 600 MB."""

PHOTO_SUFFIXES = frozenset({"jpg", "jpeg", "png", "tif", "tiff", "bmp", "webp", "gif"})
"""File name endings that are listed as photos."""

UNSUPPORTED_SUFFIXES = frozenset({"heic", "heif", "dng", "svg"})
"""Endings that are listed as photos and then fail, so that nobody believes them scored."""

_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")
"""What Pillow may try: a few well-tested decoders, never the rare ones."""

_TO_STORED: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright.swapaxes(0, 1)[::-1],
    7: lambda upright: upright.swapaxes(0, 1)[::-1, ::-1],
    8: lambda upright: upright.swapaxes(0, 1)[:, ::-1],
}
"""EXIF orientation to the view that turns an upright photo into the photo as its file stores it."""

_INVERSE_ORIENTATIONS = {6: 8, 8: 6}
"""The quarter turns undo each other; every other orientation undoes itself."""

_BAND_PIXELS = 1 << 16
"""Pixels converted at a time: a band stays in the cache, and only the result is as large as the photo."""

_MAX_TIFF_TILE_PIXELS = 1 << 24
"""Tiles of a TIFF reach over the margins of its photo, and each is decoded whole."""

PngImagePlugin.MAX_TEXT_CHUNK = 16 << 20  # sound photos have notes and colour profiles of more than Pillow's 1 MB


@dataclass(frozen=True)
class Photo:
    """A decoded photo."""

    pixels: Pixels
    """Shape (H, W, 3), upright RGB; of a turned photo possibly a view."""
    facts: PhotoFacts


Decoder = Callable[[bytes, int], Photo]
"""From a photo's bytes and the most pixels it may have to the photo; raises `DataError`. `decode` is one."""


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode a photo: upright, first frame, 8-bit RGB.

    Converts grey, palette, CMYK and 16-bit to RGB and lays transparent parts on white.

    Raises:
        DataError: the bytes are no photo, or one that is damaged, has more than `max_pixels`, or needs more memory than
            an allocation gets. The photo is to blame for that: a machine that runs out of memory kills processes, and
            refuses only allocations that are too large for it.
    """
    if not data:
        raise DataError("decode", "empty_file", "The file is empty; expected a photo.")
    # Pillow refuses from twice this limit on, before GIF and WebP allocate even to open a file. The limit never
    # shrinks, since other code opens pictures in this process, too.
    Image.MAX_IMAGE_PIXELS = limit = max(max_pixels, Image.MAX_IMAGE_PIXELS or 0)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check_size(image, max_pixels)
            pixels = decode_with_turbo(image, data)
            if pixels is None:
                image.load()  # first, since it turns a TIFF upright and removes its orientation
                pixels = decode_with_pillow(image)
            return Photo(pixels, read_facts(image))
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(f"more than {2 * limit:,} pixels", max_pixels) from error
    except MemoryError as error:
        message = "Decoding takes more memory than there is for a photo. Score it on a machine that has more."
        raise DataError("decode", "too_large", message) from error
    except UnidentifiedImageError as error:
        raise DataError("decode", "not_an_image", f"No photo in {_describe(data)}.") from error
    except DAMAGED as error:
        raise DataError("decode", "truncated_image", f"The photo is damaged or cut short: {error}.") from error


def decode_with_turbo(image: Image.Image, data: bytes) -> Pixels | None:
    """Decode a usual JPEG with libjpeg-turbo straight into an array: Pillow's pixels in two thirds of its time.

    Returns:
        The upright pixels, shape (H, W, 3); None for other files, and for files of which this decoder even warns, so
        that Pillow decides about them.
    """
    if image.format not in {"JPEG", "MPO"} or image.mode != "RGB":
        return None
    stored = np.empty((image.height, image.width, 3), np.uint8)
    try:
        simplejpeg.decode_jpeg(data, buffer=stored)
    except ValueError:
        return None
    orientation = _read_orientation(image)
    # A view: the cutting of tiles turns them one by one, in the cache.
    return _TO_STORED[_INVERSE_ORIENTATIONS.get(orientation, orientation)](stored) if orientation > 1 else stored


def decode_with_pillow(image: Image.Image) -> Pixels:
    """Convert to RGB and turn as the EXIF says, band by band.

    Shape: → (H, W, 3).
    """
    orientation = _read_orientation(image)
    size = image.size if orientation > 4 else (image.height, image.width)
    pixels = np.empty((*size, 3), np.uint8)
    stored = _TO_STORED[orientation](pixels) if orientation > 1 else pixels
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        stored[top:bottom] = _to_rgb(image.crop((0, top, image.width, bottom)))
    return pixels


def resize(pixels: Pixels, height_px: int, width_px: int) -> Pixels:
    """Resize with antialiased bilinear filtering; return pixels of the right size as they are.

    Shape: (H, W, 3) → (height_px, width_px, 3).
    """
    pixels = _copy_by_rows(pixels)
    if pixels.shape[:2] == (height_px, width_px):
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((width_px, height_px), Image.Resampling.BILINEAR))


def _copy_by_rows(pixels: Pixels) -> Pixels:
    """Copy a part of a turned or mirrored photo into row order; return other pixels as they are.

    Copies it as it is stored, then turns it in the cache, plane by plane: three to four times as fast
    (docs/experiments.md).
    """
    down, right = pixels.strides[:2]
    if 0 <= right <= abs(down):
        return pixels
    forward = (slice(None, None, 1 if down > 0 else -1), slice(None, None, 1 if right > 0 else -1))
    stored, upright = pixels[forward].copy(order="K"), np.empty(pixels.shape, np.uint8)
    for plane in np.ndindex(pixels.shape[2:]):
        upright[(..., *plane)] = stored[(..., *plane)][forward]
    return upright


def _check_size(image: ImageFile.ImageFile, max_pixels: int) -> None:
    """Refuse a photo that would fill the memory, before any pixel is decoded."""
    found, in_tile = image.width * image.height, _count_tile_pixels(image)
    if found > max_pixels:
        raise _too_many_pixels(f"{image.width} x {image.height} = {found:,} pixels", max_pixels)
    if in_tile > max(max_pixels, _MAX_TIFF_TILE_PIXELS):
        raise _too_many_pixels(f"stored in tiles of {in_tile:,} pixels", max_pixels)
    if len(image.tile) > 4 * (image.height + found // 64):  # a row or 8 x 8 pixels each, in up to four planes
        message = f"The photo is damaged: {found:,} pixels in {len(image.tile):,} pieces."
        raise DataError("decode", "truncated_image", message)


def _too_many_pixels(found: str, max_pixels: int) -> DataError:
    message = f"The photo is {found}; at most {max_pixels:,} are decoded. Raise --max-pixels to score it."
    return DataError("decode", "too_many_pixels", message)


def _count_tile_pixels(image: Image.Image) -> int:
    """Return how many pixels a tile of a TIFF has, 0 for a photo without tiles."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return 0
    width, height = (image.tag_v2.get(tag) for tag in (ExifTags.Base.TileWidth, ExifTags.Base.TileLength))
    return width * height if isinstance(width, int) and isinstance(height, int) else 0


def _read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if it is missing or damaged."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation)
    except DAMAGED:
        return 1
    return found if isinstance(found, int) and found in _TO_STORED else 1


def _to_rgb(image: Image.Image) -> Pixels:
    """Convert any mode to 8-bit RGB, shape (H, W, 3) or (H, W, 1)."""
    if image.mode == "F":
        raise DataError("decode", "unsupported_format", "The pixels are 32-bit floats, whose range is unknown.")
    if image.mode.startswith("I"):
        return _scale_16_bit(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _scale_16_bit(image: Image.Image) -> Pixels:
    """Scale grey levels of 0 … 65535 to 0 … 255, rounded; `convert` would clip them at 255."""
    levels = np.clip(np.asarray(image, np.int64), 0, 65535)
    return ((levels + 128) // 257).astype(np.uint8)[..., None]


def _describe(data: bytes) -> str:
    return f"{len(data):,} bytes that begin with {data[:12]!r}; expected JPEG, PNG, TIFF, BMP, WebP or GIF"
