"""The central directory of a zip: its position, and its entries.

Source of the layout: PKWARE's APPNOTE.TXT, sections 4.3.7 to 4.3.16 and 4.5.3. `zip_names` decodes the names, and
`zip_reader` reads the members.
"""

import stat
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np

from pipeline.archives.members import Entry
from pipeline.archives.zip_names import decode_name, find_extra_field
from pipeline.core.counts import count_of
from pipeline.core.errors import DataError
from pipeline.storage.byte_ranges import RangeReader, read_whole

METHODS = {0: "stored", 8: "deflated", 12: "bzip2", 14: "LZMA"}
"""Readable compression methods."""

MAX_DIRECTORY_BYTES = 1 << 30
"""Largest directory to hold in memory; it lists some ten million members."""

LOCAL_BYTES = 30
"""Size of the local header before each member, without the name in it."""

_END = struct.Struct("<4x4H2LH")
_LOCATOR = struct.Struct("<4xLQL")
_END64 = struct.Struct("<4x8x4x2L4Q")
_RECORD = struct.Struct("<LxB2xHH4x3L3H4x2L")
_TAIL_BYTES = _END64.size + _LOCATOR.size + _END.size + 0xFFFF
_RECORD_SIGNATURE = 0x02014B50
_DIGITAL_SIGNATURE = b"PK\5\5"
_WRAP_BYTES = 1 << 32
_CUT_SHORT = "its directory is cut short"
_FAR = 1 << 61  # beyond the end of any file; twice as much is still an int64
_ENCRYPTED = 0x2041  # bits 0, 6 and 13: encryption, strong encryption, encrypted directory


@dataclass(frozen=True)
class Directory:
    """A central directory, as the end of a zip describes it."""

    start: int
    """Its position in the source; no member reaches beyond."""
    records: bytes
    count: int
    """Stated number of members …"""
    count_bits: int
    """… of which the end of the zip holds only this many bits."""
    shift: int
    """Bytes before the zip, as in an archive that extracts itself."""
    wraps: bool
    """Whether positions begin again at 0 after 4 GiB, as the macOS Finder writes large zips."""


class Record(NamedTuple):
    """The record of one member in the directory."""

    host: int
    """The system that made the member (APPNOTE 4.4.2)."""
    flags: int
    method: int
    crc32: int
    stored_bytes: int
    size_bytes: int
    name: bytes
    extra: bytes
    attributes: int
    position: int


def find_directory(source: RangeReader) -> Directory:
    """Find the directory through the record at the end of the zip.

    Raises:
        BadZipFile: there is none, or it is not where it should be.
    """
    tail_start = max(0, source.size_bytes - _TAIL_BYTES)
    [tail] = source.read([(tail_start, source.size_bytes)])
    at = _find_end(tail)
    disk, directory_disk, _, count, size_bytes, start, _ = _END.unpack_from(tail, at)
    end, count_bits = tail_start + at, 16
    if tail[max(0, at - _LOCATOR.size) : at].startswith(b"PK\6\7"):
        end, (disk, directory_disk, _, count, size_bytes, start) = _find_end64(source, tail, at)
        count_bits = 64
    if disk or directory_disk:
        raise BadZipFile(
            "it is one of several parts of a zip; join them with zip -s 0 FILE --out WHOLE, or unpack them"
        )
    shift = _find_shift(source, end - size_bytes, start, count)
    if size_bytes > MAX_DIRECTORY_BYTES:
        raise BadZipFile(f"its directory has {size_bytes:,} bytes; at most {MAX_DIRECTORY_BYTES:,} are read")
    begin = start + shift
    records = tail[begin - tail_start :][:size_bytes] if begin >= tail_start else None
    if records is None:
        records = read_whole(source, begin, begin + size_bytes)
    wraps = count_bits == 16 and shift > 0 and shift % _WRAP_BYTES == 0
    return Directory(begin, records, count, count_bits, 0 if wraps else shift, wraps)


def parse_entries(directory: Directory) -> Iterator[Entry]:
    """List the files of a directory, in its order.

    Raises:
        BadZipFile: it is damaged; the entries before the damage are listed first.
    """
    overlaps = _find_overlaps(directory)
    number = -1
    for number, (host, flags, method, crc32, stored, size, name, extra, attributes, position) in enumerate(
        _parse_records(directory)
    ):
        path = decode_name(name, extra, flags, host)
        if path[-1:] == "/":
            continue
        failure = None
        if position + LOCAL_BYTES + stored > directory.start:
            failure = DataError("read", "member_unreadable", "The zip member would lie outside its archive.")
        elif overlaps[number]:
            found = "The zip member reaches into the next one, as in a zip bomb."
            failure = DataError("read", "member_unreadable", found)
        elif flags & _ENCRYPTED or method not in METHODS:
            failure = find_refusal(flags, method)
        is_link = stat.S_ISLNK(attributes >> 16)
        # Positional arguments, not keywords, save a quarter of a second for a million members.
        yield Entry(path, size, position, stored, method, crc32, "", is_link, failure)
    if (number + 1) % (1 << directory.count_bits) != directory.count:
        raise BadZipFile(f"its directory shows {count_of(number + 1, 'member')} and should show {directory.count:,}")


