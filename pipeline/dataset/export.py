"""Exports a dataset's photos, tiles or cracks as one file: CSV, GeoJSON, GeoPackage, or a DuckDB database.

`export` writes to local disk, some rows at a time, and uploads the whole file. GeoJSON (RFC 7946) holds the photos with
a position, or their cracks, for QGIS and maps on the web; tiles and cracks of rasters lie in it where they are. A
GeoPackage has those of rasters, in the raster's own CRS. Drawings and workbooks of cracks are made in `reports`.
"""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from pipeline import storage
from pipeline.core import spreadsheets, table_schemas
from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.rasters import SHAPE_TABLES, Raster, list_features, list_layers, note_places, read_rasters
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import VIEWS, Connection, list_tables, quote, shorten_decimals, views
from pipeline.dataset.targets import Product, Target, check_targets, mark_of
from pipeline.rasters.geopackage import read_mark, write_geopackage
from pipeline.storage.file_kinds import BOM, Kind
from pipeline.storage.temporary import temporary_failure

Form = Literal["csv", "geojson", "gpkg", "duckdb"]
Table = Literal["images", "tiles", "cracks", "folders"]
Program = Literal["excel"]

TABLES = (
    "cracks", "elements", "failures", "findings", "folders", "images", "out_of_domain", "run", "tiles", "verdicts",
)  # fmt: skip
"""The tables of a DuckDB file, in alphabetical order."""

_ADDED_TABLES = {"elements", "findings", "verdicts"}

_OLDER_TABLES = (
    {*TABLES} - _ADDED_TABLES,
    {*TABLES} - _ADDED_TABLES - {"cracks"},
    {*TABLES} - _ADDED_TABLES - {"cracks", "folders"},
    {*TABLES} - _ADDED_TABLES - {"cracks", "folders", "out_of_domain"} | {"strange"},
)
"""Those of exports before people could add to a dataset, and before 0.8, 0.4 and 0.2."""

_WITH_POSITION = ("images", "failures", "out_of_domain")
_NO_POSITION = "* REPLACE (NULL::DOUBLE AS latitude, NULL::DOUBLE AS longitude, NULL::DOUBLE AS altitude_m)"
"""The columns stay, so that programs find them; they are empty."""

STORAGE_VERSION = "v1.0.0"
"""Every DuckDB from this one on opens the file; by default only the newest would."""

_ROWS = {
    "images": """
        SELECT * REPLACE (strftime(captured_at, '%Y-%m-%dT%H:%M:%S') AS captured_at,
                          strftime(scored_at AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ') AS scored_at)
        FROM images ORDER BY archive, image, occurrence
    """,
    "tiles": "SELECT * FROM tiles",
    "cracks": "FROM ({cracks}) ORDER BY archive, image, image_id, crack",
    "folders": "SELECT * FROM folders ORDER BY archive, folder",
}
"""The rows of a CSV, with times in ISO 8601; `{cracks}` are those of `list_told_cracks`. Tiles come in the
order of the files: sorting millions takes minutes."""

_SAID = {
    "state": "f.state",
    "verdict": "f.verdict",
    "comment": "f.comment",
    "by": 'f."by"',
    "judged_at": "strftime(f.judged_at AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%SZ')",
}
"""What verdicts add to a crack."""

_RUN = """
    CREATE TABLE exported.run AS
    SELECT $dataset AS dataset, run ->> '$.fingerprint.model_id' AS model_id,
           CAST(run -> '$.fingerprint.tile_px' AS INTEGER) AS tile_px,
           CAST(run -> '$.fingerprint.overlap' AS DOUBLE) AS overlap,
           CAST(coalesce($threshold, CAST(run -> '$.model_card.threshold' AS DOUBLE)) AS DOUBLE) AS threshold,
           CAST(run -> '$.model_card.threshold' AS DOUBLE) AS model_threshold,
           CAST(run -> '$.model_card.domain_threshold' AS DOUBLE) AS domain_threshold,
           $is_finished AS is_finished, now() AS exported_at, run AS run_json
    FROM (SELECT CAST($run AS JSON) AS run)
"""
"""`threshold` is that of `crack_tiles`; `run_json` is all of run.json."""

GEOJSON_HEAD = '{"type": "FeatureCollection", "crackscan": "%s", "features": ['
"""The first bytes of a GeoJSON file, with its table; RFC 7946 permits the mark `crackscan` in section 6.1."""

DEGREE_PLACES = 7
"""Decimals of a degree, one centimetre: finer than any camera's position."""

_BATCH_ROWS = 10_000

