"""What is left of a zip that has lost its directory: its members, found by the header before each one.

Goes from front to back once, by ranges; where a header does not tell how long its member is, the member is gone
through. Where the directory is still there is the business of `zip_directory`.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.archives.members import Entry, Limits
from pipeline.archives.zip_directory import LOCAL_BYTES, large, name_of, refusal
from pipeline.storage.byte_ranges import RangeReader, ReadAhead

PIECE_BYTES = 1 << 20
"""Gone through at a time, where a member's end must be searched."""

_LOCAL = struct.Struct("<4s2xHH4x3L2H")
_HAS_DESCRIPTOR = 8
_DESCRIPTOR = b"PK\7\x08"
_SHORT, _LONG = struct.Struct("<3L"), struct.Struct("<L2Q")
_OVERLAP_BYTES = len(_DESCRIPTOR) + _LONG.size
_LIMITS = Limits()


class _Extent(NamedTuple):
    """Where a member ends, and what its descriptor tells."""

    crc32: int
    stored_bytes: int
    size_bytes: int
    next_position: int


def salvage(source: RangeReader) -> Iterator[Entry]:
    """List the files up to where the zip breaks off."""
    ahead, position = ReadAhead(source), 0
    while found := _entry_at(ahead, position):
        entry, position = found
        if position > source.size_bytes:
            return
        if not entry.path.endswith("/"):
            yield entry


def _entry_at(ahead: ReadAhead, position: int) -> tuple[Entry, int] | None:
    """Return the file whose header stands there, and where the next header should."""
    header = ahead.at(position, LOCAL_BYTES)
    if len(header) < LOCAL_BYTES or not header.startswith(b"PK\3\4"):
        return None
    _, flags, method, crc32, stored, size, names, extras = _LOCAL.unpack(header)
    name_and_extra = ahead.at(position + LOCAL_BYTES, names + extras)
    name, extra = name_and_extra[:names], name_and_extra[names:]
    size, stored = large(extra, size, stored)
    start = position + LOCAL_BYTES + names + extras
    extent: _Extent | None = _Extent(crc32, stored, size, start + stored)
    if flags & _HAS_DESCRIPTOR and not stored:
        extent = _gone_through(ahead, start, method)
    if extent is None:
        return None
    entry = Entry(
        path=name_of(name, extra),
        size_bytes=extent.size_bytes,
        position=position,
        stored_bytes=extent.stored_bytes,
        method=method,
        crc32=extent.crc32,
        failure=refusal(flags, method),
    )
    return entry, extent.next_position


def _gone_through(ahead: ReadAhead, start: int, method: int) -> _Extent | None:
    """Find the end of a member whose length stands only behind it, None where it cannot be found."""
    if method == 0:
        return _stored(ahead, start)
    return _deflated(ahead, start) if method == 8 else None


def _stored(ahead: ReadAhead, start: int) -> _Extent | None:
    """Search for the descriptor that states just the length and the checksum of what stands before it."""
    crc32 = length = 0
    while piece := ahead.at(start + length, PIECE_BYTES):
        checked, at = 0, piece.find(_DESCRIPTOR)
        while at >= 0:
            crc32, checked = zlib.crc32(piece[checked:at], crc32), at
            here = _Extent(crc32, length + at, length + at, start + length + at)
            if extent := _described(here, piece[at : at + _OVERLAP_BYTES]):
                return extent
            at = piece.find(_DESCRIPTOR, at + 1)
        if len(piece) < PIECE_BYTES:
            return None
        kept = max(checked, len(piece) - _OVERLAP_BYTES)
        crc32, length = zlib.crc32(piece[checked:kept], crc32), length + kept
    return None


def _deflated(ahead: ReadAhead, start: int) -> _Extent | None:
    """Decompress to where the compression says that it ends, and compare with the descriptor that follows."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    crc32 = size = given = 0
    while not inflater.eof:
        data = inflater.unconsumed_tail or ahead.at(start + given, PIECE_BYTES)
        given += 0 if inflater.unconsumed_tail else len(data)
        try:
            content = inflater.decompress(data, PIECE_BYTES)
        except zlib.error:
            return None
        crc32, size = zlib.crc32(content, crc32), size + len(content)
        if not data or size > max(_LIMITS.ratio_from_bytes, _LIMITS.ratio * given):
            return None
    length = given - len(inflater.unused_data)
    return _described(_Extent(crc32, length, size, start + length), ahead.at(start + length, _OVERLAP_BYTES))


def _described(extent: _Extent, found: bytes) -> _Extent | None:
    """Return where the next header stands, if a descriptor is found that tells what the extent does."""
    facts = extent[:3]
    bare = found.removeprefix(_DESCRIPTOR)
    for form in (_SHORT, _LONG):
        if len(bare) >= form.size and form.unpack_from(bare) == facts:
            return extent._replace(next_position=extent.next_position + len(found) - len(bare) + form.size)
    return None
