"""A finished dataset's many small parts, rewritten as a few large ones, into a new dataset.

The new one is sorted by archive and image, sealed (nothing is ever added to it), and otherwise a dataset like any
other. The old one is left alone. DuckDB sorts, a part at a time, and spills what it cannot hold; tiles stream through.
"""

import json
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.core import schema
from pipeline.core.errors import DatasetError, UsageError
from pipeline.core.secrets import refuse_credentials
from pipeline.dataset.commit_log import TOKEN
from pipeline.dataset.diff import differences
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import Lease, hold
from pipeline.dataset.map_files import copy_maps
from pipeline.dataset.run import json_bytes, read_run
from pipeline.dataset.sql import views

PART_BYTES = 256 << 20
"""Size that a file of tiles aims at; readers such as Spark and Athena work best from 100 to 500 MB."""
TILE_BYTES = 4.0
"""What a tile takes when sorted: nearly all of it is the score, of whose 32 bits little can be packed away."""
PART_PHOTOS = 1_000_000
"""A part has no more photos, however few tiles they have: some 100 MB, and what is held in memory."""
GROUP_ROWS = 1 << 20
"""Rows of a row group, or a few more: some 4 MB of tiles, which a reader takes or skips as one."""

OnProgress = Callable[[int, int], None]

_PHOTOS = """
    CREATE TEMP TABLE photos AS
    SELECT position, part, image_id, dense_rank() OVER (ORDER BY bin) - 1 AS new_part
    FROM (SELECT part, image_id, position, floor(greatest(before / $tiles, position / $photos)) AS bin
          FROM (SELECT part, image_id, row_number() OVER sorted - 1 AS position,
                       coalesce(sum(tiles) OVER (sorted ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
                FROM images WINDOW sorted AS (ORDER BY archive, image, occurrence, image_id)))
"""
_NEW_PARTS = "SELECT new_part, min(position) FROM photos GROUP BY new_part ORDER BY new_part"
_IMAGES = """
    SELECT images.* FROM images JOIN photos USING (part, image_id) WHERE new_part = $part ORDER BY position
"""
_TILES = """
    SELECT position, "row", col, left_px, top_px, width_px, height_px, crack_score
    FROM tiles JOIN photos USING (part, image_id) WHERE new_part = $part ORDER BY position, "row", col
"""
"""The names of a tile's photo are put back after the sort: they are most of its bytes."""


@dataclass(frozen=True)
class Compacted:
    """What has become of a dataset."""

    url: str
    photos: int
    tiles: int
    parts: int
    """Commits, now."""
    parts_before: int


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


def compact(out: str, to: str, part_bytes: int, on_progress: OnProgress) -> Compacted:
    """Rewrite a finished dataset as one of few large files, and prove both equal.

    What was begun and interrupted is begun again.

    Args:
        out: the dataset.
        to: where the new one goes.
        part_bytes: size that a file of tiles aims at.
        on_progress: is told tiles written, and of how many.

    Raises:
        UsageError: the dataset is not finished, or compact already; there is something else at `to`.
        DatasetError: a file is damaged, or the dataset was written to meanwhile.
    """
    refuse_credentials([("--to", to)])
    old, new = Layout(storage.canonical(out)), Layout(storage.canonical(to))
    about = _about(old)
    _check_free(old, new)
    run_id = str(about["run_id"])
    with hold(new, run_id, lambda _holder: None) as lease:
        _begin(old, new, about)
        summary = json.loads(storage.read_bytes(old.summary))
        writer = PartWriter(new, run_id, about["fingerprint"]["model_id"])
        with views(old) as connection:
            limits = {"tiles": max(1.0, part_bytes / TILE_BYTES), "photos": PART_PHOTOS}
            connection.execute(_PHOTOS, limits)
            _check_counted(old, summary, connection)
            parts, tiles = _rewrite(connection, writer, lease, on_progress)
        if found := differences(old.url, new.url):
            raise DatasetError(f"{new.url} is not equal to {old.url}: {'; '.join(found)}. Remove it, and try again.")
        lease.check()
        now = {"run_id": run_id, "finished_at": about["compacted_at"], "commits": parts}
        storage.write_whole(new.summary, json_bytes(summary | now))
    return Compacted(new.url, summary["photos"], tiles, parts, summary["commits"])


