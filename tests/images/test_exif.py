"""EXIF gives facts where it is credible, else None."""

import unicodedata
import warnings
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from pipeline.images.decode import decode
from pipeline.images.exif import PhotoFacts, read_facts
from tests.helpers.exif_blocks import CODES, Tags, Value, ascii_text, degrees, make_exif, rationals
from tests.helpers.hostile_photos import encode

PICTURE = Image.new("RGB", (48, 32))

FIELD = Path(__file__).parents[2].parent / "shared/field/exif"

MAKE, MODEL, CHANGED_AT, TAKEN_AT, DIGITISED_AT, FOCAL_LENGTH = 271, 272, 306, 0x9003, 0x9004, 0x920A

ZURICH: Tags = {1: ascii_text("N"), 2: degrees(47, 30, 36), 3: ascii_text("E"), 4: degrees(8, 15, 0)}


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
    assert decode(with_exif(base={ExifTags.Base.Make: "x" * 199, ExifTags.Base.Model: "y"})).facts.camera == "x" * 199


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


def read(
    base: Tags | None = None, details: Tags | None = None, gps: Tags | None = None, order: str = "<"
) -> PhotoFacts:
    """Decode a photo with EXIF written by hand."""
    return decode(encode(PICTURE, "JPEG", exif=make_exif(base, details, gps, order))).facts


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_written_by_hand_is_read(order: str) -> None:
    """All six facts, in both orders of bytes."""
    base = {MAKE: ascii_text("DJI"), MODEL: ascii_text("FC6310")}
    details = {TAKEN_AT: ascii_text("2024:05:01 10:20:30"), FOCAL_LENGTH: rationals((88, 10))}
    gps = {**ZURICH, 5: Value(1, (0,)), 6: rationals((4085, 10))}

    facts = read(base, details, gps, order)

    assert facts == PhotoFacts(datetime(2024, 5, 1, 10, 20, 30), 47.51, 8.25, 408.5, "DJI FC6310", 8.8)  # noqa: DTZ001


@pytest.mark.parametrize("kind", [1, 2, 7, 129])
def test_a_camera_is_read_in_whatever_type_it_comes(kind: int) -> None:
    """Bytes, ASCII, undefined, and the UTF-8 of EXIF 3.0, of which Pillow knows nothing."""
    make, model = Value(kind, "Kamera-Süd\0\1\xe9\7AUTO".encode()), Value(kind, b"K1\0\0\0\0")

    facts = read({MAKE: make, MODEL: model})

    assert facts == PhotoFacts(camera="Kamera-Süd K1")


@pytest.mark.parametrize("kind", [1, 2, 7, 129])
def test_times_and_references_are_read_in_whatever_type_they_come(kind: int) -> None:
    """The type is the writer's affair."""
    details = {TAKEN_AT: Value(kind, b"2024-05-01T10:20:30+02:00\0")}
    gps = {**ZURICH, 1: Value(kind, b"South\0"), 3: Value(kind, b"w\0"), 5: Value(kind, b"1\0"), 6: rationals((25, 2))}

    facts = read(None, details, gps)

    assert facts == PhotoFacts(datetime(2024, 5, 1, 10, 20, 30), -47.51, -8.25, -12.5)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS R5", "Canon EOS R5"),
        ("CANON", "Canon EOS R5", "Canon EOS R5"),
        ("NIKON CORPORATION", "NIKON D850", "NIKON D850"),
        ("LEICA CAMERA AG", "Leica Q2", "Leica Q2"),
        ("LG Electronics", "LG-H870", "LG-H870"),
        ("DJI", "Mavic 3 (DJI)", "Mavic 3 (DJI)"),
        ("DJI", "DJI", "DJI"),
        ("DJI", "FC6310", "DJI FC6310"),
        ("SONY", "ILCE-7RM4", "SONY ILCE-7RM4"),
        ("samsung", "SM-G998B", "samsung SM-G998B"),
        ("LG", "LGM-V300K", "LG LGM-V300K"),
        ("(C) [x", "a", "(C) [x a"),
        ("DJI", "", "DJI"),
        ("", "FC6310", "FC6310"),
        ("\0", " ", None),
    ],
)
def test_a_make_that_the_model_names_is_not_repeated(make: str, model: str, camera: str | None) -> None:
    """By its first word or as a whole, in capitals or not, but only as words."""
    assert read({MAKE: ascii_text(make), MODEL: ascii_text(model)}).camera == camera


@pytest.mark.parametrize("forms", ["PNG", "TIFF", "WEBP"])
def test_utf_8_is_read_in_other_forms_of_photos(forms: str) -> None:
    """A TIFF is its own EXIF; the others hold the block of a JPEG."""
    exif = make_exif({MODEL: Value(129, "Süd".encode())})
    data = _make_tiff_with(MODEL, "Süd".encode()) if forms == "TIFF" else encode(PICTURE, forms, exif=exif)

    assert decode(data).facts == PhotoFacts(camera="Süd")


