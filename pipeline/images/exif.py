"""The facts in a photo's EXIF: when, where and with what it was taken."""

import struct
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from PIL import ExifTags, Image

DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, LookupError, TypeError, ArithmeticError,
           AttributeError, AssertionError, RuntimeError, zlib.error)  # fmt: skip
"""What Pillow raises for damaged photos and damaged EXIF, found by fuzzing."""

MAX_CAMERA_CHARACTERS = 200
"""EXIF may hold megabytes; the camera is a column of every row."""


@dataclass(frozen=True)
class PhotoFacts:
    """What the EXIF of a photo says; None for what is missing or not credible."""

    captured_at: datetime | None = None
    latitude: float | None = None
    """Degrees, north positive."""
    longitude: float | None = None
    """Degrees, east positive."""
    altitude_m: float | None = None
    camera: str | None = None
    focal_length_mm: float | None = None


def read_facts(image: Image.Image) -> PhotoFacts:
    """Read the facts that can be read; bad EXIF never fails a photo."""
    try:
        exif = image.getexif()
        details, gps = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)
        return _parse_facts(exif, details, gps)
    except DAMAGED:
        return PhotoFacts()


def _parse_facts(exif: Image.Exif, details: dict[int, Any], gps: dict[int, Any]) -> PhotoFacts:
    altitude_m = _parse_number(gps.get(ExifTags.GPS.GPSAltitude))
    is_below_sea_level = gps.get(ExifTags.GPS.GPSAltitudeRef) in {1, b"\x01"}
    return PhotoFacts(
        captured_at=_parse_time(details.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)),
        latitude=_parse_degrees(gps, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, limit=90),
        longitude=_parse_degrees(gps, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, limit=180),
        altitude_m=-altitude_m if altitude_m is not None and is_below_sea_level else altitude_m,
        camera=_parse_camera(exif),
        focal_length_mm=_parse_number(details.get(ExifTags.Base.FocalLength)),
    )


def _parse_time(value: object) -> datetime | None:
    try:
        return datetime.strptime(str(value).strip("\0 "), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - EXIF has no zone
    except ValueError:
        return None


def _parse_camera(exif: Image.Exif) -> str | None:
    words = [str(exif.get(tag, "")).strip("\0 ") for tag in (ExifTags.Base.Make, ExifTags.Base.Model)]
    text = " ".join(word for word in words if word)
    return text[:MAX_CAMERA_CHARACTERS].encode("utf-8", "replace").decode() or None


def _parse_number(value: Any) -> float | None:  # noqa: ANN401 - EXIF holds anything
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if np.isfinite(number) else None


def _parse_degrees(gps: dict[int, Any], tag: int, reference_tag: int, limit: int) -> float | None:
    """Convert degrees, minutes and seconds to degrees; south and west are negative."""
    try:
        degrees, minutes, seconds = (float(part) for part in gps[tag])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    value = degrees + minutes / 60 + seconds / 3600
    if not abs(value) <= limit:  # also catches NaN
        return None
    return -value if str(gps.get(reference_tag, "")).strip("\0 ").upper() in {"S", "W"} else value
