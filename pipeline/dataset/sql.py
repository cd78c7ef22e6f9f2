"""Reads a dataset with SQL: DuckDB over views of its photos, tiles, cracks, failures and folders.

The views show committed photos only, each once, also in the moment of a crash and while a run writes. All connections
to DuckDB come from this module.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.core.errors import DatasetError, UsageError
from pipeline.core.scratch import temporary_folder
from pipeline.dataset.beside import SCALES, scales_url, side_tables, view_statements
from pipeline.dataset.commit_log import TOKEN
from pipeline.dataset.duckdb_filesystem import StoredFiles
from pipeline.dataset.layout import Layout
from pipeline.dataset.run import read_run
from pipeline.storage.temporary import temporary_failure

VIEWS = ("images", "tiles", "cracks", "failures", "out_of_domain", "folders", "verdicts", "elements", "findings")
"""The views for queries."""

MEMORY_LIMIT = "2GiB"
"""Memory of DuckDB; if sorting and grouping need more, it spills to a temporary folder."""

REMOTE_THREADS = 16
"""Threads that read a remote store: they mostly wait for it."""

Connection = duckdb.DuckDBPyConnection


@dataclass(frozen=True)
class WorstPhoto:
    """A photo with one of the highest crack scores."""

    archive: str
    image: str
    crack_score: float
    crack_tiles: int
    tiles: int
    is_out_of_domain: bool
    """Whether the photo is unlike the model's training data."""


def query(out: str, sql: str, threshold: float | None = None) -> pa.Table:
    """Run one SQL query over a dataset's views.

    Args:
        out: the dataset.
        sql: the query.
        threshold: the score from which on a tile counts in `crack_tiles`; None keeps the counts of scoring.

    Raises:
        UsageError: there is no dataset, the threshold is no probability, or the SQL is wrong.
        DatasetError: a file that the query needs is damaged.
    """
    layout = Layout(storage.canonical(out))
    with views(layout, threshold) as connection:
        try:
            found = connection.sql(sql)
            table = pa.table({}) if found is None else found.to_arrow_table()
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            _raise_temporary(error)
            raise DatasetError(f"A file of {out} or of the query cannot be read: {error}") from error
        except duckdb.DatabaseError as error:  # those of the storage are no DatabaseError
            if isinstance(error, duckdb.InvalidInputException) and file_name(layout.url) in str(error):
                raise DatasetError(f"A file of {out} is damaged: {error}") from error
            raise _refuse_query(error) from error
    twice = [name for name, count in Counter(table.schema.names).items() if count > 1]
    if twice:
        raise UsageError(f"The result has two columns called {twice[0]}. Give one another name with AS.")
    return table


def _refuse_query(error: duckdb.DatabaseError) -> UsageError:
    """Say why DuckDB refuses a query; its lines about the place in the query are notes."""
    reason, *lines = [line for line in str(error).split("\n") if line]
    refusal = UsageError(f"DuckDB refuses the query: {reason}")
    for line in lines:
        refusal.add_note(line)
    return refusal


def list_worst(out: str, photos: int) -> list[WorstPhoto]:
    """List the photos with the highest crack scores; those unlike the training data come after all others."""
    ranked = f"FROM images WHERE status = 'ok' ORDER BY is_out_of_domain, crack_score DESC, image LIMIT {photos:d}"
    is_out_of_domain = "image_id IN (SELECT image_id FROM out_of_domain) AS is_out_of_domain"
    found = query(out, f"SELECT archive, image, crack_score, crack_tiles, tiles, {is_out_of_domain} {ranked}")
    return [WorstPhoto(**row) for row in found.to_pylist()]


def read_statuses(layout: Layout, archives: Collection[str]) -> pa.Table:
    """Read `archive`, `image_id` and `status` of all photos of some archives or folders."""
    with views(layout) as connection:
        connection.register("wanted", pa.table({"archive": pa.array(sorted(archives), pa.string())}))
        found = connection.sql("SELECT archive, image_id, status FROM images SEMI JOIN wanted USING (archive)")
        return found.to_arrow_table()


def count_out_of_domain(out: str) -> int:
    """Count the photos that are unlike the model's training data."""
    return int(query(out, "SELECT count(*) FROM out_of_domain")[0][0].as_py())


@contextmanager
def views(layout: Layout, threshold: float | None = None, *, rescaled: bool = True) -> Iterator[Connection]:
    """Open DuckDB with a dataset's views.

    Args:
        layout: the dataset.
        threshold: the score from which on a tile counts in `crack_tiles`; None keeps the counts of scoring, at the
            card's threshold.
        rescaled: whether millimetres follow the scales that were set afterwards.

    Raises:
        UsageError: there is no dataset, or the threshold is no probability.
        DatasetError: a file of it cannot be read.
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"The threshold is {threshold:g}; expected a score from 0 to 1.")
    if not storage.exists(layout.run):
        raise UsageError(f"There is no dataset at {layout.url}; expected a folder that `crackscan score` wrote.")
    with connect(layout) as connection:
        images, tiles, cracks = (_list_parquet(layout, table) for table in ("images", "tiles", "cracks"))
        create_file_view(connection, "images_files", _committed_files(connection, images), table_schemas.IMAGES)
        create_file_view(connection, "tiles_files", tiles, table_schemas.TILES)
        create_file_view(connection, "cracks_files", cracks, table_schemas.CRACKS, are_alike=True)
        joined, rasters = ([url] if storage.exists(url) else [] for url in (layout.raster_cracks, layout.rasters))
        create_file_view(connection, "joined_files", joined, table_schemas.CRACKS)
        create_file_view(connection, "rasters_files", rasters, table_schemas.RASTERS)
        for name, urls, columns in side_tables(layout):
            create_file_view(connection, name, urls, columns)
        if rescaled and storage.exists(scales := scales_url(layout)):
            create_file_view(connection, "scales", [scales], SCALES)
            for table, lengths in _IN_MM.items():
                connection.execute(f"ALTER VIEW {table}_files RENAME TO {table}_as_scored")
                connection.execute(_rescale(table, lengths))
        card = read_run(layout).get("model_card", {})
        connection.execute("SET VARIABLE domain_threshold = CAST(? AS FLOAT)", [card.get("domain_threshold")])
        connection.execute("SET VARIABLE threshold = CAST(? AS FLOAT)", [threshold])
        at = card.get("threshold") if threshold is None else threshold
        connection.execute("SET VARIABLE photo_threshold = CAST(? AS FLOAT)", [at])
        for statement in (
            _IMAGES if threshold is None else _RECOUNTED_IMAGES,
            *_STATEMENTS,
            _JOINED_CRACKS if joined else _CRACKS,
            *view_statements(IS_OVER),
        ):
            connection.execute(statement)
        yield connection


_OF_CRACK = ("length_mm", "crack_width_mm_p50", "crack_width_mm_p95", "crack_width_mm_max")
_IN_MM = {"images": ("widest_mm",), "cracks": _OF_CRACK, "joined": _OF_CRACK}
"""Columns that follow a scale, each a product with the one of the same name in `px`."""

_IS_MEASURED = {"images": "t.cracks IS NOT NULL", "cracks": "true", "joined": "true"}
"""A photo whose scale was set may have failed when it was scored anew."""


def _rescale(table: str, lengths: Sequence[str]) -> str:
    """Return SQL for the view of a table's files in which `scales` replace what the files say."""
    products = ", ".join(
        f"CASE WHEN s.mm_per_px IS NULL THEN t.{name} "
        f"ELSE CAST(t.{name.replace('mm', 'px')} * s.mm_per_px AS FLOAT) END AS {name}"
        for name in lengths
    )
    return f"""
        CREATE VIEW {table}_files AS
        SELECT t.* REPLACE (coalesce(s.mm_per_px, t.mm_per_px) AS mm_per_px,
                            coalesce(s.scale_source, t.scale_source) AS scale_source, {products})
        FROM {table}_as_scored AS t LEFT JOIN scales AS s ON s.image_id = t.image_id AND {_IS_MEASURED[table]}
    """  # noqa: S608 - our own names


_IMAGES = "CREATE VIEW images AS SELECT * EXCLUDE (filename) FROM images_files"

