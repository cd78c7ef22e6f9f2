"""The facts in a photo's EXIF and, where that is silent, in its XMP: when, where and with what it was taken.

Here stands which tag says what. How values are read, and which are credible, is up to `exif_values`, `gps` and
`capture_time`.
"""

import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from PIL import ExifTags, Image, TiffImagePlugin

from pipeline.images import xmp
from pipeline.images.capture_time import find_time
from pipeline.images.exif_values import parse_number, parse_text
from pipeline.images.gps import check_position, parse_altitude_m, parse_position

DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, LookupError, TypeError, ArithmeticError,
           AttributeError, AssertionError, RuntimeError, zlib.error)  # fmt: skip
"""What Pillow raises for damaged photos and damaged EXIF, found by fuzzing."""

MAX_CAMERA_CHARACTERS = 200
"""EXIF may hold megabytes; the camera is a column of every row."""

MAX_FOCAL_LENGTH_MM = 10_000
"""The longest telephoto lenses have some 5,000 mm."""

_BASE_TAGS = (
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.DateTime,
    ExifTags.Base.DateTimeOriginal,  # this and the next two stand there in TIFF/EP
    ExifTags.Base.DateTimeDigitized,
    ExifTags.Base.FocalLength,
)

_Directory = TiffImagePlugin.ImageFileDirectory_v2
# EXIF 3.0's type for UTF-8, of which Pillow drops the tags: like type 7, bytes.
_Directory._load_dispatch.setdefault(129, _Directory._load_dispatch[7])  # noqa: SLF001 - it has no public way


@dataclass(frozen=True)
class PhotoFacts:
    """What EXIF and XMP of a photo say; None for what is missing or not credible."""

    captured_at: datetime | None = None
    """The camera's clock, without a zone."""
    latitude: float | None = None
    """Degrees, north positive."""
    longitude: float | None = None
    """Degrees, east positive."""
    altitude_m: float | None = None
    camera: str | None = None
    focal_length_mm: float | None = None


@dataclass(frozen=True)
class Metadata:
    """What EXIF and XMP of a photo hold, each read once."""

    base: Mapping[int, object]
    """Tags of EXIF's first directory."""
    details: Mapping[int, object]
    """Tags of its Exif directory."""
    gps: Mapping[int, object]
    """Tags of its GPS directory."""
    info: xmp.Info
    """Where XMP is."""

    @cached_property
    def properties(self) -> Mapping[str, str]:
        """XMP's properties; parsed when they are first asked for, since a photo's history takes milliseconds."""
        try:
            return xmp.read_properties(self.info)
        except (ValueError, LookupError):  # not well formed, or in an encoding that Python does not know
            return {}


def read_metadata(image: Image.Image) -> Metadata:
    """Read EXIF and find XMP; neither ever fails a photo."""
    try:
        exif = image.getexif()
    except DAMAGED:
        return Metadata({}, {}, {}, image.info)
    base = {int(tag): _read_tag(exif, tag) for tag in _BASE_TAGS}
    details, gps = _read_directory(exif, ExifTags.IFD.Exif), _read_directory(exif, ExifTags.IFD.GPSInfo)
    return Metadata(base, details, gps, image.info)


def read_facts(image: Image.Image) -> PhotoFacts:
    """Read the facts that can be read; see `parse_facts`."""
    return parse_facts(read_metadata(image))


def parse_facts(metadata: Metadata) -> PhotoFacts:
    """Interpret metadata, each fact from XMP where EXIF does not have it.

    When the file was last changed, which may be long after it was taken, counts last.
    """
    facts = _parse_exif(metadata)
    if None in vars(facts).values():
        facts = _complete(facts, _parse_xmp(metadata.properties))
    changed_at = metadata.base.get(ExifTags.Base.DateTime)
    return _complete(facts, PhotoFacts(captured_at=find_time([changed_at])))


def _complete(facts: PhotoFacts, others: PhotoFacts) -> PhotoFacts:
    """Fill in what is missing."""
    return replace(facts, **{name: value for name, value in vars(others).items() if getattr(facts, name) is None})


def _read_tag(exif: Image.Exif, tag: int) -> object:
    try:
        return exif.get(tag)
    except DAMAGED:
        return None


