"""Reading a dataset with SQL: DuckDB over the views `images`, `tiles`, `failures` and `out_of_domain`.

The views show committed photos only, each once, also in the moment of a crash and while a run is writing. Everything
that asks DuckDB gets its connection here.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from pipeline import storage
from pipeline.core import schema
from pipeline.core.errors import DatasetError, UsageError
from pipeline.dataset.commit_log import TOKEN
from pipeline.dataset.duckdb_filesystem import StoredFiles
from pipeline.dataset.layout import Layout
from pipeline.dataset.run import read_run

VIEWS = ("images", "tiles", "failures", "out_of_domain")
"""What queries read."""

MEMORY_LIMIT = "2GiB"
"""What DuckDB may hold; sorting and grouping more than that goes to a temporary folder."""

REMOTE_THREADS = 16
"""Files of a remote store that are read at once: its threads wait more than they work."""

Connection = duckdb.DuckDBPyConnection


@dataclass(frozen=True)
class WorstPhoto:
    """A photo near the top of the list."""

    archive: str
    image: str
    crack_score: float
    crack_tiles: int
    tiles: int
    is_out_of_domain: bool
    """Whether it is unlike the model's training data."""


def query(out: str, sql: str, threshold: float | None = None) -> pa.Table:
    """Run one SQL query over a dataset's views.

    Args:
        out: the dataset.
        sql: the query.
        threshold: from where on a tile counts in `crack_tiles`; None takes what was counted when it was scored.

    Raises:
        UsageError: there is no dataset, the threshold is no probability, or the SQL is wrong.
    """
    with views(Layout(storage.canonical(out)), threshold) as connection:
        try:
            found = connection.sql(sql)
            table = pa.table({}) if found is None else found.to_arrow_table()
        except duckdb.IOException as error:
            raise DatasetError(f"A file of {out} or of the query cannot be read: {error}") from error
        except duckdb.DatabaseError as error:  # others come of the storage
            raise UsageError(f"DuckDB refuses the query: {error}") from error
    twice = [name for name, count in Counter(table.schema.names).items() if count > 1]
    if twice:
        raise UsageError(f"The result has two columns called {twice[0]}. Give one another name with AS.")
    return table


def worst(out: str, photos: int) -> list[WorstPhoto]:
    """List the photos with the highest crack scores."""
    ranked = f"FROM images WHERE status = 'ok' ORDER BY crack_score DESC, image LIMIT {photos:d}"
    is_out_of_domain = "image_id IN (SELECT image_id FROM out_of_domain) AS is_out_of_domain"
    found = query(out, f"SELECT archive, image, crack_score, crack_tiles, tiles, {is_out_of_domain} {ranked}")
    return [WorstPhoto(**row) for row in found.to_pylist()]


def out_of_domain(out: str) -> int:
    """Count the photos that are unlike the model's training data."""
    return int(query(out, "SELECT count(*) FROM out_of_domain")[0][0].as_py())


@contextmanager
def views(layout: Layout, threshold: float | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open DuckDB with a dataset's views.

    Args:
        layout: the dataset.
        threshold: from where on a tile counts in `crack_tiles`; None takes what was counted when it was scored, at the
            card's threshold.

    Raises:
        UsageError: there is no dataset, or the threshold is no probability.
        DatasetError: a file of it cannot be read.
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"The threshold is {threshold:g}; expected a score from 0 to 1.")
    if not storage.exists(layout.run):
        raise UsageError(f"There is no dataset at {layout.url}; expected a folder that `crackscan score` wrote.")
    with connect(layout) as connection:
        images, tiles = (_parquet(layout, table) for table in ("images", "tiles"))
        file_rows(connection, "images_files", _committed(connection, images), schema.IMAGES)
        file_rows(connection, "tiles_files", tiles, schema.TILES)
        connection.execute("SET VARIABLE domain_threshold = CAST(? AS FLOAT)", [_domain_threshold(layout)])
        connection.execute("SET VARIABLE threshold = CAST(? AS FLOAT)", [threshold])
        for statement in (_IMAGES if threshold is None else _RECOUNTED_IMAGES, *_STATEMENTS):
            connection.execute(statement)
        yield connection


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
"""With `crack_tiles` counted anew: tiles are filtered before they are counted, since most are of sound concrete."""