_POSITIONED = {
    "images": """
        SELECT image_id AS id, latitude, longitude, archive, image, captured_at, altitude_m, camera, focal_length_mm,
               height_px, width_px, tiles, crack_tiles, crack_score, domain_score, cracks,
               round(crack_length_px * mm_per_px / 1000, 4) AS crack_length_m, crack_length_px,
               widest_mm, widest_px, longest_crack_deg, mm_per_px, scale_source
        FROM images LEFT JOIN (
            SELECT part, image_id, arg_max(orientation_deg, length_px) AS longest_crack_deg
            FROM cracks GROUP BY part, image_id
        ) USING (part, image_id)
        WHERE latitude IS NOT NULL AND longitude IS NOT NULL ORDER BY archive, image, occurrence
    """,
    "cracks": """
        SELECT image_id || '-' || crack AS id, latitude, longitude, captured_at, cracks.* EXCLUDE (part)
        FROM cracks JOIN (SELECT part, image_id, latitude, longitude, captured_at FROM images) USING (part, image_id)
        WHERE latitude IS NOT NULL AND longitude IS NOT NULL AND archive NOT IN (SELECT archive FROM rasters)
        ORDER BY archive, image, image_id, crack
    """,
}
"""The points of a map by its table."""

_PLACEABLE: dict[Table, str] = {
    "images": "SELECT count(*) FROM images WHERE status = 'ok'",
    "tiles": "SELECT count(*) FROM tiles WHERE crack_score >= getvariable('photo_threshold')",
    "cracks": "SELECT count(*) FROM cracks",
}
"""What a map would show if all of it had a place."""


@dataclass(frozen=True)
class ExportConfig:
    """One export."""

    out: str
    """The dataset."""
    form: Form
    file: str
    """Path or URL of the file to write."""
    table: Table = "images"
    """The rows of a CSV, or of a map."""
    program: Program | None = None
    """For which program a CSV is made; None keeps every value as it is."""
    threshold: float | None = None
    """The score from which on a tile counts in `crack_tiles`; None keeps the counts of scoring."""
    overwrite: bool = False
    """Also replace a file of this kind that is not an export."""
    option: str = "--out"
    """The option that names the file, for messages."""
    no_positions: bool = False
    """Leave empty where photos were taken."""

    def __post_init__(self) -> None:
        """Refuse options without effect."""
        if self.no_positions and self.form in {"geojson", "gpkg"}:
            raise UsageError(
                f"--no-positions leaves out positions, and --to {self.form} is a map. Leave one of them out."
            )
        if self.form == "geojson" and self.table not in _PLACEABLE:
            raise UsageError(f"--table is {self.table}, and a map shows images, tiles or cracks. Give one of those.")
        if self.table != "images" and self.form in {"duckdb", "gpkg"}:
            raise UsageError(
                f"--table chooses what a CSV or map holds, and --to is {self.form}. Leave one of them out."
            )
        if self.program is not None and self.form != "csv":
            raise UsageError(f"--for chooses how a CSV is written, and --to is {self.form}. Leave one of them out.")
        chooses_tiles = self.table == "tiles" and self.form == "geojson"
        if self.table in {"tiles", "cracks"} and self.threshold is not None and not chooses_tiles:
            raise UsageError("--threshold moves crack_tiles, which is a column of images. Leave out one of the two.")


@dataclass(frozen=True)
class Exported:
    """The outcome of an export."""

    url: str
    rows: Mapping[str, int]
    """Number of rows by table; for GeoJSON, of those with a position."""
    unplaced: int
    """Number of scored photos, tiles or cracks without a position, which GeoJSON omits."""
    is_finished: bool
    """Whether every planned photo had its row."""
    is_measured: bool
    """Whether cracks were measured in any photo, or no photo has been scored yet."""
    notes: Sequence[str] = ()
    """What people should know about it, in sentences."""


def export(config: ExportConfig) -> Exported:
    """Write the file, which appears whole and replaces an older export.

    Raises:
        UsageError: there is no dataset, the threshold is no probability, the file may not be replaced, or there is no
            raster for a GeoPackage.
        StorageError: the file cannot be written.
    """
    layout, url = Layout(storage.canonical(config.out)), storage.canonical(config.file)
    with views(layout, config.threshold) as connection, storage.temporary_folder() as folder:
        check_export(config)
        is_finished = storage.exists(layout.summary)
        path = folder / "export"
        rasters = read_rasters(layout) if config.form in {"geojson", "gpkg"} else []
        rows = _WRITERS[config.form](connection, config, path, rasters)
        storage.upload(path, url)
        unplaced = 0
        if config.form == "geojson":
            unplaced = connection.execute(_PLACEABLE[config.table]).fetchall()[0][0] - rows[config.table]
        shows_shapes = config.table != "images" or config.form == "gpkg"
        notes = note_places(rasters, by_pixel=config.form == "gpkg") if shows_shapes else ()
        return Exported(url, rows, unplaced, is_finished, is_measured(connection), notes)


