"""Compressed tars, read in one pass from front to back.

What a header means is the business of `tar_headers`; taking a compression off that of `decompress`.
"""

import bz2
import gzip
import io
import lzma
import sys
import tarfile
from collections.abc import Callable, Iterator
from typing import IO, cast

import pyarrow as pa

from pipeline.archives.members import DAMAGED, Content, Entry, Limits, archive_suffix
from pipeline.archives.tar_headers import MOST_PADDING_BYTES, entry_of, headers
from pipeline.core.errors import DataError
from pipeline.storage.byte_ranges import RangeReader, double_checked, open_reader

PIECE_BYTES = 1 << 20
"""Decompressed at a time where nothing of it is wanted."""

Wanted = Callable[[Entry], bool]


class CompressedTarReader:
    """Files of a tar in gzip, bzip2, xz or zstd; the position of each is its number in the stream."""

    def __init__(self, source: RangeReader) -> None:
        self._source = double_checked(source)

    def stream(self, wanted: Wanted, limits: Limits) -> Iterator[tuple[Entry, Content | None]]:
        """Go through the files once; through a part of them once more where hard links are wanted.

        Links come last, in the order of the files that they lead to, whatever is wanted.
        """
        links: list[Entry] = []
        damage: Exception | None = None
        try:
            yield from self._files(wanted, limits, links)
        except DAMAGED as error:
            damage = error
        yield from self._linked(links, wanted, limits)
        if damage:
            raise damage

    def _files(self, wanted: Wanted, limits: Limits, links: list[Entry]) -> Iterator[tuple[Entry, Content | None]]:
        """Go through the files, and put hard links aside."""
        files: dict[str, Entry] = {}
        with open_reader(self._source) as raw:
            cursor = _StreamCursor(raw, limits)
            for number, header in enumerate(headers(cursor)):
                entry = entry_of(header._replace(position=number), files)
                if entry is None:
                    continue
                files[entry.path] = entry
                if header.type == tarfile.LNKTYPE:
                    links.append(entry)
                    continue
                content = _content(cursor, entry, limits) if wanted(entry) else None
                cursor.skip_to(header.position + header.size_bytes)  # before it is listed: what is cut off is not
                yield entry, content

    def _linked(self, links: list[Entry], wanted: Wanted, limits: Limits) -> Iterator[tuple[Entry, Content | None]]:
        asked, content = -1, None
        again = self._files(lambda entry: entry.position == asked, limits, [])
        for link in sorted(links, key=lambda link: link.position):
            if not wanted(link):
                yield link, None
            elif link.failure:
                yield link, link.failure
            else:
                if asked != link.position:
                    asked = link.position
                    content = _next_content(again)
                yield link, content


def _next_content(files: Iterator[tuple[Entry, Content | None]]) -> Content:
    """Go on to the file that is asked for."""
    for _, content in files:
        if content is not None:
            return content
    raise tarfile.ReadError("it has changed while it was read")


def _content(cursor: "_StreamCursor", entry: Entry, limits: Limits) -> Content:
    try:
        if entry.failure:
            raise entry.failure
        limits.check(entry, nested=archive_suffix(entry.path) is not None)
    except DataError as error:
        return error
    return cursor.take(entry.size_bytes)


class _StreamCursor:
    """A compressed tar that is read on and on."""

    def __init__(self, raw: IO[bytes], limits: Limits) -> None:
        self._raw = raw
        self._limits = limits
        self._file = decompress(raw)
        self.position = 0

    def take(self, size_bytes: int) -> bytes:
        return b"".join(self._pieces(size_bytes))

    def skip_to(self, position: int) -> None:
        for _ in self._pieces(position - self.position):
            pass
        if self.position < position:
            raise tarfile.ReadError(f"it ends {position - self.position:,} bytes too early")

    def check_rest(self) -> None:
        """Read to the end, where the checksum of the compression stands."""
        padding_bytes = 0
        for piece in self._pieces(sys.maxsize):
            padding_bytes += len(piece)
            if padding_bytes > MOST_PADDING_BYTES or piece.strip(b"\0"):
                raise tarfile.ReadError("more than padding follows the zeros that mark its end")

    def _pieces(self, size_bytes: int) -> Iterator[bytes]:
        end = self.position + size_bytes
        while piece := self._file.read(min(PIECE_BYTES, end - self.position)):
            self.position += len(piece)
            self._check_growth()
            yield piece

    def _check_growth(self) -> None:
        """Stop at a bomb: this bounds the time, as `Limits` bounds the memory."""
        most = max(self._limits.ratio_from_bytes, self._limits.ratio * self._raw.tell())
        if self.position > most:
            found = f"{self._raw.tell():,} bytes that become more than {self.position:,}"
            raise tarfile.ReadError(f"{found}, over {self._limits.ratio:g} times as many: a decompression bomb")


MOST_DICTIONARY_BYTES = 512 << 20
"""Memory that an xz file may ask for; `xz -9` asks for 65 MiB, a hostile file for 4 GiB."""
PIECE_BYTES = 1 << 16

_GZIP, _BZIP2, _XZ, _ZSTD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPED = b"\x2a\x4d\x18"
"""Behind a byte of 0x50 to 0x5f: a frame for whoever knows it, as `pzstd` puts before its data (RFC 8878, 3.1.2)."""


def decompress(file: IO[bytes]) -> IO[bytes]:
    """Return what is in a compressed file, by how it begins: names are often wrong.

    Raises:
        OSError: it begins as none of those that are known.
    """
    start = file.read(len(_XZ))
    file.seek(0)
    if start.startswith(_GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if start.startswith(_BZIP2):
        return cast("IO[bytes]", bz2.BZ2File(file))
    if start.startswith(_XZ):
        return cast("IO[bytes]", io.BufferedReader(_XzFile(file), PIECE_BYTES))
    if start.startswith(_ZSTD) or (start[1:4] == _ZSTD_SKIPPED and start[0] >> 4 == 5):
        return cast("IO[bytes]", pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"))
    raise OSError(f"it begins with {start!r}, not as a gzip, bzip2, xz or zstd file does")


class _XzFile(io.RawIOBase):
    """Streams of xz, one after the other, in bounded memory; `lzma.open` knows no bound."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = _xz_decoder()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # `Buffer` has no name in Python 3.11
        while True:
            data = self._more() if self._decoder.needs_input or self._decoder.eof else b""
            if data is None:
                return 0
            content = self._decoder.decompress(data, len(buffer))
            if content:
                buffer[: len(content)] = content
                return len(content)

    def _more(self) -> bytes | None:
        """Return what to decompress next, None after the last stream."""
        if not self._decoder.eof:
            data = self._file.read(PIECE_BYTES)
            if not data:
                raise EOFError("the compressed data end too early")
            return data
        rest = self._decoder.unused_data.lstrip(b"\0")  # streams may be padded
        while not rest and (data := self._file.read(PIECE_BYTES)):
            rest = data.lstrip(b"\0")
        self._decoder = _xz_decoder() if rest else self._decoder
        return rest or None


def _xz_decoder() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MOST_DICTIONARY_BYTES)
