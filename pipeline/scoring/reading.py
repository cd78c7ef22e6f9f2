"""The work of reading, cut into units, and one unit done: its photos out of their archive.

Stands apart from `flow` so that the workers that only read never load torch: seconds and half a gigabyte each.
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
from pipeline.archives.members import Content, Entry, Limits, archive_suffix
from pipeline.archives.readers import is_stream, read_loose, read_members
from pipeline.archives.streaming import StreamedArchive
from pipeline.core.errors import DataError
from pipeline.core.log import capture
from pipeline.core.schema import READ
from pipeline.core.usage import measure, with_peak
from pipeline.scoring.placement import UNIT_BYTES

UNIT_PHOTOS = 256
"""One reading task gets at most so many photos: seconds of work."""
CHECKED_BYTES = 8 << 20
"""Photos are held until the archive was seen unchanged after they were read; this much of them."""

Row = dict[str, Any]


def units(members: pa.Table, unit_bytes: Callable[[int], int] = lambda _: UNIT_BYTES) -> Iterator[pa.Table]:
    """Split photos into the work of one reading task each.

    A unit lies in one archive, or in one nested archive, and is bounded. What is left of a stream that was read to its
    end before is one unit, however large: it is streamed once more.

    Args:
        members: schema `MEMBERS`.
        unit_bytes: how many bytes of photos a unit may have, by how many went before; it gets one photo at least.
    """
    before = 0
    for batch in members.to_batches():  # one by one: put together, a million rows would be copied
        for of_one_archive in _by_archive(pa.Table.from_batches([batch])):
            left = of_one_archive
            while left.num_rows:
                unit = left if is_of_stream(left) else left.slice(0, _fitting(left["size_bytes"], unit_bytes(before)))
                yield unit
                before += pc.sum(unit["size_bytes"]).as_py() or 0
                left = left.slice(unit.num_rows)


def _by_archive(members: pa.Table) -> Iterator[pa.Table]:
    streams = pa.array(filter(_is_streamed, members["archive"].unique().to_pylist()), pa.string())
    is_streamed = pc.is_in(members["archive"], streams)
    same = _as_before(members["archive"])
    for name in ("path", "position"):  # archives of one name may lie in one archive, and one under two names
        same = pc.and_(same, _as_before(pc.if_else(is_streamed, None, pc.struct_field(members["inner"], name))))
    starts = np.flatnonzero(~np.asarray(same)) + 1
    for first, end in zip([0, *starts], [*starts, members.num_rows], strict=True):
        yield members.slice(first, end - first)


def _fitting(sizes: pa.ChunkedArray, most_bytes: int) -> int:
    """Count the first photos that are so large together, at most; one at least."""
    together = np.cumsum(sizes.slice(0, UNIT_PHOTOS).to_numpy())
    return max(1, int(np.searchsorted(together, most_bytes, side="right")))


def is_of_stream(unit: pa.Table) -> bool:
    """Tell whether the photos of a unit can only be read by going through their archive from front to back."""
    [row] = unit.slice(0, 1).to_pylist()
    return _is_streamed(row["archive"]) or _stream_in(row) is not None


def read_unit(members: pa.Table, limits: Limits, done: pa.ChunkedArray) -> Iterator[pa.Table]:
    """Read photos; one that cannot be read comes with the reason instead of its bytes.

    Args:
        members: one of `units`.
        limits: what is read into memory.
        done: `image_id` of photos to leave out of a stream that was not read to its end before.

    Shape: schema `MEMBERS` → tables of schema `READ`, one photo each, and one row for the end of such a stream.
    """
    if is_of_stream(members):
        yield from _streamed(members, limits, done)
        return
    rows = members.to_pylist()
    yield from (_photo(row, None) for row in rows if row["failure_stage"] is not None)
    yield from _unchanged(rows[0], _read([row for row in rows if row["failure_stage"] is None], limits))


def read_measured(members: pa.Table, limits: Limits, done: pa.ChunkedArray) -> Iterator[pa.Table]:
    """Read photos as `read_unit` does, and say of each what it took and what was logged meanwhile."""
    tables = read_unit(members, limits, done)
    while True:
        with capture() as lines:
            table, effort = measure(partial(next, tables, None))
        if table is None:
            return
        for name, value in (("read_effort", vars(with_peak(effort))), ("log", lines)):
            place = READ.get_field_index(name)
            table = table.set_column(place, READ.field(name), pa.array([value], READ.field(name).type))
        yield table


def _as_before(column: pa.ChunkedArray) -> pa.Array:
    """Tell for each row but the first whether it has the value of the row before; null is a value."""
    now, before = column[1:], column[:-1]
    both_null = pc.and_(pc.is_null(now), pc.is_null(before))
    return pc.if_else(both_null, True, pc.fill_null(pc.equal(now, before), False))  # noqa: FBT003 - Arrow's


def _is_streamed(url: str) -> bool:
    return archive_suffix(url) is not None and is_stream(url)


def _stream_in(row: Row) -> Entry | None:
    """Return the nested archive of a row where that is a stream in an archive that is none."""
    inner = None if row["inner"] is None else entry_of(row["inner"])
    is_nested = inner is not None and not _is_streamed(row["archive"]) and is_stream(inner.path, inner.method)
    return inner if is_nested else None


def _read(rows: list[Row], limits: Limits) -> Iterator[tuple[Row, Content]]:
    """Read rows of one archive; two of them may be one file, under a name that repeats."""
    by_entry = dict[Entry, list[Row]]()
    for row in rows:
        by_entry.setdefault(entry_of(row), []).append(row)
    if not by_entry:
        return
    url, inner = rows[0]["archive"], rows[0]["inner"]
    if archive_suffix(url) is None:
        read = read_loose(url, list(by_entry), limits)
    else:
        read = read_members(url, None if inner is None else entry_of(inner), list(by_entry), limits)
    for entry, content in read:
        yield from ((row, content) for row in by_entry[entry])


def _streamed(members: pa.Table, limits: Limits, done: pa.ChunkedArray) -> Iterator[pa.Table]:
    """Read an archive from front to back, then say what it held."""
    [row] = members.slice(0, 1).to_pylist()
    listing, inner = Listing(row["archive"], row["version"]), _stream_in(row)
    if row["entry"] != "stream":
        yield from _streamed_again(members, listing, inner, limits)
        return
    is_done: Callable[[str], bool] = set(done.to_pylist()).__contains__
    yield from _unchanged(row, StreamedArchive(listing, is_done, limits).photos(inner))
    yield pa.Table.from_pylist([row | {"entry": "end", "ended": encode_listing(listing.table(inner))}], schema=READ)


def _streamed_again(members: pa.Table, listing: Listing, inner: Entry | None, limits: Limits) -> Iterator[pa.Table]:
    """Read some photos of an archive whose photos are known; each comes, if only as a failure."""
    left = set(members["image_id"].to_pylist())
    photos = StreamedArchive(listing, lambda image_id: image_id not in left, limits).photos(inner)
    for table in _unchanged(members.slice(0, 1).to_pylist()[0], photos):
        left.difference_update(table["image_id"].to_pylist())
        yield table
    missing = DataError("read", "member_unreadable", "The archive does not yield this photo any more.")
    is_left = pc.is_in(members["image_id"], pa.array(left, pa.string()))
    yield from (_photo(row, missing) for row in members.filter(is_left).to_pylist())


@dataclass
class _Held:
    """Photos that wait for their archive to be seen unchanged."""

    photos: list[tuple[Row, Content]] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, row: Row, content: Content) -> bool:
        """Take one more in; tell whether it is time to look."""
        self.photos.append((row, content))
        self.size_bytes += len(content) if isinstance(content, bytes) else 0
        return self.size_bytes >= CHECKED_BYTES


def _unchanged(of: Row, photos: Iterator[tuple[Row, Content]]) -> Iterator[pa.Table]:
    """Let photos through when the archive is still the one that was listed; loose photos are checked one by one."""
    held = _Held()
    for row, content in photos:
        if held.add(row, content):
            yield from _let_through(of, held)
            held = _Held()
    yield from _let_through(of, held)


def _let_through(of: Row, held: _Held) -> Iterator[pa.Table]:
    url = of["archive"]
    changed = None
    if held.photos and archive_suffix(url) is not None and storage.stat(url).version != of["version"]:
        changed = DataError("read", "archive_changed", f"{storage.name(url)} was replaced while it was read.")
    for row, content in held.photos:
        yield _photo(row, changed or content)


def _photo(row: Row, content: Content | None) -> pa.Table:
    if isinstance(content, DataError):
        return pa.Table.from_pylist([row | content.columns()], schema=READ)
    return pa.Table.from_pylist([row | {"data": content}], schema=READ)
