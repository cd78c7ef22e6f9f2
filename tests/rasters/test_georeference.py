"""Places of pixels: against PROJ for UTM, national grids and geographic CRSs, and back again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Geod, Transformer

from pipeline.rasters.georeference import (
    Georeference,
    find_epsg,
    is_geographic,
    list_doubts,
    make_wkt,
    name_crs,
    write_wkt1,
)

SITES = {
    25832: (565_000.0, 5_934_000.0),  # Hamburg, ETRS89 / UTM 32N
    2056: (2_683_000.0, 1_248_000.0),  # Zurich, Swiss LV95
    27700: (530_000.0, 180_000.0),  # London, British grid
    4326: (8.54, 47.37),
    4258: (10.0, 53.55),
    2227: (6_050_000.0, 2_120_000.0),  # Oakland, California, US survey feet
}
"""A place in each CRS, x before y."""
FOOT_M = 1200 / 3937


def make_turned(epsg: int, side: float, turn_deg: float) -> Georeference:
    """A raster at the place of its CRS, whose pixels have this side, in metres, and turn anticlockwise."""
    x, y = SITES[epsg]
    unit = {4326: 1 / 111_000, 4258: 1 / 111_000, 2227: 1 / FOOT_M}.get(epsg, 1.0)
    cos, sin = np.cos(np.radians(turn_deg)) * side * unit, np.sin(np.radians(turn_deg)) * side * unit
    return Georeference((x, cos, sin, y, sin, -cos), make_wkt(f"EPSG:{epsg}"))


turned = st.builds(
    make_turned, st.sampled_from(sorted(SITES)), st.sampled_from([0.0002, 0.001, 0.05]), st.floats(0, 360)
)
pixel = st.tuples(st.floats(0, 300_000), st.floats(0, 300_000))


@given(turned, pixel)
def test_pixels_come_back(georeference: Georeference, place: tuple[float, float]) -> None:
    """To the map and back, within a hundredth of a pixel."""
    pixels = np.array([place])
    np.testing.assert_allclose(georeference.to_pixels(georeference.to_map(pixels)), pixels, atol=0.01)


@given(turned, pixel)
def test_places_on_earth_are_those_of_proj(georeference: Georeference, place: tuple[float, float]) -> None:
    """Within a millimetre of the ground, of the same affine map and pyproj's transformation, written out by hand."""
    g0, g1, g2, g3, g4, g5 = georeference.geotransform
    x, y = place
    transformer = Transformer.from_crs(CRS(georeference.crs), CRS.from_epsg(4326), always_xy=True)
    expected = transformer.transform(g0 + g1 * x + g2 * y, g3 + g4 * x + g5 * y)
    [(longitude, latitude)] = georeference.to_lonlat(np.array([place])).tolist()
    assert Geod(ellps="WGS84").inv(longitude, latitude, expected[0], expected[1])[2] < 0.001


@given(turned)
def test_a_pixel_of_a_projection_has_the_side_of_the_map(georeference: Georeference) -> None:
    """In metres or feet, however it is turned; in degrees, the side along each axis of the ellipsoid."""
    size = georeference.measure_pixel((1000, 1000))
    assert size is not None
    side = np.hypot(*georeference.geotransform[1::3])
    if georeference.crs is not None and not is_geographic(georeference.crs):
        unit = FOOT_M if find_epsg(georeference.crs) == 2227 else 1.0
        assert size == pytest.approx((1000 * side * unit,) * 2)
        assert not size.is_uneven


@given(st.floats(-80, 80), st.floats(-179, 179), st.floats(1e-9, 1e-5))
def test_a_pixel_in_degrees_is_as_wide_as_the_latitude_says(latitude: float, longitude: float, side: float) -> None:
    """By the radii of curvature of the ellipsoid, M and N cos(latitude) (Snyder 1987, p. 24)."""
    georeference = Georeference((longitude, side, 0, latitude, 0, -side), make_wkt("EPSG:4326"))
    size = georeference.measure_pixel((0, 0))
    a, e2 = 6378137.0, 0.0066943799901413165
    w2 = 1 - e2 * np.sin(np.radians(latitude)) ** 2
    down = np.radians(side) * a * (1 - e2) / w2**1.5 * 1000
    across = np.radians(side) * a / np.sqrt(w2) * np.cos(np.radians(latitude)) * 1000
    assert size is not None
    assert size == pytest.approx((across, down), rel=1e-3)
    assert size.mm_per_px == pytest.approx(np.sqrt(across * down), rel=1e-3)
    assert size.is_uneven == (max(size) > 1.02 * min(size))


