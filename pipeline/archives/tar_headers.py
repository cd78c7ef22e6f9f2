"""The headers of a tar, from front to back: ustar, GNU and PAX.

Stricter than `tarfile`, which takes a damaged header for the end of the archive without an error, keeps every header in
memory, and believes the claims of hostile headers. Sources of the layout: POSIX.1-2017 `pax`, and GNU tar's `tar.h`.
`tar_reader` and `compressed_tar` read the bytes.
"""

import tarfile
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from pipeline.archives.members import Entry
from pipeline.core.counts import count_of
from pipeline.core.errors import DataError

BLOCK_BYTES = tarfile.BLOCKSIZE
_ZEROS = bytes(BLOCK_BYTES)
MAX_EXTENDED_BYTES = 1 << 20
"""Longest name, and longest PAX record, to read; Linux has paths of at most 4,096 bytes."""
MAX_RECORDS_BYTES = 256 << 20
"""Longest set of PAX records: a resource fork or other extended attribute in it, which is skipped, may be long."""
MAX_PADDING_BYTES = 1 << 20
"""Most zeros at the end: tars are padded to 10 KiB, on tape to more; a longer end has lost photos."""

_RECORD_BYTES = 1 << 16
"""PAX records to hold in memory at a time."""
_KEYWORD_BYTES = 1 << 12
"""Longest beginning of a PAX record, up to its value; Linux has names of attributes of at most 255 bytes."""
_NEEDED = {b"path", b"linkpath", b"size"}
"""PAX keywords whose values mean something here."""
_SPARSE = "GNU.sparse"

_PAX = {tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE}
_LONG_NAMES = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
_DEVICES = {tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE}
_WITHOUT_DATA = _DEVICES | {tarfile.LNKTYPE, tarfile.DIRTYPE}
_NO_FILES = {tarfile.DIRTYPE, b"D", b"V", b"A", b"E"}
"""Folders, GNU's lists of what was in them, labels, and Solaris' access lists and attributes."""
_CONTINUED = b"M"


class Cursor(Protocol):
    """Reads a tar from front to back."""

    position: int

    def read(self, size_bytes: int) -> bytes:
        """Read on; return less if the tar ends before."""

    def skip_to(self, position: int) -> None:
        """Skip to a position; raise `tarfile.ReadError` if the tar ends before it."""

    def check_rest(self) -> None:
        """Read to the end; raise `tarfile.ReadError` if more than padding follows."""


class Header(NamedTuple):
    """The header of one file, completed by the extended headers before it."""

    name: str
    type: bytes
    target: str
    """Target of a link."""
    size_bytes: int
    """Of the data after the header."""
    position: int
    """Start of the data."""
    is_sparse: bool

    @property
    def next_position(self) -> int:
        """Where the next header begins."""
        return self.position + _round_up(self.size_bytes)


def read_headers(cursor: Cursor) -> Iterator[Header]:
    """Yield the headers; between two of them the caller may move the cursor through the data.

    Raises:
        tarfile.ReadError: the tar is damaged, or ends without the mark of its end.
    """
    while header := read_header(cursor):
        yield header
        cursor.skip_to(header.next_position)


def read_header(cursor: Cursor) -> Header | None:
    """Read the header of the next file with the extended headers before it; None at the mark of the tar's end.

    What it returns depends on nothing but the position and the bytes from there on. So the headers of one tar may be
    read in any order.

    Raises:
        tarfile.ReadError: as for `read_headers`.
    """
    extended: dict[str, str] = {}
    while block := cursor.read(BLOCK_BYTES):
        if not extended and is_zeros(block):
            cursor.check_rest()
            return None
        info = _parse_header(block, cursor.position - BLOCK_BYTES)
        if info.type in _PAX or info.type in _LONG_NAMES:
            extended |= _read_extended(cursor, info)
            continue
        header = _complete_header(cursor, block, info, extended)
        if info.type != tarfile.XGLTYPE:  # records about all files: mostly comments, never names
            return header
        cursor.skip_to(header.next_position)
    raise tarfile.ReadError("it ends without the zeros that mark its end")


def is_zeros(block: bytes) -> bool:
    """Tell whether a block is one of those that mark the end of a tar."""
    return block == _ZEROS


