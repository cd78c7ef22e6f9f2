"""Layers of polygons and lines as a GeoPackage (OGC 12-128r17, version 1.3), for QGIS and other programs of maps.

A GeoPackage is an SQLite database with tables of its own, which Python's standard library writes.
"""

import sqlite3
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.rasters.georeference import Points, find_epsg, is_geographic, make_wkt, name_crs, write_wkt1

Geometry = Literal["POLYGON", "MULTILINESTRING"]

APPLICATION_ID, VERSION = 0x47504B47, 10300
"""`GPKG`, and version 1.3.0."""
UNDEFINED_MAP = -1
"""`srs_id` of layers in units that nobody knows, such as pixels."""
OWN_SRS = 100_000
"""The first `srs_id` of a CRS without an EPSG code."""
_LINE_STRING, _POLYGON, _MULTI_LINE_STRING = 2, 3, 5
"""Kinds of geometry in well-known binary (OGC 06-103r4)."""
_LITTLE_ENDIAN_WITH_ENVELOPE = 0b0000_0011
_BATCH_ROWS = 1000

_TABLES = """
    CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY, organization TEXT NOT NULL,
        organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
    CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE,
        description TEXT DEFAULT '', last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
        min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
        CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id));
    CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL,
        geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL,
        CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name),
        CONSTRAINT uk_gc_table_name UNIQUE (table_name),
        CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents (table_name),
        CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id));
"""

_REQUIRED_SYSTEMS = (
    ("Undefined Cartesian", -1, "NONE", -1, "undefined", "coordinates of a plane, such as pixels"),
    ("Undefined geographic", 0, "NONE", 0, "undefined", "longitude and latitude on an unknown ellipsoid"),
)

Value = str | int | float | None


class Feature(NamedTuple):
    """A row of a layer."""

    lines: Sequence[Points]
    """The rings of a polygon, closed, or the lines, on the map. Shape: (N, 2) each."""
    values: Sequence[Value]
    """One for each column."""


class Layer(NamedTuple):
    """A table of features in one CRS."""

    name: str
    geometry: Geometry
    columns: Mapping[str, type]
    """`str`, `int` or `float` by the column's name."""
    crs: str | None
    """As WKT; None for units that nobody knows."""
    features: Iterable[Feature]


def write_geopackage(path: Path, layers: Iterable[Layer], mark: str) -> dict[str, int]:
    """Write a new file.

    Args:
        path: where nothing is yet.
        layers: their names are unique.
        mark: the program that wrote it, for its description.

    Returns:
        The number of features by layer.
    """
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.executescript(_TABLES)
        database.executemany(_insert("gpkg_spatial_ref_sys", 6), _REQUIRED_SYSTEMS)
        _find_srs(database, make_wkt("EPSG:4326"))  # section 1.1.2: every file has it
        counts = {layer.name: _write_layer(database, layer, mark) for layer in layers}
        database.commit()
    return counts


def read_mark(path: Path) -> str | None:
    """Return the mark of a file that `write_geopackage` wrote; None where there is none."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute("SELECT min(description) FROM gpkg_contents").fetchone()
    except sqlite3.Error:  # another database, or a damaged one
        return None
    return None if found is None or found[0] is None else str(found[0])


def _write_layer(database: sqlite3.Connection, layer: Layer, mark: str) -> int:
    srs_id = _find_srs(database, layer.crs)
    kinds = {str: "TEXT", int: "INTEGER", float: "REAL"}
    columns = "".join(f", {_quote(name)} {kinds[kind]}" for name, kind in layer.columns.items())
    kind = layer.geometry
    database.execute(
        f"CREATE TABLE {_quote(layer.name)} (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom {kind}{columns})"
    )
    insert = f"INSERT INTO {_quote(layer.name)} VALUES (NULL, ?{', ?' * len(layer.columns)})"  # noqa: S608 - our names
    bounds, count = np.array([[np.inf, -np.inf]] * 2), 0
    rows = iter(layer.features)
    while features := [*islice(rows, _BATCH_ROWS)]:
        boxes = np.stack([_find_box(feature) for feature in features])
        bounds[:, 0] = np.minimum(bounds[:, 0], boxes[:, :, 0].min(axis=0))
        bounds[:, 1] = np.maximum(bounds[:, 1], boxes[:, :, 1].max(axis=0))
        database.executemany(insert, _encode_rows(features, boxes, layer.geometry, srs_id))
        count += len(features)
    box = bounds.T.ravel().tolist() if count else [None] * 4  # min_x, min_y, max_x, max_y
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, min_x, min_y, max_x, max_y, srs_id)"
        " VALUES (?, 'features', ?, ?, ?, ?, ?, ?, ?)",
        [layer.name, layer.name, mark, *box, srs_id],
    )
    database.execute(_insert("gpkg_geometry_columns", 6), [layer.name, "geom", kind, srs_id, 0, 0])
    return count


def _find_srs(database: sqlite3.Connection, crs: str | None) -> int:
    """Return the `srs_id` of a CRS, and note the CRS where the file has it not yet."""
    if crs is None:
        return UNDEFINED_MAP
    older, epsg = write_wkt1(crs), find_epsg(crs)
    definition = crs if older is None else older
    found = database.execute(
        "SELECT srs_id FROM gpkg_spatial_ref_sys WHERE srs_id = ? OR definition = ?", [epsg, definition]
    ).fetchone()
    if found is not None:
        return int(found[0])
    [last] = database.execute("SELECT max(srs_id) FROM gpkg_spatial_ref_sys").fetchone()
    srs_id = epsg or max(OWN_SRS, last + 1)
    kind = "longitude and latitude" if is_geographic(crs) else "easting and northing"
    organization = "NONE" if epsg is None else "EPSG"
    database.execute(
        _insert("gpkg_spatial_ref_sys", 6), [name_crs(crs), srs_id, organization, srs_id, definition, kind]
    )
    return srs_id


def _encode_rows(
    features: Sequence[Feature], boxes: NDArray[np.float64], geometry: Geometry, srs_id: int
) -> Iterator[tuple[bytes | Value, ...]]:
    for feature, box in zip(features, boxes, strict=True):
        head = struct.pack("<2sBBi4d", b"GP", 0, _LITTLE_ENDIAN_WITH_ENVELOPE, srs_id, *box.ravel().tolist())
        yield head + _encode(feature.lines, geometry), *feature.values


def _encode(lines: Sequence[Points], geometry: Geometry) -> bytes:
    """Return well-known binary, little-endian."""
    if geometry == "POLYGON":
        head = struct.pack("<BII", 1, _POLYGON, len(lines))
        return head + b"".join(_encode_points(line) for line in lines)
    head = struct.pack("<BII", 1, _MULTI_LINE_STRING, len(lines))
    return head + b"".join(struct.pack("<BI", 1, _LINE_STRING) + _encode_points(line) for line in lines)


def _encode_points(points: Points) -> bytes:
    return struct.pack("<I", len(points)) + np.ascontiguousarray(points, "<f8").tobytes()


def _find_box(feature: Feature) -> Points:
    """Return min_x, max_x and min_y, max_y. Shape: (2, 2)."""
    points = np.concatenate(feature.lines)
    return np.stack([points.min(axis=0), points.max(axis=0)], axis=-1)


def _insert(table: str, values: int) -> str:
    return f"INSERT INTO {table} VALUES ({', '.join('?' * values)})"  # noqa: S608 - our own names


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
