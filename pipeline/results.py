"""Reading a dataset with SQL: DuckDB over the views `images`, `tiles` and `failures`.

The views show committed photos only, each once, also in the moment of a crash and while a run is writing.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from pipeline import schema, storage
from pipeline.dataset import Layout
from pipeline.errors import DatasetError, UsageError


@dataclass(frozen=True)
class WorstPhoto:
    """A photo near the top of the list."""

    archive: str
    image: str
    crack_score: float
    crack_tiles: int
    tiles: int


def query(out: str, sql: str) -> pa.Table:
    """Run one SQL query over a dataset's views.

    Raises:
        UsageError: there is no dataset, or the SQL is wrong.
    """
    with _views(Layout(storage.canonical(out))) as connection:
        try:
            found = connection.sql(sql)
            table = pa.table({}) if found is None else found.to_arrow_table()
        except duckdb.IOException as error:
            raise DatasetError(f"A file of {out} or of the query cannot be read: {error}") from error
        except duckdb.Error as error:
            raise UsageError(f"DuckDB refuses the query: {error}") from error
    twice = [name for name, count in Counter(table.schema.names).items() if count > 1]
    if twice:
        raise UsageError(f"The result has two columns called {twice[0]}. Give one another name with AS.")
    return table


def worst(out: str, photos: int) -> list[WorstPhoto]:
    """List the photos with the highest crack scores."""
    ranked = f"FROM images WHERE status = 'ok' ORDER BY crack_score DESC, image LIMIT {photos:d}"
    found = query(out, f"SELECT {', '.join(WorstPhoto.__dataclass_fields__)} {ranked}")
    return [WorstPhoto(**row) for row in found.to_pylist()]


@contextmanager
def _views(layout: Layout) -> Iterator[duckdb.DuckDBPyConnection]:
    if not storage.exists(layout.run):
        raise UsageError(f"There is no dataset at {layout.url}; expected a folder that `crackscan score` wrote.")
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
        filesystem = storage.filesystem_of(layout.url)
        if not layout.url.startswith(storage.LOCAL):
            connection.register_filesystem(filesystem)
        for table, columns in (("images", schema.IMAGES), ("tiles", schema.TILES)):
            _table(connection, layout, table, columns)
        for statement in _VIEWS:
            connection.execute(statement)
        yield connection


_VIEWS = (
    "CREATE VIEW images AS SELECT * FROM images_files WHERE part IN (SELECT part FROM parts)",
    "CREATE VIEW failures AS SELECT * FROM images WHERE status = 'failed'",
    "CREATE VIEW tiles AS SELECT * FROM tiles_files SEMI JOIN images USING (part, image_id)",
)
"""A file that no commit names holds nothing that counts: the views join on the committed parts."""


def _table(connection: duckdb.DuckDBPyConnection, layout: Layout, table: str, columns: pa.Schema) -> None:
    """Make `<table>_files`: the rows of every file, and none where there is no file yet."""
    folder = storage.join(layout.url, table)
    files = [file.url for file in storage.list_files(folder)] if storage.exists(folder) else []
    parquet = [_for_duckdb(url) for url in files if url.endswith(".parquet")]
    if table == "images":
        numbers = [int(url[-14:-8]) for url in parquet if storage.name(url).startswith("part-")]
        connection.register("parts", pa.table({"part": pa.array(numbers, pa.int32())}))
    if parquet:
        connection.from_parquet(parquet, union_by_name=True).create_view(f"{table}_files")
    else:
        connection.register(f"{table}_files", columns.empty_table())


def _for_duckdb(url: str) -> str:
    return url.removeprefix(storage.LOCAL)