def _read_directory(exif: Image.Exif, tag: int) -> Mapping[int, object]:
    try:
        return exif.get_ifd(tag)
    except DAMAGED:
        return {}


def _parse_exif(metadata: Metadata) -> PhotoFacts:
    base, details, gps = metadata.base, metadata.details, metadata.gps
    latitude, longitude = _parse_exif_position(gps) or (None, None)
    tags = ExifTags.Base
    times = (details.get(tag) or base.get(tag) for tag in (tags.DateTimeOriginal, tags.DateTimeDigitized))
    return PhotoFacts(
        captured_at=find_time(times),
        latitude=latitude,
        longitude=longitude,
        altitude_m=parse_altitude_m(gps.get(ExifTags.GPS.GPSAltitude), gps.get(ExifTags.GPS.GPSAltitudeRef)),
        camera=_join_camera(base.get(tags.Make), base.get(tags.Model)),
        focal_length_mm=_parse_focal_length(details.get(tags.FocalLength) or base.get(tags.FocalLength)),
    )


def _parse_exif_position(gps: Mapping[int, object]) -> tuple[float, float] | None:
    tags = ExifTags.GPS
    return parse_position(
        gps.get(tags.GPSLatitude),
        gps.get(tags.GPSLatitudeRef),
        gps.get(tags.GPSLongitude),
        gps.get(tags.GPSLongitudeRef),
    )


def _parse_xmp(properties: Mapping[str, str]) -> PhotoFacts:
    """Interpret XMP's properties by the rules for EXIF's tags.

    The order of the times is the Metadata Working Group's: Photoshop's `DateCreated` is the time of capture,
    `CreateDate` that of digitisation (Guidelines for Handling Image Metadata 2.0, 5.3).
    """
    get = properties.get
    latitude, longitude = _parse_xmp_position(properties) or (None, None)
    times = ("exif:DateTimeOriginal", "photoshop:DateCreated", "exif:DateTimeDigitized", "xmp:CreateDate")
    altitude_m = parse_altitude_m(get("exif:GPSAltitude"), get("exif:GPSAltitudeRef"))
    return PhotoFacts(
        captured_at=find_time(get(name) for name in times),
        latitude=latitude,
        longitude=longitude,
        altitude_m=parse_altitude_m(get("drone-dji:AbsoluteAltitude"), None) if altitude_m is None else altitude_m,
        camera=_join_camera(get("tiff:Make"), get("tiff:Model")),
        focal_length_mm=_parse_focal_length(get("exif:FocalLength")),
    )


def _parse_xmp_position(properties: Mapping[str, str]) -> tuple[float, float] | None:
    """Read `47,30.6N` or `47,30,36N` (XMP specification, part 2), else DJI's signed decimals."""
    pair = [(properties.get(f"exif:{name}") or "").strip() for name in ("GPSLatitude", "GPSLongitude")]
    (latitude, north), (longitude, east) = [(tuple(text[:-1].split(",")), text[-1:]) for text in pair]
    names = ("drone-dji:GpsLongitude", "drone-dji:GpsLongtitude")  # the second is how some drones spell it
    signed_east = next((properties[name] for name in names if name in properties), None)
    signed = check_position(parse_number(properties.get("drone-dji:GpsLatitude")), parse_number(signed_east))
    return parse_position(latitude, north, longitude, east) or signed


def _join_camera(make: object, model: object) -> str | None:
    """Join make and model; without a make that the model names already, as "NIKON D850" does "NIKON CORPORATION"."""
    maker, name = parse_text(make), parse_text(model)
    if maker and name:
        brand, whole = re.escape(maker.split()[0]), re.escape(maker)
        if re.search(rf"^{brand}(?!\w)|(?<!\w){whole}(?!\w)", name, re.IGNORECASE):
            maker = None
    return " ".join(word for word in (maker, name) if word)[:MAX_CAMERA_CHARACTERS].strip() or None


def _parse_focal_length(value: object) -> float | None:
    length_mm = parse_number(value)
    return length_mm if length_mm is not None and 0 < length_mm <= MAX_FOCAL_LENGTH_MM else None