def is_measured(connection: Connection) -> bool:
    """Tell whether cracks were measured in any scored photo: not before schema 3, nor by models that draw none."""
    found = connection.execute(
        "SELECT count(cracks) > 0 FROM images WHERE status = 'ok' HAVING count(*) > 0"
    ).fetchall()
    return bool(found != [(False,)])


def list_told_columns(connection: Connection) -> dict[str, str]:
    """Return the columns that people added to cracks, and what they are in the SQL of `list_told_cracks`.

    They are those of verdicts if there is one, and those of elements if any are told.
    """
    [(judged, filed)] = connection.execute("SELECT EXISTS (FROM verdicts), EXISTS (FROM elements)").fetchall()
    names = connection.table("elements").columns if filed else []
    own = [name for name in names if name not in {"archive", "image", "image_id"}]
    return (_SAID if judged else {}) | {name: f"e.{_quote_name(name)}" for name in own}


def list_told_cracks(connection: Connection) -> str:
    """Return SQL for cracks with what people say of them, and the elements of their photos."""
    told = "".join(f", {value} AS {_quote_name(name)}" for name, value in list_told_columns(connection).items())
    if not told:
        return "SELECT * FROM cracks"
    return f"""
        SELECT cracks.*{told} FROM cracks
        LEFT JOIN (FROM findings WHERE kind = 'crack') AS f ON f.image_id = cracks.image_id AND f.crack = cracks.crack
        LEFT JOIN elements AS e ON e.image_id = cracks.image_id
    """  # noqa: S608 - names are quoted


def _quote_name(name: str) -> str:
    """Quote a column's name for SQL: offices name their own."""
    return '"' + name.replace('"', '""') + '"'


def check_export(config: ExportConfig) -> None:
    """Refuse a file that an export may not replace.

    Raises:
        UsageError: says what is there.
    """
    kind: Kind = "sqlite" if config.form == "gpkg" else config.form
    product = Product("export", kind, _IS_EXPORT[config.form])
    target = Target(storage.canonical(config.file), product, config.overwrite, config.option)
    check_targets([target], [Layout(storage.canonical(config.out))])


@contextmanager
def _local_copy(url: str) -> Iterator[Path]:
    """Give the local path of a file, for databases open no other."""
    with storage.temporary_folder() as folder:
        path = storage.local_path(url) if url.startswith(storage.LOCAL) else folder / "database"
        if not path.exists():
            with storage.open_file(url) as stored, path.open("wb") as local:
                shutil.copyfileobj(stored, local)
        yield path


def _is_database(url: str, _head: bytes) -> bool:
    """Tell whether a database has the tables of an export."""
    with _local_copy(url) as path:
        return list_tables(path) in ({*TABLES}, *_OLDER_TABLES)


def _is_geopackage(url: str, _head: bytes) -> bool:
    """Tell whether a GeoPackage has the mark of an export."""
    with _local_copy(url) as path:
        return (read_mark(path) or "").startswith("crackscan export ")


_COLUMNS: dict[Table, pa.Schema] = {
    "images": table_schemas.IMAGES,
    "tiles": table_schemas.TILES,
    "cracks": table_schemas.CRACKS,
    "folders": table_schemas.FOLDERS,
}

_HEADS = {
    "csv": tuple(
        f"{mark}{','.join(columns.names)}{end}".encode()
        for columns in (*_COLUMNS.values(), *table_schemas.IMAGES_OF.values())
        for mark in ("", spreadsheets.MARK)
        for end in ("\n", *("," if columns is table_schemas.CRACKS else ""))
    ),
    "geojson": tuple((GEOJSON_HEAD % table).encode() for table in _PLACEABLE),
}
"""The first bytes of exports, those of older schemas too."""

_IS_EXPORT: Mapping[Form, Callable[[str, bytes], bool]] = {
    "csv": lambda _url, head: head.removeprefix(BOM).startswith(_HEADS["csv"]),
    "geojson": lambda _url, head: head.startswith(_HEADS["geojson"]),
    "gpkg": _is_geopackage,
    "duckdb": _is_database,
}


def _write_csv(connection: Connection, config: ExportConfig, path: Path, _rasters: Sequence[Raster]) -> dict[str, int]:
    rows = _ROWS[config.table].format(cracks=list_told_cracks(connection))
    if config.no_positions and config.table in _WITH_POSITION:
        rows = f"SELECT {_NO_POSITION} FROM ({rows})"  # noqa: S608 - our own columns
    if config.program == "excel":
        rows = _guard(connection, rows)
    written = connection.execute(f"COPY ({rows}) TO {quote(path)} (FORMAT csv, HEADER)").fetchall()[0][0]
    return {config.table: written}


