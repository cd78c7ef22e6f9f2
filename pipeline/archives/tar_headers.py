"""The headers of a tar, from front to back: ustar, GNU and PAX.

Stricter than `tarfile`, which takes a damaged header for the end of the archive without a word, keeps every header in
memory and follows what hostile ones claim. Sources of the layout: POSIX.1-2017 `pax`, and GNU tar's `tar.h`. Where the
bytes come from, and how the files are read, is the business of `tars` and `streams`.
"""

import tarfile
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from pipeline.archives.members import Entry
from pipeline.core.errors import DataError

BLOCK_BYTES = tarfile.BLOCKSIZE
MOST_EXTENDED_BYTES = 1 << 20
"""Longest name, and longest set of PAX records, that is read; Linux has paths of at most 4,096 bytes."""
MOST_PADDING_BYTES = 1 << 20
"""Tars are padded with zeros to 10 KiB, on tape to more; beyond this, photos were overwritten or never arrived."""

_PAX = {tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE}
_LONG_NAMES = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
_DEVICES = {tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE}
_WITHOUT_DATA = _DEVICES | {tarfile.LNKTYPE, tarfile.DIRTYPE}
_NO_FILES = {tarfile.DIRTYPE, b"D", b"V"}  # folders, GNU's lists of what was in them, and labels
_CONTINUED = b"M"


class Cursor(Protocol):
    """A tar that is gone through from front to back."""

    position: int

    def take(self, size_bytes: int) -> bytes:
        """Read on; less where the tar ends before."""

    def skip_to(self, position: int) -> None:
        """Go on to a place; raises `tarfile.ReadError` where the tar ends before."""

    def check_rest(self) -> None:
        """Go on to the end; raises `tarfile.ReadError` where more than padding follows."""


class Header(NamedTuple):
    """One file of a tar, with all that the headers before its own told of it."""

    name: str
    type: bytes
    target: str
    """Where a link leads."""
    size_bytes: int
    """Of the data that follow."""
    position: int
    """Where they begin."""
    is_sparse: bool


def headers(cursor: Cursor) -> Iterator[Header]:
    """Go through the headers; who takes one may move the cursor on through its data.

    Raises:
        tarfile.ReadError: it is damaged, or ends before its end is marked.
    """
    told: dict[str, str] = {}
    while block := cursor.take(BLOCK_BYTES):
        if not told and block == bytes(BLOCK_BYTES):
            cursor.check_rest()
            return
        info = _sound(block, cursor.position - BLOCK_BYTES)
        if info.type in _PAX or info.type in _LONG_NAMES:
            told |= _told(cursor, info)
            continue
        header = _header(cursor, block, info, told)
        if info.type != tarfile.XGLTYPE:  # records for all files: comments, mostly, and never names
            told = {}
            yield header
        cursor.skip_to(header.position + _padded(header.size_bytes))
    raise tarfile.ReadError("it ends without the zeros that mark its end")


def entry_of(header: Header, files: Mapping[str, Entry]) -> Entry | None:
    """Return the file that a header stands for, None for a folder.

    Args:
        header: of the tar.
        files: those before it, by name, to which a hard link may lead.
    """
    if header.type in _NO_FILES or (header.type != tarfile.LNKTYPE and header.name.endswith("/")):
        return None
    if header.type == tarfile.LNKTYPE and header.target in files:
        return files[header.target]._replace(path=header.name)
    return Entry(
        path=header.name,
        size_bytes=header.size_bytes,
        position=header.position,
        stored_bytes=header.size_bytes,
        is_link=header.type in _DEVICES,
        failure=_failure(header),
    )


def _failure(header: Header) -> DataError | None:
    if header.type == tarfile.LNKTYPE:
        found = f"The hard link leads to {header.target!r}, which does not stand before it in the tar."
        return DataError("read", "member_unreadable", found)
    if header.type == _CONTINUED:
        found = "The file is the end of one that begins in another part of this tar."
        return DataError("read", "member_unreadable", found)
    if header.is_sparse:
        found = "The file is stored without its zeros (GNU sparse), which cannot be read. Pack it without --sparse."
        return DataError("read", "unsupported_compression", found)
    return None


def _sound(block: bytes, position: int) -> tarfile.TarInfo:
    """Parse a header, whose checksum must fit."""
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise tarfile.ReadError(f"{error} at byte {position:,}") from error
    if info.size < 0:  # would send a reader round in circles
        raise tarfile.ReadError(f"negative size at byte {position:,}")
    return info


def _header(cursor: Cursor, block: bytes, info: tarfile.TarInfo, told: Mapping[str, str]) -> Header:
    name = info.name
    if block[257:265] == b"ustar  \0":  # GNU's own form keeps times where others keep the front of a long name
        name = block[:100].partition(b"\0")[0].decode("utf-8", "surrogateescape")
    size_text = told.get("size") or str(info.size)
    if not (size_text.isascii() and size_text.isdecimal()):
        raise tarfile.ReadError(f"a file of {size_text!r} bytes before byte {cursor.position:,}")
    if info.type == tarfile.GNUTYPE_SPARSE:
        _skip_map(cursor, block)
    return Header(
        name=told.get("path") or name,
        type=info.type,
        target=told.get("linkpath") or info.linkname,
        size_bytes=0 if info.type in _WITHOUT_DATA else int(size_text),
        position=cursor.position,
        is_sparse=info.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse.") for key in told),
    )


def _skip_map(cursor: Cursor, block: bytes) -> None:
    """Pass the blocks that tell where a sparse file has data."""
    is_continued = block[482]
    while is_continued:
        more = cursor.take(BLOCK_BYTES)
        if len(more) < BLOCK_BYTES:
            raise tarfile.ReadError("it ends within a header")
        is_continued = more[504]


def _told(cursor: Cursor, info: tarfile.TarInfo) -> dict[str, str]:
    """Read what a header tells of the file that follows, in PAX's words."""
    if info.size > MOST_EXTENDED_BYTES:
        found = f"{info.size:,} bytes of headers before byte {cursor.position:,}"
        raise tarfile.ReadError(f"{found}; at most {MOST_EXTENDED_BYTES:,} are read")
    end = cursor.position + _padded(info.size)
    data = cursor.take(info.size)
    cursor.skip_to(end)
    if keyword := _LONG_NAMES.get(info.type):
        return {keyword: data.partition(b"\0")[0].decode("utf-8", "surrogateescape")}
    return dict(_records(data, end))


def _records(data: bytes, end: int) -> Iterator[tuple[str, str]]:
    """Parse PAX records: length, keyword and value, as in `30 mtime=1350244992.023960108` and a newline."""
    at = 0
    while at < len(data):
        digits = data[at : at + 20].partition(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        record = data[at : at + length]
        keyword, equals, value = record[len(digits) + 1 : -1].partition(b"=")
        if len(record) < length or not equals or not record.endswith(b"\n"):
            raise tarfile.ReadError(f"damaged PAX records before byte {end:,}")
        yield keyword.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")
        at += length


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES
