"""From the bytes of a photo to upright RGB pixels and the facts its EXIF holds.

The only module that knows image libraries. Whatever is wrong with the bytes comes out as a `DataError`.
"""

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from pipeline.errors import DataError

MAX_PIXELS = 200_000_000
"""Largest photo by default; its RGB pixels are 600 MB."""

PHOTO_SUFFIXES = frozenset({"jpg", "jpeg", "png", "tif", "tiff", "bmp", "webp", "gif"})
"""File name endings that are listed as photos."""

UNSUPPORTED_SUFFIXES = frozenset({"heic", "heif", "dng", "svg"})
"""Endings that are listed as photos and then fail, so that nobody believes them scored."""

_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")
"""What Pillow may try: a few well-tested decoders, never the rare ones."""

_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    zlib.error,
)
"""What Pillow raises for damaged photos and damaged EXIF, found by fuzzing; a MemoryError is not the photo's fault."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to what puts the photo upright."""

Image.MAX_IMAGE_PIXELS = None  # `decode` checks the size itself, before any pixel is decoded


@dataclass(frozen=True)
class PhotoFacts:
    """What a photo says of itself, None where it does not."""

    captured_at: datetime | None = None
    latitude: float | None = None
    """Degrees, north positive."""
    longitude: float | None = None
    """Degrees, east positive."""
    altitude_m: float | None = None
    camera: str | None = None
    focal_length_mm: float | None = None


@dataclass(frozen=True)
class Photo:
    """A decoded photo."""

    pixels: NDArray[np.uint8]
    """Shape (H, W, 3), upright RGB."""
    facts: PhotoFacts


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode a photo: upright, first frame, 8-bit RGB.

    Grey, palette, CMYK and 16-bit become RGB; transparent parts are laid on white.

    Raises:
        DataError: no photo, a damaged one, or one of more than `max_pixels`.
    """
    if not data:
        raise DataError("decode", "empty_file", "The file is empty; expected a photo.")
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check_size(image, max_pixels)
            image.load()
            return Photo(_rgb(_upright(image)), _facts(image))
    except UnidentifiedImageError as error:
        raise DataError("decode", "not_an_image", f"No photo in {_described(data)}.") from error
    except _DAMAGED as error:
        raise DataError("decode", "truncated_image", f"The photo is damaged or cut short: {error}.") from error


def resize(pixels: NDArray[np.uint8], height_px: int, width_px: int) -> NDArray[np.uint8]:
    """Resize with antialiased bilinear filtering; pixels that fit already are returned as they are.

    Shape: (H, W, 3) → (height_px, width_px, 3).
    """
    if pixels.shape[:2] == (height_px, width_px):
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((width_px, height_px), Image.Resampling.BILINEAR))


def _check_size(image: Image.Image, max_pixels: int) -> None:
    found = image.width * image.height
    if found > max_pixels:
        raise DataError(
            "decode",
            "too_many_pixels",
            f"The photo is {image.width} x {image.height} = {found:,} pixels; at most {max_pixels:,} are decoded. "
            "Raise --max-pixels to score it.",
        )


def _upright(image: Image.Image) -> Image.Image:
    """Turn a photo as its EXIF says; with damaged EXIF it stays as it lies."""
    try:
        method = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _DAMAGED:
        return image
    return image if method is None else image.transpose(method)


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Convert any mode to 8-bit RGB, shape (H, W, 3)."""
    if image.mode == "F":
        raise DataError("decode", "unsupported_format", "The pixels are 32-bit floats, whose white nobody knows.")
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _from_16_bit(image: Image.Image) -> NDArray[np.uint8]:
    """Scale grey levels of 0 … 65535 to 0 … 255, rounded; `convert` would clip them at 255."""
    levels = np.clip(np.asarray(image, np.int64), 0, 65535)
    grey = ((levels + 128) // 257).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _described(data: bytes) -> str:
    return f"{len(data):,} bytes that begin with {data[:12]!r}; expected JPEG, PNG, TIFF, BMP, WebP or GIF"


def _facts(image: Image.Image) -> PhotoFacts:
    """Read what can be read; a photo is not failed for bad EXIF."""
    try:
        exif = image.getexif()
        details, gps = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)
        return _read_facts(exif, details, gps)
    except _DAMAGED:
        return PhotoFacts()


def _read_facts(exif: Image.Exif, details: dict[int, Any], gps: dict[int, Any]) -> PhotoFacts:
    altitude_m = _number(gps.get(ExifTags.GPS.GPSAltitude))
    below_sea_level = gps.get(ExifTags.GPS.GPSAltitudeRef) in {1, b"\x01"}
    return PhotoFacts(
        captured_at=_time(details.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)),
        latitude=_degrees(gps, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, limit=90),
        longitude=_degrees(gps, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, limit=180),
        altitude_m=-altitude_m if altitude_m is not None and below_sea_level else altitude_m,
        camera=_camera(exif),
        focal_length_mm=_number(details.get(ExifTags.Base.FocalLength)),
    )


def _time(value: object) -> datetime | None:
    try:
        return datetime.strptime(str(value).strip("\0 "), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - EXIF has no zone
    except ValueError:
        return None


def _camera(exif: Image.Exif) -> str | None:
    words = [str(exif.get(tag, "")).strip("\0 ") for tag in (ExifTags.Base.Make, ExifTags.Base.Model)]
    text = " ".join(word for word in words if word)
    return text.encode("utf-8", "replace").decode() or None


def _number(value: Any) -> float | None:  # noqa: ANN401 - EXIF holds anything
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if np.isfinite(number) else None


def _degrees(gps: dict[int, Any], tag: int, reference_tag: int, limit: int) -> float | None:
    """Degrees, minutes and seconds to degrees, south and west negative."""
    try:
        degrees, minutes, seconds = (float(part) for part in gps[tag])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    value = degrees + minutes / 60 + seconds / 3600
    if not abs(value) <= limit:  # also catches NaN
        return None
    return -value if str(gps.get(reference_tag, "")).strip("\0 ").upper() in {"S", "W"} else value
