"""Rasters of a dataset: what `rasters.parquet` keeps, and where maps show their tiles and cracks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyogrio.raw
import pytest
from pyproj import CRS, Geod, Transformer

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.core.errors import CrackscanError, DatasetError, UsageError
from pipeline.dataset.commit_log import read_table, table_bytes
from pipeline.dataset.export import ExportConfig, Table, export
from pipeline.dataset.layout import Layout
from pipeline.dataset.rasters import Raster, add_rasters, find_faults, read_rasters
from pipeline.dataset.sql import query
from pipeline.rasters.georeference import Georeference, make_wkt
from tests.helpers.limits import files_of_at_most
from tests.helpers.raster_dataset import RASTER, window, write_raster_dataset
from tests.helpers.small_dataset import ok, with_cracks, write_dataset

LINE = np.array([[210.5, 20.0], [300.0, 120.0], [390.0, 130.5]])
PLACES = {
    25832: (565_000.0, 5_934_000.0, 0.0005),
    2056: (2_683_000.0, 1_248_000.0, 0.0005),
    27700: (530_000.0, 180_000.0, 0.0005),
    4326: (8.54, 47.37, 5e-9),
}
"""Upper left corner and side of a pixel, by EPSG code."""


def raster_at(epsg: int | None, archive: str = RASTER) -> Raster:
    """A raster of two windows that turns a little."""
    if epsg is None:
        return Raster(archive, 400, 200)
    x, y, side = PLACES[epsg]
    turned = Georeference((x, 0.8 * side, 0.6 * side, y, 0.6 * side, -0.8 * side), make_wkt(f"EPSG:{epsg}"))
    return Raster(archive, 400, 200, turned, 0.0, (2, 4, 8))


def write(out: Path, raster: Raster, name: str = "out") -> Layout:
    """A dataset of this raster: two windows, of which the second has a crack."""
    rows = [window(0, 0, archive=raster.archive), window(0, 200, [LINE], archive=raster.archive)]
    return write_raster_dataset(str(out / name), rows, [raster])


def read_features(layout: Layout, path: Path, table: Table, threshold: float | None = None) -> list[dict[str, Any]]:
    """The features of a map."""
    export(ExportConfig(layout.url, "geojson", str(path), table, threshold=threshold))
    features: list[dict[str, Any]] = json.loads(path.read_text())["features"]
    return features


def by_hand(raster: Raster, pixels: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Longitude and latitude of pixels, with pyproj alone."""
    assert raster.georeference is not None
    g0, g1, g2, g3, g4, g5 = raster.georeference.geotransform
    to = Transformer.from_crs(CRS(raster.georeference.crs), CRS.from_epsg(4326), always_xy=True)
    return [to.transform(g0 + g1 * x + g2 * y, g3 + g4 * x + g5 * y) for x, y in pixels]


