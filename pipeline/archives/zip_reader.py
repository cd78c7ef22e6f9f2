"""The reader of zip files, by byte ranges.

`zip_directory` finds the members; `zip_salvage` does if the directory is missing.
"""

import bz2
import lzma
import struct
import zlib
from collections.abc import Iterator, Sequence
from zipfile import BadZipFile

from pipeline.archives.members import DAMAGED, Content, Entry, Limits
from pipeline.archives.zip_directory import LOCAL_BYTES, find_directory, parse_entries
from pipeline.archives.zip_salvage import salvage
from pipeline.core.counts import count_of
from pipeline.core.errors import DataError
from pipeline.storage.byte_ranges import (
    BytesRangeReader,
    RangeReader,
    Window,
    double_check,
    read_together,
    read_whole,
)

SLACK_BYTES = 256
"""Bytes to read beyond a member's listed size: its local header has extra fields of its own, mostly 28 bytes."""
_MAX_SLACK_BYTES = 2 * 0xFFFF

_LOCAL = struct.Struct("<4s4xH4x3L2H")


class ZipReader:
    """Reads a zip."""

    def __init__(self, source: RangeReader) -> None:
        self._source = source

    def entries(self) -> Iterator[Entry]:
        """List the directory; without one, list the members found without it, then raise."""
        source = double_check(self._source)
        try:
            directory = find_directory(source)
        except BadZipFile:
            yield from salvage(source)
            raise
        yield from parse_entries(directory)

    def read(self, entries: Sequence[Entry], limits: Limits) -> Iterator[tuple[Entry, Content]]:
        """Read members, neighbours together, and check sizes and checksums."""
        readable = []
        for entry in sorted(entries, key=lambda entry: entry.position):
            try:
                _check_readable(entry, limits)
                readable.append(entry)
            except DataError as error:
                yield entry, error
        places = [(entry.position, self._end(entry, SLACK_BYTES)) for entry in readable]
        for entry, found in zip(readable, read_together(self._source, places), strict=True):
            yield entry, self._unpack_or_reread(entry, found)

    def open_member(self, entry: Entry, limits: Limits) -> RangeReader:
        """Open a member: as a window if it is stored, else decompressed in memory."""
        if entry.method:
            _check_readable(entry, limits, nested=True)
            content = self._unpack_or_reread(entry, b"")
            if isinstance(content, DataError):
                raise content
            return BytesRangeReader(entry.path, content)
        if entry.failure:
            raise entry.failure
        place = (entry.position, entry.position + LOCAL_BYTES + _MAX_SLACK_BYTES)
        [header] = double_check(self._source).read([place])
        start = entry.position + _find_data(entry, header)
        _check_sizes(entry, header)
        return Window(self._source, start, start + entry.stored_bytes, entry.path)

    def _unpack_or_reread(self, entry: Entry, found: bytes) -> Content:
        """Unpack a member; if that fails, read the member alone once more.

        A byte may have been damaged on its way, or the member's header may be longer than expected.
        """
        try:
            return _unpack(entry, found)
        except DataError:
            found_again = read_whole(self._source, entry.position, self._end(entry, _MAX_SLACK_BYTES))
        try:
            return _unpack(entry, found_again)
        except DataError as error:
            return error

    def _end(self, entry: Entry, slack_bytes: int) -> int:
        name_bytes = len(entry.path.encode("utf-8", "surrogateescape"))
        end = entry.position + LOCAL_BYTES + name_bytes + slack_bytes + entry.stored_bytes
        return min(end, self._source.size_bytes)


def _check_readable(entry: Entry, limits: Limits, *, nested: bool = False) -> None:
    if entry.failure:
        raise entry.failure
    limits.check(entry, nested=nested)


def _unpack(entry: Entry, found: bytes) -> bytes:
    """Cut a member's data out of bytes that begin with its header, decompress it, check size and checksum."""
    start = _find_data(entry, found)
    data = found[start : start + entry.stored_bytes]
    if len(data) < entry.stored_bytes:
        raise _unreadable(f"only {len(data):,} of its {entry.stored_bytes:,} bytes are there")
    try:
        content = _decompress(entry, data)
    except DAMAGED as error:
        raise _unreadable(f"its {count_of(entry.stored_bytes, 'byte')} cannot be decompressed: {error}") from error
    if len(content) != entry.size_bytes:
        raise _unreadable(f"it does not have the {count_of(entry.size_bytes, 'byte')} that it should have")
    if entry.crc32 is not None and zlib.crc32(content) != entry.crc32:
        raise _unreadable("its checksum is not the one that was stored with it")
    return content


def _find_data(entry: Entry, found: bytes) -> int:
    """Return where the data begin: behind a header whose name and extra fields may differ from the directory's."""
    if len(found) < LOCAL_BYTES or not found.startswith(b"PK\3\4"):
        raise _unreadable(f"its header is not at byte {entry.position:,}")
    *_, names, extras = _LOCAL.unpack_from(found)
    return LOCAL_BYTES + int(names) + int(extras)


def _check_sizes(entry: Entry, found: bytes) -> None:
    """Refuse a header with another method or size than the directory has: a window has no checksum to decide."""
    _, method, _, stored, size, _, _ = _LOCAL.unpack_from(found)
    unknown = {0, 0xFFFFFFFF}  # the size is in a data descriptor behind the member, or in a zip64 field
    fits = stored in unknown | {entry.stored_bytes} and size in unknown | {entry.size_bytes}
    if method != entry.method or not fits:
        raise _unreadable("its header and the archive's directory disagree")


def _decompress(entry: Entry, data: bytes) -> bytes:
    """Decompress at most one byte more than the listed size."""
    max_bytes = entry.size_bytes + 1
    match entry.method:
        case 0:
            return data
        case 8:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, max_bytes)
        case 12:
            return bz2.BZ2Decompressor().decompress(data, max_bytes)
        case 14:
            return _decompress_lzma(data, entry.size_bytes)
    raise NotImplementedError(f"method {entry.method}")


def _decompress_lzma(data: bytes, size_bytes: int) -> bytes:
    """Decompress LZMA as in a zip, which begins with version, length and properties (APPNOTE 5.8.8)."""
    length, properties, dictionary_bytes = struct.unpack_from("<2xHBL", data)
    rest, lc = divmod(properties, 9)
    pb, lp = divmod(rest, 5)
    # The data use no more of a dictionary than they have bytes, and it may claim 4 GiB.
    used_bytes = min(dictionary_bytes, max(size_bytes, 1 << 12))
    settings = {"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": max(used_bytes, 1 << 12)}
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[settings]).decompress(data[4 + length :], size_bytes)


def _unreadable(reason: str) -> DataError:
    return DataError("read", "member_unreadable", f"The zip member cannot be read: {reason}.")