_RECOUNTED_IMAGES = """
    CREATE VIEW images AS
    SELECT * EXCLUDE (filename, over)
           REPLACE (CASE WHEN status = 'ok' THEN coalesce(over, 0) END AS crack_tiles)
    FROM images_files LEFT JOIN (
        SELECT part, image_id, CAST(count(*) AS INTEGER) AS over
        FROM tiles_files WHERE crack_score >= getvariable('threshold') GROUP BY part, image_id
    ) USING (part, image_id)
"""
"""With `crack_tiles` counted anew; it filters tiles before it counts, because most show sound concrete."""

FOLDER = "regexp_extract(image, '(?s)^(.*)/[^/]*$', 1)"
"""The folder of a photo in its archive; empty at its top."""

IS_OVER = "coalesce(crack_score >= getvariable('photo_threshold'), crack_tiles > 0)"
"""Whether a photo counts as cracked: at the threshold asked for, else at the model's."""

_FOLDERS = f"""
    CREATE VIEW folders AS
    SELECT archive, {FOLDER} AS folder, count(*) AS photos, count(*) FILTER (status = 'failed') AS failed,
           count(*) FILTER ({IS_OVER}) AS crack_photos, coalesce(sum(tiles), 0)::BIGINT AS tiles,
           coalesce(sum(crack_tiles), 0)::BIGINT AS crack_tiles, max(crack_score) AS crack_score
    FROM images GROUP BY ALL
"""  # noqa: S608 - our own SQL

_STATEMENTS = (
    _FOLDERS,
    "CREATE VIEW failures AS SELECT * FROM images WHERE status = 'failed'",
    "CREATE VIEW out_of_domain AS SELECT * FROM images WHERE domain_score >= getvariable('domain_threshold')",
    *(
        f"CREATE VIEW {view} AS SELECT * EXCLUDE (filename) FROM {table}_files "  # noqa: S608 - our own names
        "SEMI JOIN images_files USING (part, image_id)"
        for view, table in (("tiles", "tiles"), ("committed_cracks", "cracks"))
    ),
    "CREATE VIEW rasters AS SELECT * EXCLUDE (filename) FROM rasters_files",
)
"""The join drops tiles and cracks that no commit names: they belong to no photo of their part. `committed_cracks` are
those of the commits, window by window."""

_CRACKS = "CREATE VIEW cracks AS FROM committed_cracks"

_JOINED_CRACKS = """
    CREATE VIEW cracks AS
    FROM committed_cracks ANTI JOIN joined_files USING (archive)
    UNION ALL BY NAME
    SELECT joined_files.* EXCLUDE (filename) REPLACE (images_files.part AS part)
    FROM joined_files JOIN images_files USING (image_id)
"""
"""In place of the cracks of a raster's windows stand those that were joined over them."""

_ADDED = {
    "max_tile_score": "crack_score",
    "cracks": "CAST(NULL AS INTEGER)",
    "crack_length_px": "CAST(NULL AS FLOAT)",
    "widest_px": "CAST(NULL AS FLOAT)",
    "mm_per_px": "CAST(NULL AS DOUBLE)",
    "scale_source": "CAST(NULL AS VARCHAR)",
    "widest_mm": "CAST(NULL AS FLOAT)",
}
"""Columns of `IMAGES` that older schemas lack, and what they are there."""

_WILDCARD = re.compile(r"[*?\[]")

_NOT_WRITTEN = re.compile(r'Could not write file .+?": (?P<cause>[^"\n]+)')
"""What DuckDB says of a full disk."""

_TOKENS = "SELECT file_name, value FROM parquet_kv_metadata(?) WHERE key = ?"


