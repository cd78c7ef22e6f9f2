"""The reader of compressed tars, in one pass from front to back; a plain tar that is called one is read, too.

`decompress` removes the compression, and `tar_headers` parses the headers.
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
from pipeline.archives.tar_headers import BLOCK_BYTES, MAX_PADDING_BYTES, is_header, make_entry, read_headers
from pipeline.core.counts import count_of
from pipeline.core.errors import DataError
from pipeline.storage.byte_ranges import RangeReader, double_check, open_reader

PIECE_BYTES = 1 << 20
"""Decompressed at a time."""

COMPRESSED_PIECE_BYTES = 1 << 16
"""Read at a time from an xz file."""

MAX_DICTIONARY_BYTES = 512 << 20
"""Memory that an xz file may request; `xz -9` requests 65 MiB, a hostile file 4 GiB."""

_GZIP, _BZIP2, _XZ, _ZSTD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"
"""After a byte of 0x50 to 0x5f: a skippable frame, as `pzstd` writes before its data (RFC 8878, 3.1.2)."""

IsWanted = Callable[[Entry], bool]
"""Whether to read a file."""

EntryContent = tuple[Entry, Content | None]
"""A file and its content, None for a file that is not wanted."""


class CompressedTarReader:
    """Reads a tar in gzip, bzip2, xz or zstd; the position of a file is its number in the stream."""

    def __init__(self, source: RangeReader) -> None:
        self._source = double_check(source)

    def stream(self, is_wanted: IsWanted, limits: Limits) -> Iterator[EntryContent]:
        """Yield all files, in one pass; a second pass reads the targets of wanted hard links.

        Hard links come last, in the order of their targets, whether wanted or not.

        Raises:
            One of `DAMAGED`, after the files and links before the damage.
        """
        links: list[Entry] = []
        damage: Exception | None = None
        try:
            yield from self._read_files(is_wanted, limits, links)
        except DAMAGED as error:
            damage = error
        yield from self._read_links(links, is_wanted, limits)
        if damage:
            raise damage

    def _read_files(self, is_wanted: IsWanted, limits: Limits, links: list[Entry]) -> Iterator[EntryContent]:
        """Yield the files, and append hard links to `links`."""
        files: dict[str, Entry] = {}
        with open_reader(self._source) as raw:
            cursor = _StreamCursor(raw, limits)
            for number, header in enumerate(read_headers(cursor)):
                entry = make_entry(header._replace(position=number), files)
                if entry is None:
                    continue
                files[entry.path] = entry
                if header.type == tarfile.LNKTYPE:
                    links.append(entry)
                    continue
                content = _read_content(cursor, entry, limits) if is_wanted(entry) else None
                # Before the yield, since a file that is cut off is not listed.
                cursor.skip_to(header.position + header.size_bytes)
                yield entry, content

    def _read_links(self, links: list[Entry], is_wanted: IsWanted, limits: Limits) -> Iterator[EntryContent]:
        target, content = -1, None
        second_pass = self._read_files(lambda entry: entry.position == target, limits, [])
        for link in sorted(links, key=lambda link: link.position):
            if not is_wanted(link):
                yield link, None
            elif link.failure:
                yield link, link.failure
            else:
                if target != link.position:
                    target = link.position
                    content = _read_next(second_pass)
                yield link, content


def _read_next(files: Iterator[EntryContent]) -> Content:
    """Return the content of the next wanted file."""
    for _, content in files:
        if content is not None:
            return content
    raise tarfile.ReadError("it has changed while it was read")


def _read_content(cursor: "_StreamCursor", entry: Entry, limits: Limits) -> Content:
    try:
        if entry.failure:
            raise entry.failure
        limits.check(entry, nested=archive_suffix(entry.path) is not None)
    except DataError as error:
        return error
    return cursor.read(entry.size_bytes)


class _StreamCursor:
    """Reads a compressed tar from front to back."""

    def __init__(self, raw: IO[bytes], limits: Limits) -> None:
        self._raw = raw
        self._limits = limits
        self._file = decompress(raw)
        self.position = 0

    def read(self, size_bytes: int) -> bytes:
        return b"".join(self._read_pieces(size_bytes))

    def skip_to(self, position: int) -> None:
        for _ in self._read_pieces(position - self.position):
            pass
        if self.position < position:
            raise tarfile.ReadError(f"it ends {count_of(position - self.position, 'byte')} too early")

    def check_rest(self) -> None:
        """Read to the end, where the compression has its checksum."""
        padding_bytes = 0
        for piece in self._read_pieces(sys.maxsize):
            padding_bytes += len(piece)
            if padding_bytes > MAX_PADDING_BYTES or piece.strip(b"\0"):
                raise tarfile.ReadError("more than padding follows the zeros that mark its end")

    def _read_pieces(self, size_bytes: int) -> Iterator[bytes]:
        end = self.position + size_bytes
        while piece := self._file.read(min(PIECE_BYTES, end - self.position)):
            self.position += len(piece)
            self._check_growth()
            yield piece

    def _check_growth(self) -> None:
        """Stop at a bomb: this bounds the time, as `Limits.check` bounds the memory."""
        limit_bytes = max(self._limits.ratio_from_bytes, self._limits.ratio * self._raw.tell())
        if self.position > limit_bytes:
            found = f"{self._raw.tell():,} bytes that become more than {self.position:,}"
            raise tarfile.ReadError(f"{found}, over {self._limits.ratio:g} times as many: a decompression bomb")


def decompress(file: IO[bytes], max_dictionary_bytes: int = MAX_DICTIONARY_BYTES) -> IO[bytes]:
    """Open a compressed file, whose first bytes tell the format: names are often wrong.

    Args:
        file: gzip, bzip2, xz or zstd; or a plain tar, which stays as it is.
        max_dictionary_bytes: memory that an xz file may request.

    Raises:
        OSError: the format is none of these.
    """
    block = file.read(BLOCK_BYTES)
    file.seek(0)
    if is_header(block):
        return file
    start = block[: len(_XZ)]
    if start.startswith(_GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if start.startswith(_BZIP2):
        return cast("IO[bytes]", bz2.BZ2File(file))
    if start.startswith(_XZ):
        return cast("IO[bytes]", io.BufferedReader(_XzFile(file, max_dictionary_bytes), COMPRESSED_PIECE_BYTES))
    if start.startswith(_ZSTD) or (start[1:4] == _ZSTD_SKIPPABLE and start[0] >> 4 == 5):
        return cast("IO[bytes]", pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"))
    raise OSError(f"it begins with {start!r}, not as a gzip, bzip2, xz or zstd file does")


class _XzFile(io.RawIOBase):
    """The streams of an xz file, one after the other, in bounded memory; `lzma.open` has no bound."""

    def __init__(self, file: IO[bytes], max_dictionary_bytes: int) -> None:
        self._file = file
        self._max_dictionary_bytes = max_dictionary_bytes
        self._decoder = self._make_decoder()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # Python 3.11 has no name for `Buffer`
        while True:
            data = self._read_compressed() if self._decoder.needs_input or self._decoder.eof else b""
            if data is None:
                return 0
            content = self._decoder.decompress(data, len(buffer))
            if content:
                buffer[: len(content)] = content
                return len(content)

    def _read_compressed(self) -> bytes | None:
        """Return the next bytes to decompress, None after the last stream."""
        if not self._decoder.eof:
            data = self._file.read(COMPRESSED_PIECE_BYTES)
            if not data:
                raise EOFError("the compressed data end too early")
            return data
        rest = self._decoder.unused_data.lstrip(b"\0")  # streams may be padded
        while not rest and (data := self._file.read(COMPRESSED_PIECE_BYTES)):
            rest = data.lstrip(b"\0")
        self._decoder = self._make_decoder() if rest else self._decoder
        return rest or None

    def _make_decoder(self) -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=self._max_dictionary_bytes)