def is_header(block: bytes) -> bool:
    """Tell whether a block is the header of a file, by its checksum."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def make_entry(header: Header, files: Mapping[str, Entry]) -> Entry | None:
    """Return the entry of a header, None for a folder.

    Args:
        header: of a file, folder or link.
        files: entries before it by name, the possible targets of a hard link.
    """
    if header.type in _NO_FILES or (header.type != tarfile.LNKTYPE and header.name.endswith("/")):
        return None
    target = files.get(header.target) or files.get(header.target.removeprefix("./"))  # cpio strips it from names only
    if header.type == tarfile.LNKTYPE and target is not None:
        return target._replace(path=header.name)
    return Entry(
        path=header.name,
        size_bytes=header.size_bytes,
        position=header.position,
        stored_bytes=header.size_bytes,
        is_link=header.type in _DEVICES,
        failure=_find_failure(header),
    )


def _find_failure(header: Header) -> DataError | None:
    if header.type == tarfile.LNKTYPE:
        found = f"The hard link leads to {header.target!r}, which does not stand before it in the tar."
        return DataError("read", "member_unreadable", found)
    if header.type == _CONTINUED:
        found = "The file is the end of one that begins in another part of this tar."
        return DataError("read", "member_unreadable", found)
    if header.is_sparse:
        found = (
            "The file is stored without its zeros (GNU sparse), which cannot be read. Pack it without `tar --sparse`."
        )
        return DataError("read", "unsupported_compression", found)
    return None


def _parse_header(block: bytes, position: int) -> tarfile.TarInfo:
    """Parse a header and check its checksum."""
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise tarfile.ReadError(f"{error} at byte {position:,}") from error
    if info.size < 0:  # would send a reader back, in an endless loop (CVE-2025-8194)
        raise tarfile.ReadError(f"negative size at byte {position:,}")
    return info


def _complete_header(cursor: Cursor, block: bytes, info: tarfile.TarInfo, extended: Mapping[str, str]) -> Header:
    name = info.name
    if block[257:265] == b"ustar  \0":  # GNU's form keeps times where others keep the front of a long name
        name = block[:100].partition(b"\0")[0].decode("utf-8", "surrogateescape")
    size_text = extended.get("size") or str(info.size)
    if not (size_text.isascii() and size_text.isdecimal()):
        raise tarfile.ReadError(f"a file of {size_text!r} bytes before byte {cursor.position:,}")
    if info.type == tarfile.GNUTYPE_SPARSE:
        _skip_sparse_map(cursor, block)
    return Header(
        name=extended.get("path") or name,
        type=info.type,
        target=extended.get("linkpath") or info.linkname,
        size_bytes=0 if info.type in _WITHOUT_DATA else int(size_text),
        position=cursor.position,
        is_sparse=info.type == tarfile.GNUTYPE_SPARSE or _SPARSE in extended,
    )


def _skip_sparse_map(cursor: Cursor, block: bytes) -> None:
    """Skip the blocks that say where a sparse file has data."""
    is_continued = block[482]
    while is_continued:
        block = cursor.read(BLOCK_BYTES)
        if len(block) < BLOCK_BYTES:
            raise tarfile.ReadError("it ends within a header")
        is_continued = block[504]


def _read_extended(cursor: Cursor, info: tarfile.TarInfo) -> dict[str, str]:
    """Read an extended header: its facts about the next file, by PAX keyword."""
    limit_bytes = MAX_EXTENDED_BYTES if info.type in _LONG_NAMES else MAX_RECORDS_BYTES
    if info.size > limit_bytes:
        found = f"{count_of(info.size, 'byte')} of headers before byte {cursor.position:,}"
        raise tarfile.ReadError(f"{found}; at most {limit_bytes:,} are read")
    end = cursor.position + _round_up(info.size)
    if keyword := _LONG_NAMES.get(info.type):
        extended = {keyword: cursor.read(info.size).partition(b"\0")[0].decode("utf-8", "surrogateescape")}
    else:
        extended = dict(_Records(cursor, info.size).read_needed())
    cursor.skip_to(end)
    return extended


class _Records:
    """A set of PAX records: length, keyword and value, as in `30 mtime=1350244992.023960108` and a newline."""

    def __init__(self, cursor: Cursor, size_bytes: int) -> None:
        self._cursor = cursor
        self._end = cursor.position + size_bytes
        self._data = b""
        self._at = 0
        """Start of the next record in the data."""

    def read_needed(self) -> Iterator[tuple[str, str]]:
        """Yield the records that mean something here; skip the others."""
        while self._fill(_KEYWORD_BYTES):
            digits = self._data[self._at : self._at + 20].partition(b" ")[0]
            keyword_at = self._at + len(digits) + 1
            keyword, equals, _ = self._data[keyword_at : self._at + _KEYWORD_BYTES].partition(b"=")
            value_at = keyword_at - self._at + len(keyword) + 1
            length = int(digits) if digits.isdigit() else 0
            if not equals or not value_at < length <= self._left_bytes:
                raise self._make_damage()
            if keyword.startswith(b"GNU.sparse."):
                yield _SPARSE, ""
            if keyword in _NEEDED:
                yield keyword.decode(), self._take_value(value_at, length)
            else:
                self._skip(length)

    @property
    def _left_bytes(self) -> int:
        return len(self._data) - self._at + self._end - self._cursor.position

    def _fill(self, size_bytes: int) -> int:
        """Hold at least so many bytes, if there are any left; return how many there are."""
        held_bytes = len(self._data) - self._at
        if held_bytes < size_bytes and self._cursor.position < self._end:
            read_bytes = min(max(size_bytes, _RECORD_BYTES), self._left_bytes) - held_bytes
            self._data = self._data[self._at :] + self._cursor.read(read_bytes)
            self._at = 0
        return len(self._data) - self._at

    def _take_value(self, value_at: int, length: int) -> str:
        if length > MAX_EXTENDED_BYTES:
            found = f"a record of {count_of(length, 'byte')} before byte {self._cursor.position:,}"
            raise tarfile.ReadError(f"{found}; at most {MAX_EXTENDED_BYTES:,} are read")
        self._fill(length)
        record = self._data[self._at : self._at + length]
        self._skip(length)
        return record[value_at:-1].decode("utf-8", "surrogateescape")

    def _skip(self, length: int) -> None:
        """Skip a record, and check the newline at its end."""
        beyond_bytes = self._at + length - len(self._data)
        if beyond_bytes > 0:
            self._cursor.skip_to(self._cursor.position + beyond_bytes - 1)
            self._data, self._at = self._cursor.read(1), 1
        else:
            self._at += length
        if self._data[self._at - 1 : self._at] != b"\n":
            raise self._make_damage()

    def _make_damage(self) -> tarfile.ReadError:
        return tarfile.ReadError(f"damaged PAX records before byte {_round_up(self._end):,}")


def _round_up(size_bytes: int) -> int:
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES
