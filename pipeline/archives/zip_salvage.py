"""The members of a zip that has lost its directory, found through the local header before each one.

It goes from front to back once, by byte ranges, and searches for the end of a member if its header has no size.
`zip_directory` lists a zip that has its directory.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.archives.members import Entry, Limits
from pipeline.archives.zip_directory import LOCAL_BYTES, find_refusal, read_zip64
from pipeline.archives.zip_names import decode_name
from pipeline.storage.byte_ranges import RangeReader, ReadAhead

PIECE_BYTES = 1 << 20
"""Bytes to search at a time for the end of a member."""

_LOCAL = struct.Struct("<4s2xHH4x3L2H")
_HAS_DESCRIPTOR = 8
_DESCRIPTOR = b"PK\7\x08"
_SHORT, _LONG = struct.Struct("<3L"), struct.Struct("<L2Q")
_OVERLAP_BYTES = len(_DESCRIPTOR) + _LONG.size
_LIMITS = Limits()


class _Extent(NamedTuple):
    """The sizes, checksum and end of a member."""

    crc32: int
    stored_bytes: int
    size_bytes: int
    next_position: int


def salvage(source: RangeReader) -> Iterator[Entry]:
    """List the files before the end of the zip, wherever it was cut."""
    ahead, position = ReadAhead(source), 0
    while found := _read_entry(ahead, position):
        entry, position = found
        if position > source.size_bytes:
            return
        if not entry.path.endswith("/"):
            yield entry


def _read_entry(ahead: ReadAhead, position: int) -> tuple[Entry, int] | None:
    """Return the entry of the header at a position, and the position of the next header."""
    header = ahead.read_at(position, LOCAL_BYTES)
    if len(header) < LOCAL_BYTES or not header.startswith(b"PK\3\4"):
        return None
    _, flags, method, crc32, stored, size, names, extras = _LOCAL.unpack(header)
    name_and_extra = ahead.read_at(position + LOCAL_BYTES, names + extras)
    name, extra = name_and_extra[:names], name_and_extra[names:]
    size, stored = read_zip64(extra, size, stored)
    start = position + LOCAL_BYTES + names + extras
    extent: _Extent | None = _Extent(crc32, stored, size, start + stored)
    if flags & _HAS_DESCRIPTOR and not stored:
        extent = _find_extent(ahead, start, method)
    if extent is None:
        return None
    entry = Entry(
        path=decode_name(name, extra, flags, host=None),  # only the directory has the host
        size_bytes=extent.size_bytes,
        position=position,
        stored_bytes=extent.stored_bytes,
        method=method,
        crc32=extent.crc32,
        failure=find_refusal(flags, method),
    )
    return entry, extent.next_position


def _find_extent(ahead: ReadAhead, start: int, method: int) -> _Extent | None:
    """Find the end of a member whose length is only in the descriptor behind it; None if that fails."""
    if method == 0:
        return _search_stored(ahead, start)
    return _search_deflated(ahead, start) if method == 8 else None


def _search_stored(ahead: ReadAhead, start: int) -> _Extent | None:
    """Search for a descriptor that states the length and the checksum of the bytes before it."""
    crc32 = length = 0
    while piece := ahead.read_at(start + length, PIECE_BYTES):
        checked, at = 0, piece.find(_DESCRIPTOR)
        while at >= 0:
            crc32, checked = zlib.crc32(piece[checked:at], crc32), at
            extent_here = _Extent(crc32, length + at, length + at, start + length + at)
            if extent := _match_descriptor(extent_here, piece[at : at + _OVERLAP_BYTES]):
                return extent
            at = piece.find(_DESCRIPTOR, at + 1)
        if len(piece) < PIECE_BYTES:
            return None
        kept = max(checked, len(piece) - _OVERLAP_BYTES)
        crc32, length = zlib.crc32(piece[checked:kept], crc32), length + kept
    return None


def _search_deflated(ahead: ReadAhead, start: int) -> _Extent | None:
    """Decompress to the end of the compressed data, and compare with the descriptor that follows."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    crc32 = size = read_bytes = 0
    while not inflater.eof:
        data = inflater.unconsumed_tail or ahead.read_at(start + read_bytes, PIECE_BYTES)
        read_bytes += 0 if inflater.unconsumed_tail else len(data)
        try:
            content = inflater.decompress(data, PIECE_BYTES)
        except zlib.error:
            return None
        crc32, size = zlib.crc32(content, crc32), size + len(content)
        if not data or size > max(_LIMITS.ratio_from_bytes, _LIMITS.ratio * read_bytes):
            return None
    length = read_bytes - len(inflater.unused_data)
    return _match_descriptor(
        _Extent(crc32, length, size, start + length), ahead.read_at(start + length, _OVERLAP_BYTES)
    )


def _match_descriptor(extent: _Extent, found: bytes) -> _Extent | None:
    """Return the extent with the position of the next header, if the descriptor agrees with it, else None."""
    bare = found.removeprefix(_DESCRIPTOR)
    for form in (_SHORT, _LONG):
        if len(bare) >= form.size and form.unpack_from(bare) == extent[:3]:
            return extent._replace(next_position=extent.next_position + len(found) - len(bare) + form.size)
    return None
