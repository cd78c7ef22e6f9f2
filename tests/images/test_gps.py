"""A position has hemispheres and lies on the globe, a height is one that cameras reach; else there is none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.images.gps import check_position, parse_altitude_m, parse_position

ZURICH = ((47.0, 30.0, 36.0), (8.0, 15.0, 0.0))


@pytest.mark.parametrize("south", ["S", "s", " S ", "S\0", b"S\0", ("S",), "South", "SOUTH LATITUDE", "Süd", "sur"])
@pytest.mark.parametrize("west", ["W", "w", b"W", "West", "WEST LONGITUDE"])
def test_a_reference_counts_by_its_first_letter(south: object, west: object) -> None:
    """In any spelling and type."""
    assert parse_position(ZURICH[0], south, ZURICH[1], west) == (-47.51, -8.25)


@pytest.mark.parametrize("north", ["N", "North", "nord", b"NORTH LATITUDE\0"])
@pytest.mark.parametrize("east", ["E", "East", "est"])
def test_north_and_east_are_positive(north: object, east: object) -> None:
    """As everywhere."""
    assert parse_position(ZURICH[0], north, ZURICH[1], east) == (47.51, 8.25)


@pytest.mark.parametrize(
    "reference",
    [None, "", " ", "\0", b"\0N", "X", "O", "E", 0, 1, b"\1", ("N", "S"), "N/A", "NaN", "None", "null", "no fix", "Nil",
     "not known", "na"],
)  # fmt: skip
def test_an_unknown_hemisphere_is_no_position(reference: object) -> None:
    """Half of the globe is a guess, and one coordinate alone says nothing."""
    assert parse_position(ZURICH[0], reference, ZURICH[1], "E") is None


@pytest.mark.parametrize("reference", [None, "", "N", "S", "O", "empty", "Error", "null"])
def test_an_unknown_half_of_the_longitude_is_no_position(reference: object) -> None:
    """West is written "O" in Spanish, and east in German."""
    assert parse_position(ZURICH[0], "N", ZURICH[1], reference) is None


@pytest.mark.parametrize(
    "latitude",
    [47.51, (47.51,), (47.51, 0.0), (47.51, 0.0, 0.0), (47.0, 30.6), (47.0, 30.6, 0.0), (47, 30, 36), "47.51"],
)
def test_degrees_have_one_to_three_parts(latitude: object) -> None:
    """Missing minutes and seconds are zero."""
    assert parse_position(latitude, "N", ZURICH[1], "E") == pytest.approx((47.51, 8.25))


@pytest.mark.parametrize(
    ("latitude", "found"), [((47.0, 60.0, 0.0), 48.0), ((47.0, 59.0, 60.0), 48.0), ((89.0, 59.0, 60.0), 90.0)]
)
def test_sixty_is_carried(latitude: object, found: float) -> None:
    """Some cameras round seconds up and do not carry them."""
    assert parse_position(latitude, "N", ZURICH[1], "E") == pytest.approx((found, 8.25))


@pytest.mark.parametrize(
    "latitude",
    [None, (), "", b"\x2f\x1e\x24", (47.0, 61.0, 0.0), (47.0, 0.0, 60.5), (90.0, 0.0, 1.0), (1.0, 2.0, 3.0, 4.0),
     (float("nan"), 0.0, 0.0), (47.0, float("inf"), 0.0), (47.0, None, 0.0), (47.0, "", 0.0), 4294967295],
)  # fmt: skip
def test_degrees_that_cannot_be_are_no_position(latitude: object) -> None:
    """Nor is the longitude kept without its latitude."""
    assert parse_position(latitude, "N", ZURICH[1], "E") is None


@pytest.mark.parametrize("latitude", [(-47.0, 30.0, 36.0), (-47.0, -30.0, -36.0), (-47.51,), -47.51])
def test_a_minus_sign_agrees_with_its_reference_or_nothing_is_known(latitude: object) -> None:
    """With "S" it says south once, with "N" one of the two is wrong, and without a reference it is no EXIF."""
    assert parse_position(latitude, "S", ZURICH[1], "E") == pytest.approx((-47.51, 8.25))
    assert parse_position(latitude, "N", ZURICH[1], "E") is None
    assert parse_position(latitude, None, ZURICH[1], "E") is None


@pytest.mark.parametrize("latitude", [(47.0, -30.0, 36.0), (47.0, 30.0, -36.0), (-47.0, -30.0, 36.0)])
def test_mixed_signs_are_no_position(latitude: object) -> None:
    """Nobody can say what they mean."""
    assert parse_position(latitude, "S", ZURICH[1], "E") is None


def test_south_of_the_equator_by_minutes_alone() -> None:
    """-0.51 degrees, split by a program that keeps the sign in each part."""
    assert parse_position((0.0, -30.0, -36.0), "S", ZURICH[1], "E") == pytest.approx((-0.51, 8.25))


def test_null_island_is_no_position_but_the_equator_is() -> None:
    """(0, 0) is what receivers without a fix write."""
    nothing = (0.0, 0.0, 0.0)
    assert parse_position(nothing, "N", nothing, "E") is None
    assert parse_position(nothing, "S", nothing, "W") is None
    assert check_position(1e-7, -1e-7) is None
    assert parse_position(nothing, "N", ZURICH[1], "E") == (0.0, 8.25)
    assert parse_position(ZURICH[0], "N", nothing, "E") == (47.51, 0.0)


@pytest.mark.parametrize(
    "below", [1, 3, b"\1", b"\3", b"\1\0", "1", b"1", "1\0", "\1", (1,), 1.0, "Below Sea Level", b"b"]
)
def test_below_sea_level_is_negative(below: object) -> None:
    """Whatever type the reference has; EXIF 3.0 has two for below."""
    assert parse_altitude_m(12.5, below) == -12.5
    assert parse_altitude_m(-12.5, below) == -12.5


@pytest.mark.parametrize(
    "above", [None, 0, 2, b"\0", b"\2", b"\0\0", b"", "", " ", "0", "2", "\0", (0,), "Above Sea Level"]
)
def test_above_sea_level_is_the_default(above: object) -> None:
    """As EXIF has it; a minus sign is kept, since a program that writes one knows no references."""
    assert parse_altitude_m(12.5, above) == 12.5
    assert parse_altitude_m(-12.5, above) == -12.5


@pytest.mark.parametrize("reference", [4, 255, b"\xff", "x", "7", (0, 1), float("nan")])
def test_a_reference_that_means_nothing_is_no_height(reference: object) -> None:
    """The sign would be a guess."""
    assert parse_altitude_m(12.5, reference) is None


@pytest.mark.parametrize(
    ("height_m", "reference", "found"),
    [(8848.0, 0, 8848.0), (20_000.0, 0, 20_000.0), (20_000.1, 0, None), (430.0, 1, -430.0), (501.0, 1, None),
     ((2**32 - 12_500) / 1000, 0, None), ((2**32 - 12_500) / 1000, 1, None), (2**32 - 1, 0, None), (None, 0, None),
     (float("nan"), 0, None), ("high", 0, None)],
)  # fmt: skip
def test_a_height_that_no_camera_reaches_is_none(height_m: object, reference: object, found: float | None) -> None:
    """Among them negative ones that came out as unsigned."""
    assert parse_altitude_m(height_m, reference) == found


PARTS = st.one_of(st.none(), st.floats(), st.integers(-400, 400), st.text(max_size=3), st.binary(max_size=3))
REFERENCES = st.one_of(st.sampled_from(["N", "S", "E", "W", b"S", "North", None, 0, 1, 3]), PARTS)


@given(st.lists(PARTS, max_size=4).map(tuple) | PARTS, REFERENCES, st.lists(PARTS, max_size=4).map(tuple), REFERENCES)
def test_positions_lie_on_the_globe(latitude: Any, north: Any, longitude: Any, east: Any) -> None:  # noqa: ANN401
    """Whatever the tags hold."""
    found = parse_position(latitude, north, longitude, east)

    assert found is None or (abs(found[0]) <= 90 and abs(found[1]) <= 180 and found != (0, 0))


@given(st.floats(-90, 90), st.floats(-180, 180).filter(lambda degrees: abs(degrees) > 0.01), st.sampled_from([1, 2, 3]))
def test_a_position_survives_its_parts(latitude: float, longitude: float, parts: int) -> None:
    """Written as degrees, as degrees and minutes, or with seconds, to a hundred thousandth of a second."""
    north, east = "S" if latitude < 0 else "N", "W" if longitude < 0 else "E"

    found = parse_position(_split(latitude, parts), north, _split(longitude, parts), east)

    assert found == pytest.approx((latitude, longitude), abs=1e-8)


def _split(value: float, parts: int) -> tuple[float, ...]:
    degrees, rest = divmod(abs(value), 1)
    minutes, fraction = divmod(rest * 60, 1)
    return ((abs(value),), (degrees, rest * 60), (degrees, minutes, fraction * 60))[parts - 1]
