"""Rewrites a finished dataset of many small parts as a new dataset of a few large ones.

The new dataset is sorted by archive and image, and sealed: no run can add to it, but people can add verdicts. What they
added to the old one is copied. The old one stays unchanged. DuckDB sorts one part at a time and spills to disk; tiles
and cracks stream through.

An older compaction of the same dataset is replaced on demand. The new one is made and proved in the temporary folder
first. Then the old files go and the new ones come, so that nobody who reads `images/*.parquet` sees a row twice; see
docs/decisions/0016-what-a-command-may-replace.md.
"""

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.core.counts import count_of
from pipeline.core.errors import DatasetError, UsageError
from pipeline.core.progress import OnProgress
from pipeline.core.secrets import refuse_credentials
from pipeline.dataset.beside import copy_tables, refuse_own
from pipeline.dataset.commit_log import file_metadata, table_bytes
from pipeline.dataset.crack_map_files import copy_maps
from pipeline.dataset.diff import differences
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import Lease, hold
from pipeline.dataset.run import json_bytes, read_run
from pipeline.dataset.sql import Connection, views
from pipeline.dataset.targets import check_folder

PART_BYTES = 256 << 20
"""Target size of a tiles file; readers such as Spark and Athena work best with 100 to 500 MB."""
TILE_BYTES = 4.0
"""Bytes of a sorted tile: nearly all of them are the score, whose 32 bits hardly compress."""
PART_PHOTOS = 1_000_000
"""The most photos of a part, however few tiles they have: some 100 MB, which are in memory at once."""
GROUP_ROWS = 1 << 20
"""Rows of a row group, or a few more: some 4 MB of tiles, which a reader reads or skips as one."""
GROUP_BYTES = 256 << 20
"""The most of a row group in memory, or a little more: a million cracks with their lines would be a gigabyte."""
BATCH_ROWS = 1 << 16
"""Rows that are read at once."""

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
"""Without the names of a tile's photo, which are most of its bytes: `_read_rows` adds them after the sort."""
_CRACKS = """
    SELECT position, cracks.* EXCLUDE (part, image_id, archive, image)
    FROM committed_cracks AS cracks JOIN photos USING (part, image_id) WHERE new_part = $part ORDER BY position, crack
"""


_JOINED_CRACKS = "FROM cracks SEMI JOIN joined_files USING (archive) ORDER BY archive, image, image_id, crack"


@dataclass(frozen=True)
class Compacted:
    """The outcome of a compaction."""

    url: str
    photos: int
    tiles: int
    parts: int
    """Number of commits."""
    parts_before: int
    """Number of commits of the old dataset."""


@dataclass(frozen=True)
class PartWriter:
    """Writes commits of many photos."""

    layout: Layout
    """The dataset."""
    token: str
    """The run that writes."""
    model_id: str
    """The model of the scores."""

    def write(
        self,
        part: int,
        images: pa.Table,
        tiles: Iterable[pa.Table],
        cracks: Iterable[pa.Table],
        on_rows: Callable[[int], None],
    ) -> None:
        """Write one commit in the order of a commit: tiles, cracks, failed photos, and last the scored photos.

        Args:
            part: the commit's number.
            images: its photos; schema `IMAGES`, whose column `part` is replaced.
            tiles: their tiles, some at a time; schema `TILES` without the column `part`.
            cracks: their cracks, likewise; schema `CRACKS` without the column `part`.
            on_rows: called with the rows of each row group of tiles.
        """
        ok = pc.equal(images["status"], "ok")
        failed = images.filter(pc.invert(ok))
        if pc.any(ok).as_py():
            self._put(self.layout.tiles(part, self.token), part, (table_schemas.TILES, tiles), on_rows)
        if pc.sum(images["cracks"]).as_py():
            self._put(self.layout.cracks(part, self.token), part, (table_schemas.CRACKS, cracks))
        if failed.num_rows:
            self._put(self.layout.failed(part), part, (table_schemas.IMAGES, [failed]))
        self._put(self.layout.images(part), part, (table_schemas.IMAGES, [images.filter(ok)]))

    def _put(
        self,
        url: str,
        part: int,
        content: tuple[pa.Schema, Iterable[pa.Table]],
        on_rows: Callable[[int], None] = lambda _rows: None,
    ) -> None:
        """Write a file on local disk, and upload it."""
        declared, tables = content
        metadata = file_metadata(self.token, self.model_id)
        with storage.temporary_folder() as folder:
            path = folder / "part.parquet"
            with pq.ParquetWriter(path, declared.with_metadata(metadata), **_encoding_options(declared)) as file:
                for table in _group_rows(tables):
                    columns = {name: table[name] for name in table.schema.names}
                    columns["part"] = pa.repeat(pa.scalar(part, pa.int32()), table.num_rows)
                    file.write_table(pa.table(columns).select(declared.names).cast(file.schema), table.num_rows)
                    on_rows(table.num_rows)
            storage.upload(path, url)


