"""Georeferences of GeoTIFFs: each form of tags against what PROJ says of the same CRS, and files that GDAL writes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import CRS, Transformer
from tifffile import TiffFile

from pipeline.rasters.georeference import find_epsg, is_on_earth
from pipeline.rasters.geotiff import (
    DOUBLES,
    KEYS,
    PIXEL_SCALE,
    TEXTS,
    TIEPOINTS,
    TRANSFORMATION,
    FoundPlace,
    TagValues,
    read_georeference,
)

SCALE: TagValues = {PIXEL_SCALE: (0.5, 0.25, 0.0), TIEPOINTS: (0.0, 0.0, 0.0, 1000.0, 2000.0, 0.0)}
USER_DEFINED = 32767
FOOT_M = 1200 / 3937


def write_keys(values: Mapping[int, int | float | str]) -> TagValues:
    """The tags of GeoTIFF keys: whole numbers lie in the directory, others in tags of their own."""
    directory, doubles, text = [1, 1, 0, len(values)], list[float](), ""
    for key, value in sorted(values.items()):
        if isinstance(value, str):
            directory += [key, TEXTS, len(value) + 1, len(text)]
            text += f"{value}|"
        elif isinstance(value, float):
            directory += [key, DOUBLES, 1, len(doubles)]
            doubles.append(value)
        else:
            directory += [key, 0, 1, value]
    return {KEYS: directory, DOUBLES: doubles, TEXTS: text.encode() + b"\0"}


def crs_of(values: Mapping[int, int | float | str]) -> str:
    """The CRS of a raster with these keys."""
    found = read_georeference({**SCALE, **write_keys(values)})
    assert not found.problem
    assert found.georeference is not None
    assert found.georeference.crs is not None
    return found.georeference.crs


def test_a_tie_point_and_a_scale_are_a_geotransform() -> None:
    """The point may be any pixel; rows run downwards."""
    tags = {PIXEL_SCALE: (0.5, 0.25, 0.0), TIEPOINTS: (10.0, 20.0, 0.0, 1000.0, 2000.0, 0.0)}
    found = read_georeference(tags)
    assert found.georeference is not None
    assert found.georeference.geotransform == (995.0, 0.5, 0.0, 2005.0, 0.0, -0.25)
    assert (found.georeference.crs, found.problem) == (None, "")


def test_a_matrix_may_turn_the_raster() -> None:
    """All six numbers are taken from it."""
    matrix = (0.3, 0.4, 0.0, 7.0, 0.4, -0.3, 0.0, 8.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    found = read_georeference({TRANSFORMATION: matrix})
    assert found.georeference is not None
    assert found.georeference.geotransform == (7.0, 0.3, 0.4, 8.0, 0.4, -0.3)


def test_the_places_of_points_are_the_middles_of_pixels() -> None:
    """With RasterPixelIsPoint, the corner of the first pixel lies half a pixel to the upper left."""
    found = read_georeference({**SCALE, **write_keys({1024: 1, 1025: 2, 3072: 25832})})
    assert found.georeference is not None
    np.testing.assert_allclose(found.georeference.to_map(np.array([[0.5, 0.5]])), [[1000.0, 2000.0]])


@pytest.mark.parametrize(
    ("keys", "epsg"),
    [
        ({1024: 1, 3072: 25832, 3076: 9001}, 25832),
        ({1024: 1, 3072: 2056}, 2056),
        ({1024: 1, 3072: 27700}, 27700),
        ({1024: 1, 3072: 2227, 3076: 9003}, 2227),
        ({1024: 2, 2048: 4326, 2054: 9102}, 4326),
        ({1024: 2, 2048: 4258}, 4258),
    ],
)
def test_a_code_names_the_crs(keys: Mapping[int, int], epsg: int) -> None:
    """Of EPSG."""
    assert find_epsg(crs_of(keys)) == epsg


WRITTEN_OUT: Mapping[int, Mapping[int, int | float]] = {
    27700: {2048: 4277, 3075: 1, 3081: 49.0, 3080: -2.0, 3092: 0.9996012717, 3082: 400000.0, 3083: -100000.0},
    2154: {2048: 4171, 3075: 8, 3078: 49.0, 3079: 44.0, 3085: 46.5, 3084: 3.0, 3086: 700000.0, 3087: 6600000.0},
    3035: {2048: 4258, 3075: 10, 3089: 52.0, 3088: 10.0, 3082: 4321000.0, 3083: 3210000.0},
    5070: {2048: 4269, 3075: 11, 3078: 29.5, 3079: 45.5, 3081: 23.0, 3080: -96.0, 3082: 0.0, 3083: 0.0},
}
"""CRSs by their code, with their parameters as keys, after the EPSG dataset."""


@pytest.mark.parametrize("epsg", WRITTEN_OUT)
def test_a_projection_that_is_written_out_is_that_of_its_code(epsg: int) -> None:
    """Within a tenth of a millimetre, at a place within the area of use."""
    crs = CRS.from_epsg(epsg)
    assert crs.area_of_use is not None
    west, south, east, north = crs.area_of_use.bounds
    place = west + 0.4 * (east - west), south + 0.6 * (north - south)
    keys = {1024: 1, 3072: USER_DEFINED, 3074: USER_DEFINED, 3076: 9001, **WRITTEN_OUT[epsg]}
    own = Transformer.from_crs(crs.geodetic_crs, crs_of(keys), always_xy=True)
    theirs = Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True)
    np.testing.assert_allclose(own.transform(*place), theirs.transform(*place), atol=1e-4)


@pytest.mark.parametrize(("unit", "metres"), [(9001, 1.0), (9003, FOOT_M)])
def test_the_grid_of_a_site_has_a_scale_and_no_place_on_earth(unit: int, metres: float) -> None:
    """Surveys of a wall count metres or feet from a corner of it."""
    tags: TagValues = {PIXEL_SCALE: (0.001, 0.001, 0.0), TIEPOINTS: (0.0, 0.0, 0.0, 5.0, 5.0, 0.0)}
    found = read_georeference({**tags, **write_keys({1024: USER_DEFINED, 1026: "Pier 7", 3076: unit})})
    assert found.georeference is not None
    assert found.georeference.crs is not None
    assert not is_on_earth(found.georeference.crs)
    size = found.georeference.measure_pixel((0, 0))
    assert size is not None
    assert size == pytest.approx((metres, metres))


@pytest.mark.parametrize("keys", [{1024: 1, 3072: 99}, {1024: 3}])
def test_a_crs_that_nobody_knows_is_told(keys: Mapping[int, int]) -> None:
    """The geotransform stays, and says nothing of the earth."""
    found = read_georeference({**SCALE, **write_keys(keys)})
    assert found.georeference is not None
    assert not found.georeference.is_on_earth
    assert found.georeference.crs is not None or found.problem


@pytest.mark.parametrize(
    "tags",
    [
        {PIXEL_SCALE: (0.0, 0.0, 0.0), TIEPOINTS: (0.0,) * 6},
        {PIXEL_SCALE: (float("nan"), 1.0, 0.0), TIEPOINTS: (0.0,) * 6},
        {TIEPOINTS: (0.0,) * 6},
        {TIEPOINTS: (0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 9.0, 0.0, 0.0, 2.0, 1.0, 0.0, 0.0, 9.0, 0.0, 1.0, 3.0, 0.0)},
        {**SCALE, KEYS: (70000,)},
    ],
)
def test_a_georeference_that_places_nothing_is_none(tags: TagValues) -> None:
    """And says why: nothing is guessed, and no damage stops a run."""
    found = read_georeference(tags)
    assert found.georeference is None
    assert found.problem


@pytest.mark.parametrize("tags", [{}, write_keys({1024: 1, 3072: 25832})])
def test_a_tiff_without_a_georeference_has_none(tags: TagValues) -> None:
    """Without a word, for it promised nothing: a CRS alone places no pixel."""
    assert read_georeference(tags) == FoundPlace(None)


@pytest.mark.parametrize("epsg", [25832, 2056, 27700, 4326, 3857])
def test_files_of_gdal_come_back(epsg: int, tmp_path: Path) -> None:
    """CRS and geotransform, turned too, as GDAL writes them into a GeoTIFF."""
    transform = rasterio.Affine(0.01, 0.002, 500_000.25, -0.002, -0.01, 5_400_000.5)
    options = {"driver": "GTiff", "width": 4, "height": 3, "count": 1, "dtype": "uint8"}
    with rasterio.open(tmp_path / "a.tif", "w", crs=f"EPSG:{epsg}", transform=transform, **options) as file:
        file.write(np.zeros((1, 3, 4), np.uint8))
    with TiffFile(tmp_path / "a.tif") as tiff:
        chosen = [tag for tag in tiff.pages.first.tags.values() if tag.code in {TRANSFORMATION, KEYS, DOUBLES, TEXTS}]
        tags = {tag.code: tag.value.encode() if isinstance(tag.value, str) else tag.value for tag in chosen}
    found = read_georeference(tags)
    assert found.georeference is not None
    assert found.georeference.geotransform == pytest.approx(transform.to_gdal(), abs=1e-9)
    assert find_epsg(found.georeference.crs or "") == epsg