def _make_tiff_with(tag: int, utf_8: bytes) -> bytes:
    """Make a grey TIFF of one row with a tag of type 129."""
    numbers = {256: 48, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 48}
    tags = {**{number: Value(4, (value,)) for number, value in numbers.items()}, tag: Value(129, utf_8)}
    return make_exif(tags).removeprefix(b"Exif\0\0") + bytes(48)


@pytest.mark.parametrize(
    ("details", "base", "day"),
    [
        ({TAKEN_AT: "2024:05:01 10:20:30", DIGITISED_AT: "2024:05:02 10:20:30"}, "2024:05:03 10:20:30", 1),
        ({TAKEN_AT: "0000:00:00 00:00:00", DIGITISED_AT: "2024:05:02 10:20:30"}, "2024:05:03 10:20:30", 2),
        ({TAKEN_AT: "    :  :     :  :  "}, "2024:05:03 10:20:30", 3),
        ({TAKEN_AT: "1970:01:01 00:00:00", DIGITISED_AT: "2099:01:01 00:00:00"}, "2024:05:03 10:20:30", 3),
        ({DIGITISED_AT: "2024:05:02 10:20:30"}, "", 2),
    ],
)
def test_the_best_time_that_is_one_counts(details: dict[int, str], base: str, day: int) -> None:
    """Taken, then digitised, then changed; one that is blank, zero or impossible hides none behind it."""
    facts = read({CHANGED_AT: ascii_text(base)}, {tag: ascii_text(text) for tag, text in details.items()})

    assert facts.captured_at == datetime(2024, 5, day, 10, 20, 30)  # noqa: DTZ001


@pytest.mark.parametrize(
    "gps", [{2: ZURICH[2], 4: ZURICH[4]}, {1: ZURICH[1], 2: ZURICH[2]}, {**ZURICH, 4: degrees(181, 0, 0)}]
)
def test_a_position_is_whole_or_none(gps: Tags) -> None:
    """Without references, without a longitude, or with one that is no longitude."""
    assert read(gps={**gps, 6: rationals((4085, 10))}) == PhotoFacts(altitude_m=408.5)


def test_a_height_wrapped_to_unsigned_leaves_the_position() -> None:
    """Each fact stands on its own."""
    assert read(gps={**ZURICH, 6: rationals((2**32 - 12_500, 1000))}) == PhotoFacts(latitude=47.51, longitude=8.25)


@pytest.mark.parametrize(
    ("value", "found"),
    [(rationals((0, 1)), None), (rationals((0, 0)), None), (rationals((88, 0)), None), (rationals((-88, 10)), None),
     (Value(5, (2**32 - 1, 1)), None), (Value(11, (float("nan"),)), None), (Value(3, (24,)), 24.0),
     (ascii_text("8.8"), 8.8), (rationals((5200, 1)), 5200.0)],
)  # fmt: skip
def test_a_focal_length_is_one_of_a_lens(value: Value, found: float | None) -> None:
    """Zero is what cameras without a chip in the lens write."""
    assert read(details={FOCAL_LENGTH: value}).focal_length_mm == found


EXPECTED = {
    "c01": PhotoFacts(camera="DJI FC6310"),
    "c03": PhotoFacts(camera="Kamera-Süd K1"),
    "c04": PhotoFacts(camera="Canon EOS R5"),
    "d01": PhotoFacts(captured_at=datetime(2024, 5, 1, 10, 20, 30)),  # noqa: DTZ001
    "d04": PhotoFacts(captured_at=datetime(2024, 5, 2, 10, 20, 30)),  # noqa: DTZ001
    "d05": PhotoFacts(captured_at=datetime(2024, 5, 3, 10, 20, 30)),  # noqa: DTZ001
    "d06": PhotoFacts(),
    "d08": PhotoFacts(captured_at=datetime(2024, 5, 2, 10, 20, 30)),  # noqa: DTZ001
    "g00": PhotoFacts(datetime(2024, 5, 1, 10, 20, 30), 41.51, 8.25, camera="DJI FC6310"),  # noqa: DTZ001
    "g01": PhotoFacts(),
    "g02": PhotoFacts(latitude=-41.51, longitude=-8.25),
    "g05": PhotoFacts(),
    "g11": PhotoFacts(latitude=41.51, longitude=8.25),
    "g12": PhotoFacts(latitude=41.51, longitude=8.25, altitude_m=-12.5),
}
"""Facts of the field's photos, by the beginning of their names."""


@pytest.mark.skipif(not FIELD.is_dir(), reason="needs the photos from the field")
def test_the_fields_photos_say_what_is_right() -> None:
    """Each is an example of a kind that is tested above."""
    facts = {path.name[:3]: decode(path.read_bytes()).facts for path in FIELD.iterdir()}

    assert facts == EXPECTED


