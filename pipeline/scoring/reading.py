"""Cuts the work of reading into units, and reads the photos of one unit from their archive.

It imports no torch, which would cost every reading process seconds and half a gigabyte.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.archives.listing import Listing, encode_listing, entry_of
from pipeline.archives.members import Content, Entry, Limits, archive_suffix, is_archive
from pipeline.archives.readers import explain_missing, is_stream, read_loose, read_members
from pipeline.archives.streaming import RowContent, StreamedArchive
from pipeline.core.errors import DataError, NotFoundError
from pipeline.core.log import capture
from pipeline.core.table_schemas import READ
from pipeline.core.usage import measure, with_peak
from pipeline.dataset.moves import NO_MOVES, Moves
from pipeline.rasters.window_reader import WindowRule
from pipeline.scoring.placement import BatchSizes

CHECKED_BYTES = 8 << 20
"""After this much, a check shows whether the archive is still the listed one; until then its photos wait."""

PACKED = "unit"
"""The column of packed photos."""

Row = dict[str, Any]


def split_units(
    members: pa.Table,
    next_unit_bytes: Callable[[int], int] = lambda _before: BatchSizes.unit_bytes,
    unit_photos: int = BatchSizes.unit_photos,
) -> Iterator[pa.Table]:
    """Split photos into the work of one reading task each.

    A unit is bounded and belongs to one archive or nested archive. The remaining photos of a stream that an
    earlier run read to its end are one unit, however large, because the stream must be read again from its start.

    Args:
        members: schema `MEMBERS`.
        next_unit_bytes: how many bytes of photos the next unit may have, given the bytes of all earlier units. A unit
            has at least one photo.
        unit_photos: how many photos a unit may have.
    """
    before = 0
    for batch in members.to_batches():  # one by one: a single table would copy a million rows
        for of_one_archive in _split_by_archive(pa.Table.from_batches([batch])):
            left = of_one_archive
            while left.num_rows:
                sizes = left["size_bytes"].slice(0, unit_photos)
                unit = left if is_stream_unit(left) else left.slice(0, _count_fitting(sizes, next_unit_bytes(before)))
                yield unit
                before += pc.sum(unit["size_bytes"]).as_py() or 0
                left = left.slice(unit.num_rows)


def _split_by_archive(members: pa.Table) -> Iterator[pa.Table]:
    streams = pa.array(filter(_is_stream_archive, members["archive"].unique().to_pylist()), pa.string())
    is_in_stream = pc.is_in(members["archive"], streams)
    same = _equals_previous(members["archive"])
    for name in ("path", "position"):  # one archive may hold two nested archives of one name, or one under two names
        inner = pc.if_else(is_in_stream, None, pc.struct_field(members["inner"], name))
        same = pc.and_(same, _equals_previous(inner))
    starts = np.flatnonzero(~np.asarray(same)) + 1
    for first, end in zip([0, *starts], [*starts, members.num_rows], strict=True):
        yield members.slice(first, end - first)


def _count_fitting(sizes: pa.ChunkedArray, max_bytes: int) -> int:
    """Count the first photos that fit together into a number of bytes; at least one."""
    return max(1, int(np.searchsorted(np.cumsum(sizes.to_numpy()), max_bytes, side="right")))


def is_stream_unit(unit: pa.Table) -> bool:
    """Tell whether reading the photos of a unit means reading their archive from front to back."""
    [row] = unit.slice(0, 1).to_pylist()
    return _is_stream_archive(row["archive"]) or _nested_stream(row) is not None


def pack_unit(unit: pa.Table) -> pa.Table:
    """Pack a unit into one row, in a fraction of its memory: all units wait at once, in the object store."""
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_stream(buffer, unit.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(unit)
    return pa.table({PACKED: pa.array([buffer.getvalue().to_pybytes()], pa.large_binary())})


def unpack_units(packed: pa.Table) -> Iterator[pa.Table]:
    """Return the units that `pack_unit` packed."""
    return (pa.ipc.open_stream(data).read_all() for data in packed[PACKED].to_pylist())


def read_unit(
    members: pa.Table,
    limits: Limits,
    done: pa.ChunkedArray,
    moves: Moves = NO_MOVES,
    windows: WindowRule | None = None,
) -> Iterator[pa.Table]:
    """Read photos; a photo that cannot be read carries the reason instead of its bytes.

    Args:
        members: one of `split_units`.
        limits: what may be read into memory.
        done: `image_id` of photos to leave out of a stream that no run has read to its end yet.
        moves: where archives and folders lie now.
        windows: how rasters are cut.

    Shape: schema `MEMBERS` → tables of schema `READ`, one photo each, and one row for the end of such a stream.
    """
    if pc.all(pc.is_valid(members["failure_stage"])).as_py():  # an archive that cannot be opened is not opened again
        yield from (_photo_table(row, None) for row in members.to_pylist())
        return
    if is_stream_unit(members):
        yield from _read_stream(members, limits, done, moves)
        return
    rows = members.to_pylist()
    yield from (_photo_table(row, None) for row in rows if row["failure_stage"] is not None)
    place = moves.place_of(rows[0]["archive"])
    readable = [row for row in rows if row["failure_stage"] is None]
    yield from _pass_unchanged(rows[0], place, _read_members(readable, place, limits, windows))


def read_measured(
    members: pa.Table,
    limits: Limits,
    done: pa.ChunkedArray,
    moves: Moves = NO_MOVES,
    windows: WindowRule | None = None,
) -> Iterator[pa.Table]:
    """Read photos as `read_unit` does, and add to each its resource usage and log lines."""
    tables = read_unit(members, limits, done, moves, windows)
    while True:
        with capture() as lines:
            table, usage = measure(partial(next, tables, None))
        if table is None:
            return
        for name, value in (("read_usage", vars(with_peak(usage))), ("log", lines)):
            index = READ.get_field_index(name)
            table = table.set_column(index, READ.field(name), pa.array([value], READ.field(name).type))
        yield table


def _equals_previous(column: pa.ChunkedArray) -> pa.Array:
    """Tell for each row but the first whether it equals the row before it; null equals null."""
    now, before = column[1:], column[:-1]
    both_null = pc.and_(pc.is_null(now), pc.is_null(before))
    return pc.if_else(both_null, True, pc.fill_null(pc.equal(now, before), False))  # noqa: FBT003 - Arrow's


def _is_stream_archive(url: str) -> bool:
    return archive_suffix(url) is not None and is_stream(url)


def _nested_stream(row: Row) -> Entry | None:
    """Return the nested archive of a row if it is a stream within an archive that is none."""
    inner = None if row["inner"] is None else entry_of(row["inner"])
    is_nested = inner is not None and not _is_stream_archive(row["archive"]) and is_stream(inner.path, inner.method)
    return inner if is_nested else None


def _read_members(rows: list[Row], place: str, limits: Limits, windows: WindowRule | None) -> Iterator[RowContent]:
    """Read rows of one archive; if a name repeats, two rows may be one file."""
    by_entry = dict[Entry, list[Row]]()
    for row in rows:
        by_entry.setdefault(entry_of(row), []).append(row)
    if not by_entry:
        return
    inner = rows[0]["inner"]
    if not is_archive(rows[0]["archive"]):
        read = read_loose(place, list(by_entry), limits)
    else:
        read = read_members(place, None if inner is None else entry_of(inner), list(by_entry), limits, windows)
    for entry, content in read:
        yield from ((row, content) for row in by_entry[entry])


def _read_stream(members: pa.Table, limits: Limits, done: pa.ChunkedArray, moves: Moves) -> Iterator[pa.Table]:
    """Read an archive from front to back; its last row has its listing."""
    [row] = members.slice(0, 1).to_pylist()
    listing, inner = Listing(row["archive"], row["version"]), _nested_stream(row)
    place = moves.place_of(row["archive"])
    if row["entry"] != "stream":
        left = set(members["image_id"].to_pylist())
        archive = StreamedArchive(listing, lambda image_id: image_id not in left, limits, place)
        yield from _read_known_stream(members, place, archive.photos(inner))
        return
    is_done: Callable[[str], bool] = set(done.to_pylist()).__contains__
    yield from _pass_unchanged(row, place, StreamedArchive(listing, is_done, limits, place).photos(inner))
    yield pa.Table.from_pylist([row | {"entry": "end", "ended": encode_listing(listing.table(inner))}], schema=READ)


def _read_known_stream(members: pa.Table, place: str, photos: Iterator[RowContent]) -> Iterator[pa.Table]:
    """Pass on some photos of a stream whose photos are known; yield each of them, at least as a failure."""
    left = set(members["image_id"].to_pylist())
    for table in _pass_unchanged(members.slice(0, 1).to_pylist()[0], place, photos):
        left.difference_update(table["image_id"].to_pylist())
        yield table
    missing = DataError("read", "member_unreadable", "The archive does not yield this photo any more.")
    is_left = pc.is_in(members["image_id"], pa.array(left, pa.string()))
    yield from (_photo_table(row, missing) for row in members.filter(is_left).to_pylist())


@dataclass
class _Unchecked:
    """Photos that wait for the next check of their archive."""

    photos: list[RowContent] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, row: Row, content: Content) -> bool:
        """Add a photo; tell whether the next check is due."""
        self.photos.append((row, content))
        self.size_bytes += len(content) if isinstance(content, bytes) else 0
        return self.size_bytes >= CHECKED_BYTES


def _pass_unchanged(of: Row, place: str, photos: Iterator[RowContent]) -> Iterator[pa.Table]:
    """Pass photos on while the archive is still the listed one; loose photos are checked one by one when read."""
    unchecked = _Unchecked()
    for row, content in photos:
        if unchecked.add(row, content):
            yield from _check(of, place, unchecked)
            unchecked = _Unchecked()
    yield from _check(of, place, unchecked)


def _check(of: Row, place: str, unchecked: _Unchecked) -> Iterator[pa.Table]:
    is_checked = unchecked.photos and is_archive(of["archive"])
    changed = _find_change(place, of["version"]) if is_checked else None
    for row, content in unchecked.photos:
        yield _photo_table(row, changed or content)


def _find_change(url: str, version: str) -> DataError | None:
    """Return why the photos of an archive fail that is not the listed one any more; None if it is."""
    try:
        if storage.stat(url).version == version:
            return None
    except NotFoundError as error:
        return explain_missing(url, error)
    return DataError("read", "archive_changed", f"{storage.name(url)} was replaced while it was read.")


def _photo_table(row: Row, content: Content | None) -> pa.Table:
    if isinstance(content, DataError):
        return pa.Table.from_pylist([row | content.columns()], schema=READ)
    return pa.Table.from_pylist([row | {"data": content}], schema=READ)