def distance_m(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Metres between two places on the ellipsoid."""
    return float(Geod(ellps="WGS84").inv(one[0], one[1], other[0], other[1])[2])


@pytest.mark.parametrize("epsg", PLACES)
def test_tiles_lie_where_proj_says(epsg: int, tmp_path: Path) -> None:
    """Each corner within a millimetre; tiles under the threshold are left out, and rings run counterclockwise."""
    raster = raster_at(epsg)
    found = read_features(write(tmp_path, raster), tmp_path / "map.geojson", "tiles")
    assert [feature["properties"]["left_px"] for feature in found] == [0, 200]
    for feature in found:
        left, top = feature["properties"]["left_px"], feature["properties"]["top_px"]
        expected = by_hand(raster, [(left, top), (left + 100, top), (left + 100, top + 100), (left, top + 100)])
        [ring] = feature["geometry"]["coordinates"]
        assert feature["geometry"]["type"] == "Polygon"
        assert ring[0] == ring[-1]
        for corner in expected:
            assert min(distance_m(corner, (place[0], place[1])) for place in ring) < 0.001
        x, y = (np.array(ring) - ring[0]).T
        assert (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0


@pytest.mark.parametrize("epsg", PLACES)
def test_cracks_lie_where_proj_says(epsg: int, tmp_path: Path) -> None:
    """Each point of a line within a millimetre, with the columns of its row."""
    raster = raster_at(epsg)
    layout = write(tmp_path, raster)
    [feature] = read_features(layout, tmp_path / "map.geojson", "cracks")
    [line] = feature["geometry"]["coordinates"]
    for place, corner in zip(line, by_hand(raster, [(x, y) for x, y in LINE.tolist()]), strict=True):
        assert distance_m((place[0], place[1]), corner) < 0.001
    [row] = query(layout.url, "SELECT * EXCLUDE (part, line_wkt) FROM cracks").to_pylist()
    assert feature["geometry"]["type"] == "MultiLineString"
    assert feature["properties"] == pytest.approx(row)


@pytest.mark.parametrize("table", ["tiles", "cracks"])
def test_gdal_reads_the_map(table: Table, tmp_path: Path) -> None:
    """In WGS 84, as polygons or lines."""
    raster = raster_at(25832)
    export(ExportConfig(write(tmp_path, raster).url, "geojson", str(tmp_path / "map.geojson"), table))
    facts = pyogrio.read_info(tmp_path / "map.geojson")
    kind = {"tiles": "Polygon", "cracks": "MultiLineString"}[table]
    assert (facts["crs"], facts["geometry_type"]) == ("EPSG:4326", kind)
    west, south, east, north = facts["total_bounds"]
    [corner] = by_hand(raster, [(0, 0)])
    assert west - 1e-5 < corner[0] < east + 1e-5
    assert south - 1e-5 < corner[1] < north + 1e-5


@pytest.mark.parametrize("epsg", PLACES)
def test_a_geopackage_is_in_the_crs_of_the_raster(epsg: int, tmp_path: Path) -> None:
    """GDAL, which QGIS reads it with, finds its code, both layers, the places and the columns."""
    raster = raster_at(epsg)
    made = export(ExportConfig(write(tmp_path, raster).url, "gpkg", str(tmp_path / "map.gpkg")))
    assert (made.rows, made.notes) == ({"tiles": 2, "cracks": 1}, [])
    assert pyogrio.list_layers(tmp_path / "map.gpkg").tolist() == [
        ["tiles", "Polygon"],
        ["cracks", "MultiLineString"],
    ]
    assert raster.georeference is not None
    for layer, pixels in (("tiles", np.array([[0, 0], [100, 100], [200, 0], [300, 100], [300, 0], [0, 100]])),
                          ("cracks", LINE)):  # fmt: skip
        facts = pyogrio.read_info(tmp_path / "map.gpkg", layer=layer, force_total_bounds=True)
        places = raster.georeference.to_map(pixels.astype(float))
        assert facts["crs"] == f"EPSG:{epsg}"
        np.testing.assert_allclose(facts["total_bounds"], [*places.min(axis=0), *places.max(axis=0)], atol=1e-6)
        assert "crack_score" in facts["fields"] or "length_mm" in facts["fields"]
    _, _, wkb, columns = pyogrio.raw.read(tmp_path / "map.gpkg", layer="cracks")
    assert len(wkb) == 1
    assert len(columns) == len(table_schemas.CRACKS.names) - 2


def test_a_geopackage_has_layers_for_each_crs(tmp_path: Path) -> None:
    """The second CRS has a number; a raster without one is in pixels, and the outcome says so."""
    rasters = [raster_at(25832, "file:///a.tif"), raster_at(2056, "file:///b.tif"), raster_at(None, "file:///c.tif")]
    rows = [window(0, 0, [LINE - [200, 0]], archive=raster.archive, mm_per_px=None) for raster in rasters]
    layout = write_raster_dataset(str(tmp_path / "out"), rows, rasters)
    made = export(ExportConfig(layout.url, "gpkg", str(tmp_path / "map.gpkg")))
    assert made.rows == {"tiles": 3, "cracks": 3}
    assert made.notes == ["file:///c.tif has no coordinate reference system: its layers are in pixels."]
    found = {name: pyogrio.read_info(tmp_path / "map.gpkg", layer=name, force_total_bounds=True)
             for name, _ in pyogrio.list_layers(tmp_path / "map.gpkg")}  # fmt: skip
    assert [*found] == ["tiles", "cracks", "tiles_2", "cracks_2", "tiles_3", "cracks_3"]
    assert [found[name]["crs"] for name in ("cracks", "cracks_2")] == ["EPSG:25832", "EPSG:2056"]
    assert found["cracks_3"]["total_bounds"] == (10.5, -130.5, 190.0, -20.0)


def test_a_raster_without_a_crs_is_on_no_map_of_the_earth(tmp_path: Path) -> None:
    """Its tiles and cracks are counted, and the outcome says why."""
    layout = write(tmp_path, raster_at(None))
    counts: dict[Table, int] = {"tiles": 2, "cracks": 1}
    for table, count in counts.items():
        made = export(ExportConfig(layout.url, "geojson", str(tmp_path / "map.geojson"), table))
        assert (made.rows, made.unplaced) == ({table: 0}, count)
        assert made.notes == [
            f"{RASTER} has no coordinate reference system: it is not on this map; --to gpkg shows its pixels."
        ]


def test_the_grid_of_a_site_keeps_its_own_metres(tmp_path: Path) -> None:
    """A GeoPackage has it as a local system; GeoJSON cannot."""
    text = 'ENGCRS["Pier 7",EDATUM["Unknown"],CS[Cartesian,2],AXIS["(E)",east],AXIS["(N)",north],LENGTHUNIT["metre",1]]'
    raster = Raster(RASTER, 400, 200, Georeference((5, 0.001, 0, 7, 0, -0.001), make_wkt(text)))
    layout = write(tmp_path, raster)
    made = export(ExportConfig(layout.url, "gpkg", str(tmp_path / "map.gpkg")))
    assert "Pier 7, a grid without a place on earth" in made.notes[0]
    facts = pyogrio.read_info(tmp_path / "map.gpkg", layer="cracks", force_total_bounds=True)
    assert facts["total_bounds"] == pytest.approx((5.2105, 6.8695, 5.39, 6.98))
    assert export(ExportConfig(layout.url, "geojson", str(tmp_path / "map.geojson"), "cracks")).unplaced == 1


def test_the_threshold_chooses_tiles(tmp_path: Path) -> None:
    """All at 0, none at 1."""
    layout = write(tmp_path, raster_at(25832))
    for threshold, count in ((0.0, 8), (1.0, 0)):
        assert len(read_features(layout, tmp_path / "map.geojson", "tiles", threshold=threshold)) == count
        made = export(ExportConfig(layout.url, "gpkg", str(tmp_path / "map.gpkg"), threshold=threshold))
        assert made.rows["tiles"] == count


def test_photos_stay_points_beside_a_raster(tmp_path: Path) -> None:
    """Cracks of a photo lie at its position, those of a raster where they are."""
    photo = with_cracks(ok("a.jpg"), 1) | {"latitude": 48.0, "longitude": 11.0}
    layout = write_raster_dataset(str(tmp_path / "out"), [photo, window(0, 200, [LINE])], [raster_at(2056)])
    found = read_features(layout, tmp_path / "map.geojson", "cracks")
    assert [feature["geometry"]["type"] for feature in found] == ["Point", "MultiLineString"]


def test_photos_are_no_geopackage(tmp_path: Path) -> None:
    """It says what shows them."""
    layout = write_dataset(str(tmp_path / "out"))
    with pytest.raises(UsageError, match=r"has no raster.*--to geojson"):
        export(ExportConfig(layout.url, "gpkg", str(tmp_path / "map.gpkg")))


def test_an_older_geopackage_is_replaced_and_no_other(tmp_path: Path) -> None:
    """The mark in its contents tells."""
    layout = write(tmp_path, raster_at(25832))
    for _ in range(2):
        export(ExportConfig(layout.url, "gpkg", str(tmp_path / "map.gpkg")))
    points = np.array([bytes.fromhex("0101000000" + "00" * 16)], object)
    pyogrio.raw.write(tmp_path / "own.gpkg", points, [], [], geometry_type="Point", crs="EPSG:4326", layer="mine")
    with pytest.raises(UsageError, match="did not write"):
        export(ExportConfig(layout.url, "gpkg", str(tmp_path / "own.gpkg")))


def test_rasters_come_back(tmp_path: Path) -> None:
    """Those of the same URL are replaced, the others stay, and the view shows them."""
    layout = write(tmp_path, raster_at(25832))
    other = Raster("file:///other.tif", 5, 7)
    add_rasters(layout, [other])
    add_rasters(layout, [raster_at(2056)])
    assert read_rasters(layout) == [raster_at(2056), other]
    assert find_faults(layout) == []
    shown = query(layout.url, "SELECT archive, geotransform[1] AS x, crs FROM rasters ORDER BY archive").to_pylist()
    assert [(row["archive"], row["x"]) for row in shown] == [(RASTER, 2_683_000.0), ("file:///other.tif", None)]
    assert raster_at(2056).mm_per_px == pytest.approx(0.5)
    assert other.mm_per_px is None


def test_a_damaged_file_of_rasters_is_told(tmp_path: Path) -> None:
    """Other columns, no area, or bytes of something else."""
    layout = write(tmp_path, raster_at(25832))
    table = read_table(layout.rasters)
    storage.write_whole(layout.rasters, table_bytes(table.set_column(4, "geotransform", [[[1.0, 0.0]]])))
    assert "a geotransform has 2 numbers" in find_faults(layout)[0]
    storage.write_whole(layout.rasters, table_bytes(table.drop_columns(["crs"])))
    assert "other columns" in find_faults(layout)[0]
    storage.write_whole(layout.rasters, b"no table")
    with pytest.raises(DatasetError, match="no sound Parquet"):
        read_rasters(layout)


def test_a_geopackage_that_fails_leaves_the_older_one(tmp_path: Path) -> None:
    """Where there is no room for it, the message says so, and nothing half written stays."""
    layout = write(tmp_path, raster_at(25832))
    config = ExportConfig(layout.url, "gpkg", str(tmp_path / "map.gpkg"))
    export(config)
    before = (tmp_path / "map.gpkg").read_bytes()
    with files_of_at_most(1000), pytest.raises(CrackscanError, match="Make room there"):
        export(config)
    assert (tmp_path / "map.gpkg").read_bytes() == before
    export(config)
    made = export(ExportConfig(layout.url, "gpkg", "memory://exports/map.gpkg"))
    assert storage.stat(made.url).size_bytes > 1000
    export(ExportConfig(layout.url, "gpkg", "memory://exports/map.gpkg"))