def _guard(connection: Connection, rows: str) -> str:
    """Return SQL of rows whose texts and heads are guarded as `spreadsheets.guard` does it, the first head marked."""
    found = connection.sql(rows)
    texts = [name for name, kind in zip(found.columns, map(str, found.types), strict=True) if kind == "VARCHAR"]
    guarded = "if(regexp_matches({name}, '{pattern}'), '''' || {name}, {name}) AS {name}"
    replaced = ", ".join(guarded.format(name=_quote_name(name), pattern=spreadsheets.GUARDED) for name in texts)
    heads = {name: spreadsheets.guard(name) for name in found.columns}
    heads[found.columns[0]] = f"{spreadsheets.MARK}{heads[found.columns[0]]}"  # the first letters of the file
    renamed = ", ".join(f"{_quote_name(name)} AS {_quote_name(head)}" for name, head in heads.items() if name != head)
    return f"SELECT * RENAME ({renamed}) FROM (SELECT * REPLACE ({replaced}) FROM ({rows}))"  # noqa: S608 - quoted


def _write_geojson(
    connection: Connection, config: ExportConfig, path: Path, rasters: Sequence[Raster]
) -> dict[str, int]:
    """Write every photo, or crack, with a position as a point, and tiles and cracks of rasters where they are."""
    features = 0
    with path.open("w", encoding="utf-8") as file:
        file.write(GEOJSON_HEAD % config.table)
        for feature in _list_features(connection, config.table, rasters):
            file.write("\n" if features == 0 else ",\n")
            file.write(json.dumps(feature, ensure_ascii=False, allow_nan=False))
            features += 1
        file.write("\n]}\n")
    return {config.table: features}


def _list_features(connection: Connection, table: Table, rasters: Sequence[Raster]) -> Iterator[dict[str, Any]]:
    if table in _POSITIONED:
        for batch in shorten_decimals(connection.sql(_POSITIONED[table])).to_arrow_reader(_BATCH_ROWS):
            yield from map(_feature, batch.to_pylist())
    if table in ("tiles", "cracks"):
        yield from list_features(connection, table, rasters)


def _write_geopackage(
    connection: Connection, config: ExportConfig, path: Path, rasters: Sequence[Raster]
) -> dict[str, int]:
    """Write the tiles at or over the threshold, and the cracks, of rasters, in layers by CRS."""
    if not rasters:
        raise UsageError(
            f"{config.out} has no raster, and a GeoPackage shows tiles and cracks of rasters. Photos have a "
            "position and no extent: --to geojson shows them as points."
        )
    try:
        counts = write_geopackage(path, list_layers(connection, rasters), mark_of("export"))
    except sqlite3.OperationalError as error:  # the disk is full, or fails
        raise temporary_failure(str(error)) from error
    return {table: sum(n for name, n in counts.items() if name.startswith(table)) for table in SHAPE_TABLES}


def _feature(row: dict[str, Any]) -> dict[str, Any]:
    """Make a point of a row, without altitude: EXIF measures it from the sea, GeoJSON from the ellipsoid."""
    name, latitude, longitude = (row.pop(column) for column in ("id", "latitude", "longitude"))
    captured_at = row["captured_at"]
    properties = row | {"captured_at": None if captured_at is None else captured_at.isoformat(timespec="seconds")}
    point = {"type": "Point", "coordinates": [round(longitude, DEGREE_PLACES), round(latitude, DEGREE_PLACES)]}
    return {"type": "Feature", "id": name, "geometry": point, "properties": properties}


def _write_duckdb(
    connection: Connection, config: ExportConfig, path: Path, _rasters: Sequence[Raster]
) -> dict[str, int]:
    layout = Layout(storage.canonical(config.out))
    run = json.dumps(read_run(layout), ensure_ascii=False)
    facts = {"dataset": layout.url, "run": run, "threshold": config.threshold}
    connection.execute(f"ATTACH {quote(path)} AS exported (STORAGE_VERSION '{STORAGE_VERSION}')")
    connection.execute(_RUN, facts | {"is_finished": storage.exists(layout.summary)})
    for table in VIEWS:
        shown = _NO_POSITION if config.no_positions and table in _WITH_POSITION else "*"
        connection.execute(f"CREATE TABLE exported.{table} AS SELECT {shown} FROM {table}")  # noqa: S608 - our own
    counts = {table: connection.table(f"exported.{table}").count("*").fetchall()[0][0] for table in TABLES}
    connection.execute("DETACH exported")
    return counts


_WRITERS: Mapping[Form, Callable[[Connection, ExportConfig, Path, Sequence[Raster]], dict[str, int]]] = {
    "csv": _write_csv,
    "geojson": _write_geojson,
    "gpkg": _write_geopackage,
    "duckdb": _write_duckdb,
}