@dataclass(frozen=True)
class PartLimits:
    """How large a part may be."""

    bytes: int
    """Target size of a tiles file."""
    photos: int = PART_PHOTOS


def compact(  # noqa: PLR0913 - its options, each a value of its own
    out: str,
    to: str,
    part_bytes: int,
    on_progress: OnProgress,
    part_photos: int = PART_PHOTOS,
    *,
    overwrite: bool = False,
) -> Compacted:
    """Rewrite a finished dataset as a dataset of few large files, and prove both equal.

    A compaction that was interrupted begins again.

    Args:
        out: the dataset.
        to: the new dataset.
        part_bytes: target size of a tiles file.
        on_progress: called with the number of tiles written, and of all tiles.
        part_photos: the most photos of a part.
        overwrite: replace an older compaction of the same dataset.

    Raises:
        UsageError: the dataset is not finished, or compact already; or `to` holds something else, or has scales or
            elements of its own.
        DatasetError: a file is damaged, or another process wrote to the dataset meanwhile.
    """
    refuse_credentials([("--to", to)])
    old, new = Layout(storage.canonical(out)), Layout(storage.canonical(to))
    run, limits = _make_run(old), PartLimits(part_bytes, part_photos)
    _check_free(old, new, overwrite=overwrite)
    run_id = str(run["run_id"])
    with hold(new, run_id, lambda _holder: None) as lease, ExitStack() as stack:
        _check_free(old, new, overwrite=overwrite)  # again, now that we hold the lease
        summary = json.loads(storage.read_bytes(old.summary))
        if storage.exists(new.summary):  # its readers see the older one until the new one is proved
            made = Layout(storage.canonical(str(stack.enter_context(storage.temporary_folder()))))
            storage.write_whole(made.run, json_bytes(run))
            parts, tiles = _make(old, made, limits, lease, on_progress)
            _begin(old, new, run)
            _move(made, new, parts, lease)
            _check_equal(old, new)
        else:
            _begin(old, new, run)
            parts, tiles = _make(old, new, limits, lease, on_progress)
        copy_tables(old, new)
        lease.check()
        changes = {"run_id": run_id, "finished_at": run["compacted_at"], "commits": parts}
        storage.write_whole(new.summary, json_bytes(summary | changes))
    return Compacted(new.url, summary["photos"], tiles, parts, summary["commits"])


def _make(old: Layout, new: Layout, limits: PartLimits, lease: Lease, on_progress: OnProgress) -> tuple[int, int]:
    """Write and prove the parts of a dataset with a `run.json`; return the numbers of parts and tiles."""
    run = read_run(new)
    writer = PartWriter(new, run["run_id"], run["fingerprint"]["model_id"])
    with views(old) as connection:
        chosen = {"tiles": max(1.0, limits.bytes / TILE_BYTES), "photos": limits.photos}
        connection.execute(_PHOTOS, chosen)
        _check_count(old, connection)
        made = _rewrite(connection, writer, lease, on_progress)
        _copy_rasters(connection, old, new)
    _check_equal(old, new)
    return made


def _copy_rasters(connection: Connection, old: Layout, new: Layout) -> None:
    """Copy what a dataset says of its rasters; the cracks that are joined over windows, with today's millimetres."""
    if storage.exists(old.rasters):
        storage.write_whole(new.rasters, storage.read_bytes(old.rasters))
    if storage.exists(old.raster_cracks):
        cracks = connection.sql(_JOINED_CRACKS).to_arrow_table().cast(table_schemas.CRACKS)
        storage.write_whole(new.raster_cracks, table_bytes(cracks))


def _check_equal(old: Layout, new: Layout) -> None:
    if found := differences(old.url, new.url):
        raise DatasetError(f"{new.url} is not equal to {old.url}: {'; '.join(found)}. Remove it, and try again.")


def _move(made: Layout, new: Layout, parts: int, lease: Lease) -> None:
    """Upload the parts of a local dataset, each in the order of a commit."""
    token = read_run(made)["run_id"]
    for part in range(parts):
        lease.check()
        for url in (made.tiles(part, token), made.cracks(part, token), made.failed(part), made.images(part)):
            if storage.exists(url):
                storage.upload(storage.local_path(url), new.url + url.removeprefix(made.url))
    for url in (made.rasters, made.raster_cracks):
        if storage.exists(url):
            storage.upload(storage.local_path(url), new.url + url.removeprefix(made.url))


def _make_run(old: Layout) -> dict[str, Any]:
    """Make the new `run.json`."""
    run = read_run(old)
    if run.get("sealed"):
        raise UsageError(f"{old.url} is compact already: it was made from {run.get('compacted_from')}.")
    if not storage.exists(old.summary):
        raise UsageError(
            f"{old.url} is not finished; expected one in which every photo has its row. Run `crackscan score` again "
            "to go on; `crackscan status` shows how far it is."
        )
    now = datetime.now(UTC)
    added = {"run_id": f"{now:%Y%m%dT%H%M%S}{uuid.uuid4().hex[:8]}", "sealed": True, "compacted_from": old.url}
    return run | added | {"compacted_at": now.isoformat(timespec="seconds")}