def test_a_map_that_stretches_counts_what_it_shows() -> None:
    """Web Mercator is 1.57 times too large at 50.5 degrees north; the ground counts."""
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(8.0, 50.5)
    size = Georeference((x, 0.001, 0, y, 0, -0.001), make_wkt("EPSG:3857")).measure_pixel((0, 0))
    e2, sin = 0.0066943799901413165, np.sin(np.radians(50.5))
    across = np.cos(np.radians(50.5)) / np.sqrt(1 - e2 * sin**2)  # N cos(latitude) / a
    down = np.cos(np.radians(50.5)) * (1 - e2) / (1 - e2 * sin**2) ** 1.5  # M cos(latitude) / a
    assert size is not None
    assert size == pytest.approx((across, down), rel=1e-4)
    assert 0.6 < size.mm_per_px < 0.65


def test_without_a_crs_there_is_no_scale_and_no_place() -> None:
    """Pixels are all that there is, with y upwards."""
    georeference = Georeference.of_pixels()
    assert georeference.measure_pixel((0, 0)) is None
    assert not georeference.is_on_earth
    np.testing.assert_array_equal(georeference.to_map(np.array([[3.0, 4.0]])), [[3.0, -4.0]])
    with pytest.raises(ValueError, match="no coordinate reference system"):
        georeference.to_lonlat(np.array([[0.0, 0.0]]))


def test_far_outside_its_area_a_crs_shows_nothing() -> None:
    """The place is infinite, and there is no scale: no wrong one."""
    georeference = Georeference((5e9, 0.001, 0, 5e9, 0, -0.001), make_wkt("EPSG:25832"))
    assert not np.isfinite(georeference.to_lonlat(np.array([[0.0, 0.0]]))).any()
    assert georeference.measure_pixel((0, 0)) is None
    beyond = Georeference((0, 0.001, 0, 95.0, 0, -0.001), make_wkt("EPSG:4326"))
    assert beyond.measure_pixel((0, 0)) is None


@pytest.mark.parametrize("geotransform", [(0, 0, 0, 0, 0, 0), (0, 1, 1, 0, 1, 1), (0, float("nan"), 0, 0, 0, 1)])
def test_a_geotransform_has_an_area(geotransform: tuple[float, float, float, float, float, float]) -> None:
    """Others are refused."""
    with pytest.raises(ValueError, match="no geotransform"):
        Georeference(geotransform)


def test_words_of_a_crs() -> None:
    """Its name, its code, and the older text; what PROJ does not know is refused."""
    crs = make_wkt("EPSG:25832")
    assert (name_crs(crs), find_epsg(crs)) == ("ETRS89 / UTM zone 32N", 25832)
    assert (write_wkt1(crs) or "").startswith("PROJCS[")
    with pytest.raises(ValueError, match="EPSG:1"):
        make_wkt("EPSG:1")


def test_doubts_are_told() -> None:
    """No place, no CRS, degrees, pixels of two lengths, rows that are turned, and nothing of a plain map."""
    plain = Georeference((565_000.0, 0.001, 0.0, 5_934_000.0, 0.0, -0.001), make_wkt("EPSG:25832"))
    turned = Georeference((565_000.0, 0.0008, 0.0006, 5_934_000.0, 0.0006, -0.0008), make_wkt("EPSG:25832"))
    degrees = Georeference((8.5, 1e-8, 0.0, 47.4, 0.0, -1e-8), make_wkt("EPSG:4326"))
    equator = Georeference((8.5, 1e-8, 0.0, 0.1, 0.0, -1e-8), make_wkt("EPSG:4326"))
    nowhere = Georeference((565_000.0, 0.001, 0.0, 5_934_000.0, 0.0, -0.001))
    for place, word in ((None, "no georeference"), (nowhere, "no coordinate reference system"), (degrees, "warp it"),
                        (equator, "counts in degrees"), (turned, "turned by 37 degrees")):  # fmt: skip
        [doubt] = list_doubts(place, (100, 100))
        assert word in doubt
    assert list_doubts(plain, (100, 100)) == []
