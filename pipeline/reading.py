"""The work of reading, cut into units, and one unit done: its photos out of their archive.

Stands apart from `flow` so that the workers that only read never load torch: seconds and half a gigabyte each.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives import read_members, reader_of
from pipeline.members import Member
from pipeline.schema import READ

UNIT_BYTES = 32 << 20
"""One reading task gets about this much of an archive: seconds of work, so that many share one archive …"""
UNIT_PHOTOS = 256
"""… and at most this many photos, so that opening each costs little beside the rest."""


def units(members: pa.Table) -> Iterator[pa.Table]:
    """Split photos into the work of one reading task each: of one archive, and bounded unless it must be streamed."""
    members = members.combine_chunks()
    starts = np.flatnonzero(pc.not_equal(members["archive"][1:], members["archive"][:-1])) + 1
    for first, end in zip([0, *starts], [*starts, members.num_rows], strict=True):
        of_archive = members.slice(first, end - first)
        if reader_of(of_archive["archive"][0].as_py()).streams:
            yield of_archive
        else:
            yield from _bounded(of_archive)


def read_unit(members: pa.Table) -> Iterator[pa.Table]:
    """Read photos; one that cannot be read comes with the reason instead of its bytes.

    Shape: schema `MEMBERS`, of one archive → tables of schema `READ`, one photo each.
    """
    rows = members.to_pylist()
    yield from (_photo(row, None) for row in rows if row["failure_stage"] is not None)
    readable = {member_of(row): row for row in rows if row["failure_stage"] is None}
    if not readable:
        return
    for member, data in read_members(rows[0]["archive"], readable):
        if isinstance(data, bytes):
            yield _photo(readable[member], data)
        else:
            yield _photo(readable[member] | data.columns(), None)


def _photo(row: dict[str, object], data: bytes | None) -> pa.Table:
    return pa.Table.from_pylist([row | {"data": data}], schema=READ)


def member_of(row: dict[str, object]) -> Member:
    """Return the archive member that a row of the plan stands for."""
    fields = {name: row[name] for name in ("occurrence", "size_bytes", "position", "version")}
    return Member(path=row["path"].decode("utf-8", "surrogateescape"), **fields)  # type: ignore[attr-defined,arg-type]


def _bounded(members: pa.Table) -> Iterator[pa.Table]:
    first, size_bytes = 0, 0
    for index, size in enumerate(members["size_bytes"].to_pylist()):
        if index > first and (size_bytes + size > UNIT_BYTES or index - first == UNIT_PHOTOS):
            yield members.slice(first, index - first)
            first, size_bytes = index, 0
        size_bytes += size
    yield members.slice(first)