_STATEMENTS = (
    "CREATE VIEW failures AS SELECT * FROM images WHERE status = 'failed'",
    "CREATE VIEW out_of_domain AS SELECT * FROM images WHERE domain_score >= getvariable('domain_threshold')",
    "CREATE VIEW strange AS FROM out_of_domain",  # its name before 0.2; to go with 0.3
    "CREATE VIEW tiles AS SELECT * EXCLUDE (filename) FROM tiles_files SEMI JOIN images_files USING (part, image_id)",
)
"""A tile that no commit names belongs to no photo of its part."""


_MARK = re.compile(r"[*?\[]")

_TOKENS = "SELECT file_name, value FROM parquet_kv_metadata(?) WHERE key = ?"


@contextmanager
def connect(layout: Layout) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open DuckDB for the files of a dataset, bounded in memory.

    Raises:
        DatasetError: a file is damaged.
        StorageError: a file cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="crackscan-") as spilled, duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        if connection.execute("SELECT current_setting('enable_progress_bar')").fetchone() == (True,):
            connection.execute("SET enable_progress_bar = false")  # refused where a notebook has no widgets, and no bar
        connection.execute("SET memory_limit = ?", [MEMORY_LIMIT])
        connection.execute("SET temp_directory = ?", [spilled])
        files = None if layout.url.startswith(storage.LOCAL) else StoredFiles(layout.url.partition("://")[0])
        if files is not None:
            connection.execute("SET parquet_metadata_cache = true")  # else every look at a file fetches its footer
            connection.execute("SET threads = ?", [REMOTE_THREADS])
            connection.register_filesystem(files)
        try:
            yield connection
        except duckdb.Error as error:
            if files is not None and files.failure is not None:
                raise files.failure from error
            raise DatasetError(f"The files of {layout.url} cannot be read: {error}") from error


def file_rows(connection: duckdb.DuckDBPyConnection, view: str, urls: Sequence[str], columns: pa.Schema) -> None:
    """Make a view of the rows of Parquet files, each with its `filename`; of none where there is no file."""
    if urls:
        connection.from_parquet([_pattern(url) for url in urls], union_by_name=True, filename=True).create_view(view)
    else:
        connection.register(view, columns.append(pa.field("filename", pa.string())).empty_table())


def file_name(url: str) -> str:
    """Return a file's URL as the column `filename` spells it."""
    return url.removeprefix(storage.LOCAL)


def quoted(path: Path) -> str:
    """Return a path as SQL spells it, for statements that take no parameters."""
    return "'" + str(path).replace("'", "''") + "'"


def tables_of(connection: duckdb.DuckDBPyConnection, path: Path) -> set[str]:
    """List the tables and views of a DuckDB file; none where it is no such file."""
    try:
        connection.execute(f"ATTACH {quoted(path)} AS looked_into (READ_ONLY)")
    except duckdb.Error:
        return set()
    found = connection.execute("SELECT table_name FROM information_schema.tables WHERE table_catalog = 'looked_into'")
    names = {name for (name,) in found.fetchall()}
    connection.execute("DETACH looked_into")
    return names


def _pattern(url: str) -> str:
    """Return what DuckDB reads this file by, and no other: it takes a name for a glob, unless there is a backslash."""
    name = file_name(url)
    return name if "\\" in name else _MARK.sub(r"[\g<0>]", name)


def _domain_threshold(layout: Layout) -> float | None:
    """Return from where on a photo is unlike the training data, None where the model cannot tell."""
    threshold: float | None = read_run(layout).get("model_card", {}).get("domain_threshold")
    return threshold


def _committed(connection: duckdb.DuckDBPyConnection, urls: Sequence[str]) -> list[str]:
    """Leave out the failed photos that no commit names: there is no part of their number, or another run's."""
    of_part = {url: url.replace("/images/failed-", "/images/part-") for url in urls}
    failed = {url: part for url, part in of_part.items() if url != part}
    asked = [_pattern(url) for url in {*failed, *failed.values()} & {*urls}]
    tokens = dict(connection.execute(_TOKENS, [asked, TOKEN]).fetchall()) if asked else {}
    token_of = {url: tokens.get(file_name(url)) for url in of_part}
    return [url for url in urls if url not in failed or token_of[url] == token_of.get(failed[url])]


def _parquet(layout: Layout, table: str) -> list[str]:
    folder = storage.join(layout.url, table)
    files = storage.list_files(folder) if storage.exists(folder) else []
    return [file.url for file in files if file.url.endswith(".parquet")]
