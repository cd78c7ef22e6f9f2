"""Positions and heights from EXIF's GPS tags and their like in XMP; None for those that no camera can have."""

import re

from pipeline.images.exif_values import parse_number, parse_text

LOWEST_M, HIGHEST_M = -500, 20_000
"""Heights of a camera: the shore of the Dead Sea lies at -430 m, and hardly an aircraft flies above 20 km. An unsigned
number that was meant to be negative comes out far above."""

NULL_ISLAND_DEGREES = 1e-6
"""A position this close to (0, 0), 11 cm, is a receiver without a fix, not a bridge in the Gulf of Guinea."""

_ABSENT = re.compile(r"n/?a\b|nan|nil|no\b|none|not\b|null|empty|error", re.IGNORECASE)
"""What programs write for a missing reference, and what must not be read as north or east."""

_ALTITUDE_SIGNS = {0: 1, 1: -1, 2: 1, 3: -1, "0": 1, "1": -1, "2": 1, "3": -1, "a": 1, "b": -1}
"""EXIF's references of the altitude, as numbers, as digits and as "above" and "below". EXIF 3.0 has 2 and 3 for the
other surface (sea level or ellipsoid); odd numbers are below theirs."""


def parse_position(
    latitude: object, latitude_reference: object, longitude: object, longitude_reference: object
) -> tuple[float, float] | None:
    """Return latitude and longitude in degrees, north and east positive; both or neither.

    EXIF's GPSStatus is not asked: many cameras write "V" (void) with a sound position, the last one measured.
    """
    north = _parse_degrees(latitude, _parse_hemisphere(latitude_reference, "NS"), limit=90)
    east = _parse_degrees(longitude, _parse_hemisphere(longitude_reference, "EW"), limit=180)
    return check_position(north, east)


def check_position(latitude: float | None, longitude: float | None) -> tuple[float, float] | None:
    """Return a position that a photo can have, else None."""
    if latitude is None or longitude is None or not (abs(latitude) <= 90 and abs(longitude) <= 180):
        return None
    if max(abs(latitude), abs(longitude)) <= NULL_ISLAND_DEGREES:
        return None
    return latitude, longitude


def parse_altitude_m(value: object, reference: object) -> float | None:
    """Return the height in metres, negative below sea level or ellipsoid.

    Without a reference it is above sea level, EXIF's default. A minus sign and a reference that says "below" say the
    same thing once.
    """
    height_m, sign = parse_number(value), _parse_altitude_sign(reference)
    if height_m is None or sign is None:
        return None
    signed_m = -abs(height_m) if sign < 0 else height_m
    return signed_m if LOWEST_M <= signed_m <= HIGHEST_M else None


def _parse_hemisphere(reference: object, letters: str) -> int | None:
    """Return 1 for the first of two letters, -1 for the second; None where the reference names neither."""
    text = parse_text(reference) or ""
    place = letters.find(text[:1].upper()) if text and not _ABSENT.match(text) else -1
    return None if place < 0 else 1 - 2 * place


def _parse_degrees(value: object, sign: int | None, limit: int) -> float | None:
    """Convert degrees, minutes and seconds, of which the last ones may be missing, to signed degrees.

    Minus signs are no part of EXIF. One before the degrees, or before all parts, says the same as "S" or "W"; with "N"
    or "E" it contradicts them, and nobody knows which is right. Parts of exactly 60 come from rounding.
    """
    parts = [parse_number(part) for part in (value if isinstance(value, tuple) else (value,))]
    known = [part for part in parts if part is not None]
    if sign is None or len(known) < len(parts) or not 1 <= len(known) <= 3 or any(abs(part) > 60 for part in known[1:]):
        return None
    negative = [part for part in known if part < 0]
    if negative and (sign > 0 or negative not in (known[:1], [part for part in known if part])):
        return None
    degrees = sum(abs(part) / scale for part, scale in zip(known, (1, 60, 3600), strict=False))
    return sign * degrees if degrees <= limit else None


def _parse_altitude_sign(reference: object) -> int | None:
    """Return 1 for heights above, -1 for heights below, None for a reference that means nothing."""
    if isinstance(reference, (str, bytes)):
        text = (reference.decode("latin-1") if isinstance(reference, bytes) else reference).lstrip()
        first = text[:1].lower() or "\0"
        return _ALTITUDE_SIGNS.get(ord(first) if first < " " else first)
    number = 0 if reference is None else parse_number(reference)
    return None if number is None else _ALTITUDE_SIGNS.get(number)
