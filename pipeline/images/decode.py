"""From the bytes of a photo to upright RGB pixels and the facts its EXIF holds.

Scoring decodes here alone. Whatever is wrong with the bytes comes out as a `DataError`.
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
from pipeline.images.exif import DAMAGED, PhotoFacts, facts_of

MAX_PIXELS = 200_000_000
"""Largest photo by default; its RGB pixels are 600 MB."""

PHOTO_SUFFIXES = frozenset({"jpg", "jpeg", "png", "tif", "tiff", "bmp", "webp", "gif"})
"""File name endings that are listed as photos."""

UNSUPPORTED_SUFFIXES = frozenset({"heic", "heif", "dng", "svg"})
"""Endings that are listed as photos and then fail, so that nobody believes them scored."""

_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")
"""What Pillow may try: a few well-tested decoders, never the rare ones."""

_LYING: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright.swapaxes(0, 1)[::-1],
    7: lambda upright: upright.swapaxes(0, 1)[::-1, ::-1],
    8: lambda upright: upright.swapaxes(0, 1)[:, ::-1],
}
"""EXIF orientation to the view of an upright photo in which it lies as in its file."""

_BAND_PIXELS = 1 << 16
"""Pixels are converted so many at a time: they stay in the cache, and only the result is as large as the photo."""

_LARGEST_TILE_PIXELS = 1 << 24
"""Tiles of a TIFF reach over the margins of its photo, and each is decoded whole."""

PngImagePlugin.MAX_TEXT_CHUNK = 16 << 20  # sound photos have notes and colour profiles of more than Pillow's 1 MB


@dataclass(frozen=True)
class Photo:
    """A decoded photo."""

    pixels: NDArray[np.uint8]
    """Shape (H, W, 3), upright RGB; a photo that was turned may be a view."""
    facts: PhotoFacts


Decoder = Callable[[bytes, int], Photo]
"""A photo's bytes and the largest number of pixels to a photo, or a `DataError`; `decode`, and what guards it."""


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode a photo: upright, first frame, 8-bit RGB.

    Grey, palette, CMYK and 16-bit become RGB; transparent parts are laid on white.

    Raises:
        DataError: no photo, a damaged one, one of more than `max_pixels`, or one for which memory is refused. That is
            the photo's doing: a machine that runs out of memory kills, and refuses only what is too large for it.
    """
    if not data:
        raise DataError("decode", "empty_file", "The file is empty; expected a photo.")
    # Pillow refuses twice as many, before GIF and WebP allocate even to open; others open pictures in this process, too
    Image.MAX_IMAGE_PIXELS = limit = max(max_pixels, Image.MAX_IMAGE_PIXELS or 0)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check_size(image, max_pixels)
            pixels = _quickly(image, data)
            if pixels is None:
                image.load()  # now, for a TIFF comes out of it upright and without its orientation
                pixels = _upright(image)
            return Photo(pixels, facts_of(image))
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(f"more than {2 * limit:,} pixels", max_pixels) from error
    except MemoryError as error:
        message = "Decoding takes more memory than there is for a photo. Score it on a machine that has more."
        raise DataError("decode", "too_large", message) from error
    except UnidentifiedImageError as error:
        raise DataError("decode", "not_an_image", f"No photo in {_described(data)}.") from error
    except DAMAGED as error:
        raise DataError("decode", "truncated_image", f"The photo is damaged or cut short: {error}.") from error


def resize(pixels: NDArray[np.uint8], height_px: int, width_px: int) -> NDArray[np.uint8]:
    """Resize with antialiased bilinear filtering; pixels that fit already are returned as they are.

    Shape: (H, W, 3) → (height_px, width_px, 3).
    """
    pixels = _by_rows(pixels)
    if pixels.shape[:2] == (height_px, width_px):
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((width_px, height_px), Image.Resampling.BILINEAR))


def _by_rows(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Copy a part of a photo that was turned or mirrored; leave others as they are.

    It is fetched as it lies and turned in the cache, plane by plane: three to four times as fast (docs/experiments.md).
    """
    down, right = pixels.strides[:2]
    if 0 <= right <= abs(down):
        return pixels
    forward = (slice(None, None, 1 if down > 0 else -1), slice(None, None, 1 if right > 0 else -1))
    lying, upright = pixels[forward].copy(order="K"), np.empty(pixels.shape, np.uint8)
    for plane in np.ndindex(pixels.shape[2:]):
        upright[(..., *plane)] = lying[(..., *plane)][forward]
    return upright