@contextmanager
def connect(layout: Layout) -> Iterator[Connection]:
    """Open DuckDB for the files of a dataset, with bounded memory.

    Raises:
        DatasetError: a file is damaged.
        StorageError: a file cannot be read.
    """
    with temporary_folder() as spilled, duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        if connection.execute("SELECT current_setting('enable_progress_bar')").fetchone() == (True,):
            connection.execute("SET enable_progress_bar = false")  # fails in notebooks without widgets
        connection.execute("SET memory_limit = ?", [MEMORY_LIMIT])
        connection.execute("SET temp_directory = ?", [str(spilled)])
        files = None if layout.url.startswith(storage.LOCAL) else StoredFiles(layout.url.partition("://")[0])
        if files is not None:
            connection.execute("SET parquet_metadata_cache = true")  # else DuckDB fetches a file's footer each time
            connection.execute("SET threads = ?", [REMOTE_THREADS])
            connection.register_filesystem(files)
        try:
            yield connection
        except duckdb.Error as error:
            if files is not None and files.failure is not None:
                raise files.failure from error
            _raise_temporary(error)
            raise DatasetError(f"The files of {layout.url} cannot be read: {error}") from error


def _raise_temporary(error: duckdb.Error) -> None:
    """Raise a failure to write a temporary file, and nothing else is written, as what it is."""
    if match := _NOT_WRITTEN.search(str(error)):
        raise temporary_failure(match["cause"]) from error
    if isinstance(error, duckdb.OutOfMemoryException):
        raise temporary_failure("the work needs more room than memory and this disk have") from error


def create_file_view(
    connection: Connection, view: str, urls: Sequence[str], columns: pa.Schema, *, are_alike: bool = False
) -> None:
    """Create a view of the rows of Parquet files, each with its `filename`; an empty view if there is no file.

    Args:
        connection: to DuckDB.
        view: its name.
        urls: the files.
        columns: those that it may show.
        are_alike: whether all files have the columns of the first; the others are opened only if the view is read.
    """
    if urls:
        files = connection.from_parquet([_escape_glob(url) for url in urls], union_by_name=not are_alike, filename=True)
        values = _ADDED | {name: f'"{name}"' for name in files.columns}
        shown = [f'{values[name]} AS "{name}"' for name in (*columns.names, "filename") if name in values]
        files.project(", ".join(shown)).create_view(view)
    else:
        connection.register(view, columns.append(pa.field("filename", pa.string())).empty_table())


def shorten_decimals(rows: Any) -> Any:  # noqa: ANN401 - DuckDB ships no types
    """Keep the short decimals of single precision: its 0.7 would be 0.699999988 in JSON."""
    shown = {"FLOAT": 'CAST(CAST("{0}" AS VARCHAR) AS DOUBLE) AS "{0}"'}
    kinds = zip(rows.columns, map(str, rows.types), strict=True)
    return rows.project(", ".join(shown.get(kind, '"{0}"').format(name) for name, kind in kinds))


def file_name(url: str) -> str:
    """Return a file's URL as in the column `filename`."""
    return url.removeprefix(storage.LOCAL)


def quote(path: Path) -> str:
    """Quote a path for SQL statements that take no parameters."""
    return "'" + str(path).replace("'", "''") + "'"


def list_tables(path: Path) -> set[str]:
    """List the tables and views of a DuckDB file; none if it cannot be opened."""
    try:
        with duckdb.connect(path, read_only=True) as connection:
            return {
                name for (name,) in connection.execute("SELECT table_name FROM information_schema.tables").fetchall()
            }
    except duckdb.Error:
        return set()


def _escape_glob(url: str) -> str:
    """Escape a file's name for DuckDB, which takes a name without a backslash for a glob."""
    name = file_name(url)
    return name if "\\" in name else _WILDCARD.sub(r"[\g<0>]", name)


def _committed_files(connection: Connection, urls: Sequence[str]) -> list[str]:
    """Drop the failed files that no commit names: their part is missing, or another run's."""
    of_part = {url: url.replace("/images/failed-", "/images/part-") for url in urls}
    failed = {url: part for url, part in of_part.items() if url != part}
    files = [_escape_glob(url) for url in {*failed, *failed.values()} & {*urls}]
    tokens = dict(connection.execute(_TOKENS, [files, TOKEN]).fetchall()) if files else {}
    token_of = {url: tokens.get(file_name(url)) for url in of_part}
    return [url for url in urls if url not in failed or token_of[url] == token_of.get(failed[url])]


def _list_parquet(layout: Layout, table: str) -> list[str]:
    folder = storage.join(layout.url, table)
    files = storage.list_files(folder) if storage.exists(folder) else []
    return [file.url for file in files if file.url.endswith(".parquet")]