def find_refusal(flags: int, method: int) -> DataError | None:
    """Return why a member cannot be decoded, None if it can."""
    if flags & _ENCRYPTED or method == 99:
        return DataError("read", "encrypted", "The zip member is protected by a password. Decrypt the archive first.")
    if method not in METHODS:
        known = ", ".join(METHODS.values())
        return DataError(
            "read", "unsupported_compression", f"The zip member is compressed by method {method}; {known} can be read."
        )
    return None


def _find_overlaps(directory: Directory) -> bytes:
    """Return for every member whether its bytes reach into the next one in the file.

    Names do not count: that in the local header may be longer or shorter than that in the directory, where another tool
    has rewritten it in another encoding. All members that do not overlap have together no more bytes than the file.
    """
    starts, ends = array("q"), array("q")
    try:
        for record in _parse_records(directory):
            starts.append(record.position)
            ends.append(record.position + LOCAL_BYTES + record.stored_bytes)
    except BadZipFile:
        pass  # `parse_entries` gets as far, and raises
    order = np.argsort(starts, kind="stable")
    following = np.append(np.asarray(starts)[order][1:], 2 * _FAR)
    overlaps = np.empty(len(order), np.bool_)
    overlaps[order] = np.asarray(ends)[order] > following
    return overlaps.tobytes()


def _parse_records(directory: Directory) -> Iterator[Record]:
    """Parse the directory; a large zip has a million records, so this loop must be fast."""
    data, size_bytes, unpack = directory.records, len(directory.records), _RECORD.unpack_from
    at, shift, last = 0, directory.shift, 0
    while at < size_bytes and data[at : at + 4] != _DIGITAL_SIGNATURE:
        if at + _RECORD.size > size_bytes:
            raise BadZipFile(_CUT_SHORT)
        signature, host, flags, method, crc32, stored, size, names, extras, comments, attributes, position = unpack(
            data, at
        )
        if signature != _RECORD_SIGNATURE:
            raise BadZipFile(f"its directory is damaged at byte {directory.start + at:,}")
        at += _RECORD.size
        name, extra = data[at : at + names], data[at + names : at + names + extras]
        at += names + extras + comments
        if at > size_bytes:
            raise BadZipFile(_CUT_SHORT)
        if _WRAP_BYTES - 1 in (size, stored, position):
            size, stored, position = read_zip64(extra, size, stored, position)
        if directory.wraps and position + shift < last:
            shift += _WRAP_BYTES
        last = position + shift
        yield Record(host, flags, method, crc32, stored, size, name, extra, attributes, last)


def read_zip64(extra: bytes, *values: int) -> list[int]:
    """Replace the values that are all ones, and so did not fit into 32 bits, by those of the zip64 field."""
    field = find_extra_field(extra, 1)
    numbers = iter([min(number, _FAR) for (number,) in struct.iter_unpack("<Q", field[: len(field) // 8 * 8])])
    return [next(numbers, value) if value == _WRAP_BYTES - 1 else value for value in values]


def _find_end(tail: bytes) -> int:
    """Find the record that ends a zip: its comment reaches to the end of the file, or else junk follows."""
    at = last = tail.rfind(b"PK\5\6", 0, len(tail) - _END.size + 4)
    while at >= 0:
        if at + _END.size + _END.unpack_from(tail, at)[-1] == len(tail):
            return at
        at = tail.rfind(b"PK\5\6", 0, at + 3)
    if last < 0:
        raise BadZipFile("it has no directory at its end")
    return last


def _find_end64(source: RangeReader, tail: bytes, at: int) -> tuple[int, tuple[int, ...]]:
    """Find the zip64 record, before its locator or at the position in it; return its position and fields."""
    _, stated, disks = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)
    if disks > 1:
        raise BadZipFile(
            "it is one of several parts of a zip; join them with zip -s 0 FILE --out WHOLE, or unpack them"
        )
    before = source.size_bytes - len(tail) + at - _LOCATOR.size - _END64.size
    for position in (before, stated):
        [record] = source.read([(max(0, position), max(0, position) + _END64.size)])
        if record.startswith(b"PK\6\6") and len(record) == _END64.size:
            return position, _END64.unpack(record)
    raise BadZipFile("its zip64 record is missing")


def _find_shift(source: RangeReader, begin: int, stated: int, count: int) -> int:
    """Return how far the directory is behind its stated position."""
    for position in (begin, stated):
        if position >= 0 and (not count or source.read([(position, position + 4)]) == [b"PK\1\2"]):
            shift = position - stated
            if shift < 0:
                raise BadZipFile(f"{count_of(-shift, 'byte is', 'bytes are')} missing before its directory")
            if shift % _WRAP_BYTES and source.read([(0, 4)]) == [b"PK\3\4"]:
                raise BadZipFile("it ends with the directory of a zip inside it, and its own is missing")
            return shift
    raise BadZipFile("its directory is not where its end says")