def _about(old: Layout) -> dict[str, Any]:
    """Make the new `run.json`."""
    run = read_run(old)
    if run.get("sealed"):
        raise UsageError(f"{old.url} is compact already, made of {run.get('compacted_from')}.")
    if not storage.exists(old.summary):
        raise UsageError(
            f"{old.url} is not finished; expected one in which every photo has its row. Run `crackscan score` again "
            "to go on; `crackscan status` tells how far it is."
        )
    now = datetime.now(UTC)
    ours = {"run_id": f"{now:%Y%m%dT%H%M%S}{uuid.uuid4().hex[:8]}", "sealed": True, "compacted_from": old.url}
    return run | ours | {"compacted_at": now.isoformat(timespec="seconds")}


def _check_free(old: Layout, new: Layout) -> None:
    """Refuse a place that holds anything but an interrupted compaction of the same dataset."""
    if f"{new.url}/".startswith(f"{old.url}/") or f"{old.url}/".startswith(f"{new.url}/"):
        raise UsageError(f"{new.url} and {old.url} lie in each other. Give --to a folder of its own.")
    if storage.exists(new.run):
        if storage.exists(new.summary) or read_run(new).get("compacted_from") != old.url:
            raise UsageError(f"There is another dataset at {new.url}. Give another --to.")
    elif storage.exists(new.url) and any(not _is_of_a_start(file.path) for file in storage.list_files(new.url)):
        raise UsageError(f"{new.url} is not empty. Give another --to.")


def _is_of_a_start(path: str) -> bool:
    """Tell whether a file is what a compaction that was killed at its start leaves: the lease, a file half written."""
    return path == "lease" or path.startswith((".lease.", ".run.json."))


def _begin(old: Layout, new: Layout, about: Mapping[str, Any]) -> None:
    """Write `run.json`, copy plan and maps; what an interrupted compaction left goes, as its original still stands."""
    _check_free(old, new)  # again, now that we hold it
    storage.remove_leftovers(new.url)
    for folder in ("images", "tiles"):
        place = storage.join(new.url, folder)
        for file in storage.list_files(place) if storage.exists(place) else []:
            storage.remove(file.url)
    storage.write_whole(new.run, json_bytes(about))
    for file in storage.list_files(old.plans):
        if file.path.endswith(".parquet"):
            storage.write_whole(storage.join(new.plans, file.path), storage.read_bytes(file.url))
    copy_maps(old, new)


def _check_counted(old: Layout, summary: Mapping[str, Any], connection: Any) -> None:  # noqa: ANN401 - as below
    """Refuse a dataset whose rows are not those that it was finished with."""
    photos = connection.execute("SELECT count(*) FROM photos").fetchall()[0][0]
    if photos != summary["photos"]:
        raise DatasetError(
            f"{old.url} has {photos:,} photos, and its summary.json counts {summary['photos']:,}. `crackscan verify` "
            "tells what is wrong; `crackscan score` again mends what is only unfinished."
        )


def _rewrite(connection: Any, writer: PartWriter, lease: Lease, on_progress: OnProgress) -> tuple[int, int]:  # noqa: ANN401 - DuckDB's, which only `results` knows
    """Write every part; return how many there are, and how many tiles."""
    total = connection.execute("SELECT coalesce(sum(tiles), 0) FROM images").fetchall()[0][0]
    done = 0

    def on_rows(rows: int) -> None:
        nonlocal done
        done += rows
        on_progress(done, total)

    parts = connection.execute(_NEW_PARTS).fetchall()
    for part, first in parts:
        lease.check()
        images = connection.sql(_IMAGES, params={"part": part}).to_arrow_table()
        tiles = connection.sql(_TILES, params={"part": part}).to_arrow_reader()
        writer.write(part, images, _named(tiles, images, first), on_rows)
    return len(parts), done


def _named(tiles: pa.RecordBatchReader, images: pa.Table, first: int) -> Iterator[pa.Table]:
    """Give tiles the names of their photos.

    Args:
        tiles: with the `position` of their photo among all.
        images: the photos of a part, in order.
        first: the position of the first of them.
    """
    for batch in tiles:
        photo = pc.subtract(batch["position"], first)
        names = {name: images[name].take(photo) for name in ("image_id", "archive", "image")}
        yield pa.table({name: batch[name] for name in batch.schema.names} | names)


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