def _check_size(image: ImageFile.ImageFile, max_pixels: int) -> None:
    """Refuse what would fill the memory, before any pixel is decoded."""
    found, in_tile = image.width * image.height, _tile_pixels(image)
    if found > max_pixels:
        raise _too_many_pixels(f"{image.width} x {image.height} = {found:,} pixels", max_pixels)
    if in_tile > max(max_pixels, _LARGEST_TILE_PIXELS):
        raise _too_many_pixels(f"stored in tiles of {in_tile:,} pixels", max_pixels)
    if len(image.tile) > 4 * (image.height + found // 64):  # a row or 8 x 8 pixels each, in up to four planes
        message = f"The photo is damaged: {found:,} pixels in {len(image.tile):,} pieces."
        raise DataError("decode", "truncated_image", message)


def _too_many_pixels(found: str, max_pixels: int) -> DataError:
    message = f"The photo is {found}; at most {max_pixels:,} are decoded. Raise --max-pixels to score it."
    return DataError("decode", "too_many_pixels", message)


def _tile_pixels(image: Image.Image) -> int:
    """Return how large the tiles of a TIFF are, 0 where it has none."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return 0
    width, height = (image.tag_v2.get(tag) for tag in (ExifTags.Base.TileWidth, ExifTags.Base.TileLength))
    return width * height if isinstance(width, int) and isinstance(height, int) else 0


def _quickly(image: Image.Image, data: bytes) -> NDArray[np.uint8] | None:
    """Decode a usual JPEG with libjpeg-turbo straight into an array: Pillow's pixels in two thirds of its time.

    None for what is no usual JPEG, and what this decoder so much as warns of: Pillow has the last word.

    Shape: (H, W, 3).
    """
    if image.format not in {"JPEG", "MPO"} or image.mode != "RGB":
        return None
    lying = np.empty((image.height, image.width, 3), np.uint8)
    try:
        simplejpeg.decode_jpeg(data, buffer=lying)
    except ValueError:
        return None
    orientation = _orientation(image)
    # A view: who cuts tiles out of it turns them one by one, in the cache. All but the quarter turns undo themselves.
    return _LYING[{6: 8, 8: 6}.get(orientation, orientation)](lying) if orientation in _LYING else lying


def _upright(image: Image.Image) -> NDArray[np.uint8]:
    """Convert to RGB and turn as the EXIF says, band by band.

    Shape: (H, W, 3).
    """
    orientation = _orientation(image)
    size = image.size if orientation > 4 else (image.height, image.width)
    pixels = np.empty((*size, 3), np.uint8)
    lying = _LYING[orientation](pixels) if orientation in _LYING else pixels
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        lying[top:bottom] = _rgb(image.crop((0, top, image.width, bottom)))
    return pixels


def _orientation(image: Image.Image) -> int:
    """Return how the photo lies, 1 to 8; 1 where damaged EXIF does not tell."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation)
    except DAMAGED:
        return 1
    return found if isinstance(found, int) and found in _LYING else 1


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Convert any mode to 8-bit RGB, shape (H, W, 3) or (H, W, 1)."""
    if image.mode == "F":
        raise DataError("decode", "unsupported_format", "The pixels are 32-bit floats, whose white nobody knows.")
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _from_16_bit(image: Image.Image) -> NDArray[np.uint8]:
    """Scale grey levels of 0 … 65535 to 0 … 255, rounded; `convert` would clip them at 255."""
    levels = np.clip(np.asarray(image, np.int64), 0, 65535)
    return ((levels + 128) // 257).astype(np.uint8)[..., None]


def _described(data: bytes) -> str:
    return f"{len(data):,} bytes that begin with {data[:12]!r}; expected JPEG, PNG, TIFF, BMP, WebP or GIF"
