"""A dataset's photos or tiles as one file for other programs: CSV, GeoJSON, or a DuckDB database.

`export` writes on local disk, some rows at a time, and puts the file in its place when it is whole. GeoJSON (RFC 7946)
holds the photos with a position, for QGIS and maps on the web.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline import storage
from pipeline.core import schema
from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout, check_outside
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import VIEWS, quoted, tables_of, views
from pipeline.storage.errors import translate_errors

Form = Literal["csv", "geojson", "duckdb"]
Table = Literal["images", "tiles"]

TABLES = ("failures", "images", "out_of_domain", "run", "tiles")
"""What stands in a DuckDB file, in the order of the alphabet."""

_TABLES_BEFORE_0_2 = {*TABLES} - {"out_of_domain"} | {"strange"}

_ROWS = {
    "images": """
        SELECT * REPLACE (strftime(captured_at, '%Y-%m-%dT%H:%M:%S') AS captured_at,
                          strftime(scored_at AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ') AS scored_at)
        FROM images ORDER BY archive, image, occurrence
    """,
    "tiles": "SELECT * FROM tiles",
}
"""What goes into a CSV; times in ISO 8601. Tiles come in the order of the files: sorting millions takes minutes."""

_RUN = """
    CREATE TABLE made.run AS
    SELECT $dataset AS dataset, run ->> '$.fingerprint.model_id' AS model_id,
           CAST(run -> '$.fingerprint.tile_px' AS INTEGER) AS tile_px,
           CAST(run -> '$.fingerprint.overlap' AS DOUBLE) AS overlap,
           CAST(coalesce($threshold, CAST(run -> '$.model_card.threshold' AS DOUBLE)) AS DOUBLE) AS threshold,
           CAST(run -> '$.model_card.threshold' AS DOUBLE) AS model_threshold,
           CAST(run -> '$.model_card.domain_threshold' AS DOUBLE) AS domain_threshold,
           $is_finished AS is_finished, now() AS exported_at, run AS run_json
    FROM (SELECT CAST($run AS JSON) AS run)
"""
"""`threshold` is the one that `crack_tiles` was counted at; `run_json` is all of run.json."""


GEOJSON_HEAD = '{"type": "FeatureCollection", "crackscan": "images", "features": ['
"""What a GeoJSON file begins with; by `crackscan` ours is told from others', which RFC 7946 allows in section 6.1."""

DEGREE_PLACES = 7
"""Decimals of a degree, one centimetre: more than any camera knows."""

_BATCH_PHOTOS = 10_000

_POSITIONED = """
    SELECT image_id, latitude, longitude, archive, image, captured_at, altitude_m, camera, focal_length_mm, height_px,
           width_px, tiles, crack_tiles, CAST(CAST(crack_score AS VARCHAR) AS DOUBLE) AS crack_score,
           CAST(CAST(domain_score AS VARCHAR) AS DOUBLE) AS domain_score
    FROM images WHERE latitude IS NOT NULL AND longitude IS NOT NULL ORDER BY archive, image, occurrence
"""
"""Scores go by way of text: 0.7 in single precision is 0.7 to people, and 0.699999988 to JSON."""


@dataclass(frozen=True)
class ExportConfig:
    """One export."""

    out: str
    """The dataset."""
    form: Form
    file: str
    """Path or URL of the file to write."""
    table: Table = "images"
    """What a CSV holds."""
    threshold: float | None = None
    """From where on a tile counts in `crack_tiles`; None takes what was counted when it was scored."""
    overwrite: bool = False
    """Also replace a file that is no export."""

    def __post_init__(self) -> None:
        """Refuse what would change nothing."""
        if self.table == "tiles" and self.form != "csv":
            raise UsageError(f"--table chooses what a CSV holds, and --to is {self.form}. Leave one of them out.")
        if self.table == "tiles" and self.threshold is not None:
            raise UsageError("--threshold moves crack_tiles, which is a column of images. Leave out one of the two.")


@dataclass(frozen=True)
class Exported:
    """What was written."""

    url: str
    rows: Mapping[str, int]
    """By table; of GeoJSON, the photos with a position."""
    unplaced: int
    """Scored photos that GeoJSON has no place for."""
    is_finished: bool
    """Whether every planned photo had its row."""


def export(config: ExportConfig) -> Exported:
    """Write the file; it appears whole, in place of an older export.

    Raises:
        UsageError: there is no dataset, the threshold is no probability, or the file may not be replaced.
        StorageError: the file cannot be written.
    """
    layout, url = Layout(storage.canonical(config.out)), storage.canonical(config.file)
    with views(layout, config.threshold) as connection, tempfile.TemporaryDirectory(prefix="crackscan-") as folder:
        check_outside(layout, url)
        if storage.exists(url) and not config.overwrite:
            _check_ours(connection, config.form, url)
        is_finished = storage.exists(layout.summary)
        path = Path(folder) / "export"
        with translate_errors(url, "written"):
            rows = _WRITERS[config.form](connection, config, path)
        storage.upload(path, url)
        unplaced = connection.execute(_UNPLACED).fetchall()[0][0] if config.form == "geojson" else 0
    return Exported(url, rows, unplaced, is_finished)


def _check_ours(connection: Any, form: Form, url: str) -> None:  # noqa: ANN401 - DuckDB's, which only `results` knows
    """Refuse to replace what is no export."""
    if storage.is_folder(url):
        raise UsageError(f"{url} is a folder; expected the name of a file to write. Give another --out.")
    if form == "duckdb":
        is_local = url.startswith(storage.LOCAL)
        is_ours = is_local and tables_of(connection, storage.local_path(url)) in ({*TABLES}, _TABLES_BEFORE_0_2)
    else:
        head = storage.read_ranges(url, [(0, max(map(len, _HEADS[form])))])[0]
        is_ours = head.startswith(_HEADS[form])
    if not is_ours:
        raise UsageError(f"{url} exists and is no {form} that crackscan wrote. Give another --out, or --overwrite.")


_HEADS = {
    "csv": tuple(f"{','.join(columns.names)}\n".encode() for columns in (schema.IMAGES, schema.TILES)),
    "geojson": (GEOJSON_HEAD.encode(),),
}
"""What exports begin with."""

_UNPLACED = "SELECT count(*) FROM images WHERE status = 'ok' AND (latitude IS NULL OR longitude IS NULL)"


def _write_csv(connection: Any, config: ExportConfig, path: Path) -> dict[str, int]:  # noqa: ANN401 - as above
    rows = connection.execute(f"COPY ({_ROWS[config.table]}) TO {quoted(path)} (FORMAT csv, HEADER)").fetchall()[0][0]
    return {config.table: rows}


def _write_geojson(connection: Any, _config: ExportConfig, path: Path) -> dict[str, int]:  # noqa: ANN401 - as above
    """Write every photo with a position as a point with its scores."""
    photos = 0
    with path.open("w", encoding="utf-8") as file:
        file.write(GEOJSON_HEAD)
        for batch in connection.sql(_POSITIONED).to_arrow_reader(_BATCH_PHOTOS):
            for row in batch.to_pylist():
                file.write("\n" if photos == 0 else ",\n")
                file.write(json.dumps(_feature(row), ensure_ascii=False, allow_nan=False))
                photos += 1
        file.write("\n]}\n")
    return {"images": photos}


def _feature(row: dict[str, Any]) -> dict[str, Any]:
    """Make a point of a photo; without altitude, which EXIF counts from the sea and GeoJSON from the ellipsoid."""
    image_id, latitude, longitude = (row.pop(name) for name in ("image_id", "latitude", "longitude"))
    captured_at = row["captured_at"]
    properties = row | {"captured_at": None if captured_at is None else captured_at.isoformat(timespec="seconds")}
    point = {"type": "Point", "coordinates": [round(longitude, DEGREE_PLACES), round(latitude, DEGREE_PLACES)]}
    return {"type": "Feature", "id": image_id, "geometry": point, "properties": properties}


def _write_duckdb(connection: Any, config: ExportConfig, path: Path) -> dict[str, int]:  # noqa: ANN401 - as above
    layout = Layout(storage.canonical(config.out))
    run = json.dumps(read_run(layout), ensure_ascii=False)
    facts = {"dataset": layout.url, "run": run, "threshold": config.threshold}
    connection.execute(f"ATTACH {quoted(path)} AS made")
    connection.execute(_RUN, facts | {"is_finished": storage.exists(layout.summary)})
    for table in VIEWS:
        connection.execute(f"CREATE TABLE made.{table} AS FROM {table}")
    counts = {table: connection.table(f"made.{table}").count("*").fetchall()[0][0] for table in TABLES}
    connection.execute("DETACH made")
    return counts


_WRITERS = {"csv": _write_csv, "geojson": _write_geojson, "duckdb": _write_duckdb}
