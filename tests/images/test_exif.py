"""EXIF gives facts where it is credible, else None."""

from datetime import datetime
from typing import Any

import pytest
from PIL import ExifTags, Image

from pipeline.images.decode import decode
from pipeline.images.exif import PhotoFacts
from tests.helpers.hostile_photos import encode

PICTURE = Image.new("RGB", (48, 32))


def with_exif(
    *, base: dict[int, Any] | None = None, details: dict[int, Any] | None = None, gps: dict[int, Any] | None = None
) -> bytes:
    """Return a photo with these tags."""
    exif = Image.Exif()
    exif.update(base or {})
    exif.get_ifd(ExifTags.IFD.Exif).update(details or {})
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps or {})
    return encode(PICTURE, "JPEG", exif=exif)


def test_a_photo_says_when_and_with_what_it_was_taken() -> None:
    """Time, camera and focal length; the time at which a photo was taken wins over the time of its last change."""
    data = with_exif(
        base={ExifTags.Base.Make: "DJI", ExifTags.Base.Model: "FC6310", ExifTags.Base.DateTime: "2025:01:01 00:00:00"},
        details={ExifTags.Base.DateTimeOriginal: "2024:05:01 10:20:30", ExifTags.Base.FocalLength: 8.8},
    )

    facts = decode(data).facts

    assert facts.captured_at == datetime(2024, 5, 1, 10, 20, 30)  # noqa: DTZ001 - EXIF has no zone
    assert facts.camera == "DJI FC6310"
    assert facts.focal_length_mm == pytest.approx(8.8)


@pytest.mark.parametrize(("north", "east", "signs"), [("N", "E", (1, 1)), ("S", "W", (-1, -1)), ("N", "W", (1, -1))])
def test_a_photo_says_where_it_was_taken(north: str, east: str, signs: tuple[int, int]) -> None:
    """Degrees, minutes and seconds become degrees; south and west are negative."""
    gps = {1: north, 2: (47.0, 30.0, 36.0), 3: east, 4: (8.0, 15.0, 0.0), 5: b"\0", 6: 408.5}

    facts = decode(with_exif(gps=gps)).facts

    assert facts.latitude == pytest.approx(signs[0] * 47.51)
    assert facts.longitude == pytest.approx(signs[1] * 8.25)
    assert facts.altitude_m == pytest.approx(408.5)


def test_below_sea_level_is_negative() -> None:
    """The reference of the altitude says whether it counts from sea level up or down."""
    assert decode(with_exif(gps={5: b"\1", 6: 3.5})).facts.altitude_m == pytest.approx(-3.5)


def test_a_long_camera_name_is_cut() -> None:
    """EXIF may hold megabytes, and the name is a column of every row."""
    assert decode(with_exif(base={ExifTags.Base.Make: "x" * 10_000})).facts.camera == "x" * 200


def test_without_exif_nothing_is_known() -> None:
    """Missing facts are None, never zero."""
    assert decode(encode(PICTURE, "PNG")).facts == PhotoFacts()


@pytest.mark.parametrize(
    "data",
    [
        with_exif(details={ExifTags.Base.DateTimeOriginal: "0000:00:00 00:00:00"}),
        with_exif(details={ExifTags.Base.DateTimeOriginal: "yesterday"}),
        with_exif(gps={1: "N", 2: (91.0, 0.0, 0.0), 3: "E", 4: (181.0, 0.0, 0.0)}),
        with_exif(gps={1: "N", 2: (47.0, 30.0)}),
        encode(PICTURE, "JPEG", exif=b"Exif\0\0garbage, no TIFF header"),
        encode(PICTURE, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
        encode(PICTURE, "JPEG", exif=b"Exif\0\0"),
    ],
)
def test_broken_exif_is_none_and_fails_no_photo(data: bytes) -> None:
    """Facts that are not credible are None; the photo is decoded."""
    photo = decode(data)

    assert photo.pixels.shape == (32, 48, 3)
    assert photo.facts == PhotoFacts()