def check_credible(facts: PhotoFacts) -> None:
    """Hold what a column may hold, whatever the file said."""
    latest = datetime.now() + timedelta(days=367)  # noqa: DTZ005 - a camera's clock has no zone
    assert facts.captured_at is None or datetime(1990, 1, 1) <= facts.captured_at <= latest  # noqa: DTZ001
    assert (facts.latitude is None) == (facts.longitude is None)
    assert facts.latitude is None or (abs(facts.latitude) <= 90 and abs(facts.longitude or 0) <= 180)
    assert (facts.latitude, facts.longitude) != (0, 0)
    assert facts.altitude_m is None or -500 <= facts.altitude_m <= 20_000
    assert facts.focal_length_mm is None or 0 < facts.focal_length_mm <= 10_000
    camera = "DJI" if facts.camera is None else facts.camera
    assert camera == camera.strip() != ""
    assert len(camera) <= 200
    assert not set(map(unicodedata.category, camera)) & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def read_block(block: bytes) -> PhotoFacts:
    """Read facts from a block of EXIF, without a file around it."""
    image = Image.new("RGB", (1, 1))
    image.info["exif"] = block
    with warnings.catch_warnings(action="ignore"):  # as `decode` does
        return read_facts(image)


DATES = st.text(st.sampled_from("0129:-/T Z+\0"), max_size=25).map(str.encode) | st.sampled_from(
    [b"2024-05-01T10:20:30Z", b"0000:00:00 00:00:00", b"9999:12:31 24:00:00"]
)
PARTS = st.one_of(
    st.binary(max_size=40), DATES, st.sampled_from([b"N\0", b"South", b"E", b"w\0", b"1", b"\1", bytes(24)])
)
FRACTIONS = st.lists(st.sampled_from([0, 1, 8, 36, 47, 60, 100, 1000, 2**31, 2**32 - 12_500, 2**32 - 1]), max_size=8)
VALUES = st.one_of(
    st.builds(Value, st.sampled_from([*CODES, 0, 14, 16, 65535]), PARTS, st.none()),
    st.builds(Value, st.sampled_from([*CODES]), PARTS, st.integers(0, 2**32 - 1)),
    FRACTIONS.map(lambda parts: Value(5, tuple(parts))),
)
SOUND_BASE = {MAKE: ascii_text("DJI"), MODEL: ascii_text("FC6310"), CHANGED_AT: ascii_text("2024:05:03 10:20:30")}
SOUND_DETAILS = {TAKEN_AT: ascii_text("2024:05:01 10:20:30"), FOCAL_LENGTH: rationals((88, 10))}
SOUND_GPS = {**ZURICH, 5: Value(1, (0,)), 6: rationals((4085, 10))}
SOUND = make_exif(SOUND_BASE, SOUND_DETAILS, SOUND_GPS)


def spoil(sound: Tags, *others: int) -> st.SearchStrategy[Tags]:
    """Draw sound tags of which some hold nonsense, some are missing, and some are others."""
    changes = st.dictionaries(st.sampled_from([*sound, *others]), st.none() | VALUES, max_size=4)
    return changes.map(lambda changed: {tag: value for tag, value in {**sound, **changed}.items() if value is not None})


BLOCKS = st.builds(
    make_exif,
    spoil(SOUND_BASE, 274, 700, 34665, 34853),
    st.none() | spoil(SOUND_DETAILS, DIGITISED_AT, 37500, 40965),
    st.none() | spoil(SOUND_GPS, 0, 7, 9),
    st.sampled_from("<>"),
)


@given(BLOCKS)
def test_nonsense_in_every_tag_makes_no_fact_that_cannot_be(block: bytes) -> None:
    """Values of every type and count, and of none; no exception, either."""
    check_credible(read_block(block))


@given(st.integers(0, len(SOUND)), st.dictionaries(st.integers(6, len(SOUND) - 1), st.integers(0, 255), max_size=6))
def test_damaged_blocks_make_no_fact_that_cannot_be(length: int, damage: dict[int, int]) -> None:
    """Cut short, and with bytes changed, offsets and counts among them."""
    block = bytearray(SOUND)
    for place, byte in damage.items():
        block[place] = byte

    check_credible(read_block(bytes(block)))
    check_credible(read_block(bytes(block[:length])))


@pytest.mark.parametrize("tag", [34665, 34853])
@pytest.mark.parametrize("offset", [0, 8, 2**32 - 1])
def test_a_directory_within_itself_ends(tag: int, offset: int) -> None:
    """It is read once; what it says beside counts."""
    assert read({MODEL: ascii_text("FC6310"), tag: Value(4, (offset,))}) == PhotoFacts(camera="FC6310")
