"""Large files of a commit, written batch by batch: of more rows than memory holds.

The writer of small ones, which appear one after another while photos are scored, is `sink`.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.core import schema
from pipeline.dataset.commit_log import TOKEN
from pipeline.dataset.layout import Layout

GROUP_ROWS = 1 << 20
"""Rows of a row group, or a few more: some 4 MB of tiles, which a reader takes or skips as one."""


@dataclass(frozen=True)
class PartWriter:
    """Writes commits of many photos."""

    layout: Layout
    """Where the dataset lies."""
    token: str
    """The run that writes."""
    model_id: str
    """Whose scores they are."""

    def write(self, part: int, images: pa.Table, tiles: Iterable[pa.Table], on_rows: Callable[[int], None]) -> None:
        """Write one commit, in a commit's order: tiles, failed photos, and then the photos that make it one.

        Args:
            part: the commit's number.
            images: its photos; schema `IMAGES`, as it will be but for the column `part`.
            tiles: their tiles, some at a time; schema `TILES`, but for the column `part`.
            on_rows: is told the rows of each row group that has been written.
        """
        ok = pc.equal(images["status"], "ok")
        failed = images.filter(pc.invert(ok))
        if pc.any(ok).as_py():
            self._put(self.layout.tiles(part, self.token), part, (schema.TILES, tiles), on_rows)
        if failed.num_rows:
            self._put(self.layout.failed(part), part, (schema.IMAGES, [failed]))
        self._put(self.layout.images(part), part, (schema.IMAGES, [images.filter(ok)]))

    def _put(
        self,
        url: str,
        part: int,
        content: tuple[pa.Schema, Iterable[pa.Table]],
        on_rows: Callable[[int], None] = lambda _rows: None,
    ) -> None:
        """Write a file on local disk, and then where it belongs."""
        declared, tables = content
        facts = {TOKEN: self.token, "crackscan.schema": str(schema.SCHEMA_VERSION), "crackscan.model": self.model_id}
        with tempfile.TemporaryDirectory(prefix="crackscan-") as folder:
            path = Path(folder) / "part.parquet"
            with pq.ParquetWriter(path, declared.with_metadata(facts), **_options(declared)) as file:
                for table in _groups(tables):
                    columns = {name: table[name] for name in table.schema.names}
                    columns["part"] = pa.repeat(pa.scalar(part, pa.int32()), table.num_rows)
                    file.write_table(pa.table(columns).select(declared.names).cast(file.schema), table.num_rows)
                    on_rows(table.num_rows)
            storage.upload(path, url)


def _groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Put tables together to row groups."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(each.num_rows for each in waiting) >= GROUP_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _options(declared: pa.Schema) -> dict[str, Any]:
    """Return how to encode: a dictionary of scores, which hardly ever repeat, costs half as much again."""
    repeating = [name for name in declared.names if name != "crack_score"]
    return {"compression": "zstd", "use_dictionary": repeating, "write_page_checksum": True}
