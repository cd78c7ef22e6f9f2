"""Polygons on the earth: what is read, and which points lie in them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.findings.areas import Area, parse_area

DEGREES = st.integers(-8, 8).map(lambda eighth: eighth / 8)


def in_area(text: str, *points: tuple[float, float]) -> list[bool]:
    """Which points lie in an area."""
    found: list[bool] = parse_area(text).contains(np.array(points, np.float64)).tolist()
    return found


def test_holes_and_islands() -> None:
    """A point in a hole is outside, one on an island in another polygon inside."""
    square = "((0 0, 9 0, 9 9, 0 9, 0 0), (3 3, 6 3, 6 6, 3 6, 3 3))"
    points = ((1.0, 1.0), (4.0, 4.0), (10.0, 1.0))
    assert in_area(f"POLYGON {square}", *points) == [True, False, False]
    island = "((4 4, 5 4, 5 5, 4 5, 4 4))"
    assert in_area(f"MULTIPOLYGON ({square}, {island})", (4.5, 4.5), (3.5, 3.5)) == [True, False]


@pytest.mark.parametrize(
    "text",
    [
        "POLYGON ((11 48, 12 48, 12 49, 11 48))",
        " Polygon((11 48,12 48,12 49,11 48)) ",
        "SRID=4326;POLYGON Z ((11 48 500, 12 48 510.5, 12 49 3, 11 48 500))",
        "PolygonZ ((11 48 5, 12 48 5, 12 49 3, 11 48 5))",
        "MULTIPOLYGON (((11 48, 12 48, 12 49, 11 48)))",
    ],
)
def test_the_spellings_of_programs_are_read(text: str) -> None:
    """Those of PostGIS, QGIS and Excel's users; heights are left out."""
    assert in_area(text, (11.9, 48.1), (11.1, 48.9)) == [True, False]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("POINT (1 2)", "is no POLYGON"),
        ("POLYGON (1 2, 3 4)", "brackets in other places"),
        ("POLYGON ((1 2, 3 4, 5 6, 1 2)) )", "brackets in other places"),
        ("MULTIPOLYGON ((1 2, 3 4, 5 6, 1 2))", "brackets in other places"),
        ("POLYGON ((1 2, 3 4, 1 2))", "has 3 corners"),
        ("POLYGON ((1 2, 3 4, 5 6, 7 8))", "has 4 corners, the last of which must be the first again"),
        ("POLYGON ((1, 3, 5, 1))", "is no list of longitudes"),
        ("POLYGON ((,,,))", "is no list of longitudes"),
        ("POLYGON ((1 2, 3 x, 5 6, 1 2))", "is no list of longitudes"),
        ("POLYGON ((nan 2, 3 4, 5 6, nan 2))", "corners"),
        ("POLYGON ((48 111, 49 111, 49 112, 48 111))", "longitude comes before latitude"),
        ("SRID=25832;POLYGON ((1 2, 3 4, 5 6, 1 2))", "EPSG:25832"),
        ("POLYGON ((4468503 5333317, 4468600 5333317, 4468600 5333400, 4468503 5333317))", "outside of -180"),
    ],
)
def test_other_texts_are_refused(text: str, problem: str) -> None:
    """The reason says what was found."""
    with pytest.raises(ValueError, match=problem):
        parse_area(text)


@given(x=DEGREES, y=DEGREES, x0=DEGREES, x1=DEGREES)
def test_a_point_lies_in_one_of_two_neighbours(x: float, y: float, x0: float, x1: float) -> None:
    """On their edge, too: every point of a square that a line cuts in two."""
    west = Area([np.array([(-2, -2), (x0, -2), (x1, 2), (-2, 2), (-2, -2)], np.float64)])
    east = Area([np.array([(2, 2), (x1, 2), (x0, -2), (2, -2), (2, 2)], np.float64)])
    point = np.array([(x, y)])
    assert west.contains(point)[0] != east.contains(point)[0]


def test_no_place_is_in_no_area() -> None:
    """A photo without a position."""
    assert in_area("POLYGON ((-180 -90, 180 -90, 180 90, -180 90, -180 -90))", (np.nan, np.nan)) == [False]