def _check_free(old: Layout, new: Layout, *, overwrite: bool) -> None:
    """Refuse a place with anything but a compaction of the same dataset: an interrupted one, or one to replace."""
    if f"{new.url}/".startswith(f"{old.url}/") or f"{old.url}/".startswith(f"{new.url}/"):
        raise UsageError(f"{new.url} and {old.url} overlap. Give --to a folder of its own.")
    if storage.exists(new.run):
        _check_older(old, new, overwrite=overwrite)
        refuse_own(old, new)
        return
    check_folder(new.url, [old], "--to")
    if storage.exists(new.url) and any(not _is_leftover(file.path) for file in storage.list_files(new.url)):
        raise UsageError(f"{new.url} is not empty. Give another --to.")


def _check_older(old: Layout, new: Layout, *, overwrite: bool) -> None:
    """Refuse a dataset that was not made from the old one, or that is finished and not to be replaced."""
    found, source = read_run(new), read_run(old)
    of_this = {name: value for name, value in source.items() if name not in {"run_id", "sealed", "compacted_from"}}
    # Another dataset may lie today where the one was that it was made from, and it may be the last copy of that.
    if found.get("compacted_from") != old.url or {name: found.get(name) for name in of_this} != of_this:
        raise UsageError(f"There is another dataset at {new.url}. Give another --to.")
    if storage.exists(new.summary) and not overwrite:
        raise UsageError(
            f"There is another dataset at {new.url}: an older compaction of {old.url}. Give another --to, or "
            "--overwrite to replace it once the new one is made and proved."
        )


def _is_leftover(path: str) -> bool:
    """Tell whether a file may be of a compaction killed at its start: the lease, or a file half written."""
    return path == "lease" or path.startswith((".lease.", ".run.json."))


def _begin(old: Layout, new: Layout, run: Mapping[str, Any]) -> None:
    """Remove an interrupted or older compaction, the scored photos first; write `run.json`, and copy plan and maps."""
    for url in (new.summary, new.raster_cracks, new.rasters):
        storage.remove(url)
    storage.remove_leftovers(new.url)
    for folder in ("images", "tiles", "cracks", "maps"):
        url = storage.join(new.url, folder)
        for file in storage.list_files(url) if storage.exists(url) else []:
            storage.remove(file.url)
    storage.write_whole(new.run, json_bytes(run))
    for file in storage.list_files(old.plans):
        if file.path.endswith(".parquet") or file.url == old.moves:
            storage.write_whole(storage.join(new.plans, file.path), storage.read_bytes(file.url))
    copy_maps(old, new)


def _check_count(old: Layout, connection: Connection) -> None:
    """Refuse a dataset whose number of rows is not that of its summary."""
    summary = json.loads(storage.read_bytes(old.summary))
    photos = connection.execute("SELECT count(*) FROM photos").fetchall()[0][0]
    if photos != summary["photos"]:
        raise DatasetError(
            f"{old.url} has {count_of(photos, 'photo')}, and its summary.json counts {summary['photos']:,}. "
            "`crackscan verify` shows what is wrong; if the dataset is only unfinished, run `crackscan score` again."
        )


def _rewrite(connection: Connection, writer: PartWriter, lease: Lease, on_progress: OnProgress) -> tuple[int, int]:
    """Write every part; return the numbers of parts and tiles."""
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
        tiles, cracks = (_read_rows(connection, query, part, images, first) for query in (_TILES, _CRACKS))
        writer.write(part, images, tiles, cracks, on_rows)
    return len(parts), done


def _read_rows(connection: Connection, query: str, part: int, images: pa.Table, first: int) -> Iterator[pa.Table]:
    """Read the tiles or cracks of a part, and add the names of their photos; a connection reads one of them at a time.

    Args:
        connection: to the old dataset.
        query: `_TILES` or `_CRACKS`, which give the `position` of a row's photo among all photos.
        part: the part's number.
        images: the photos of the part, in order.
        first: the position of the first photo.
    """
    for batch in connection.sql(query, params={"part": part}).to_arrow_reader(BATCH_ROWS):
        photo = pc.subtract(batch["position"], first)
        names = {name: images[name].take(photo) for name in ("image_id", "archive", "image")}
        yield pa.table({name: batch[name] for name in batch.schema.names} | names)


def _group_rows(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Concatenate tables to row groups."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        rows, size_bytes = (sum(getattr(each, name) for each in waiting) for name in ("num_rows", "nbytes"))
        if rows >= GROUP_ROWS or size_bytes >= GROUP_BYTES:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _encoding_options(declared: pa.Schema) -> dict[str, Any]:
    """Return how to encode: what hardly ever repeats, such as scores, would take half as much again in a dictionary."""
    repeating = [name for name in declared.names if name not in {"crack_score", "line_wkt"}]
    return {"compression": "zstd", "use_dictionary": repeating, "write_page_checksum": True}
