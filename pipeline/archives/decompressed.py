"""Taking gzip, bzip2, xz or zstd off a file, from front to back.

All of them tell where their data are damaged or cut short; what is in the file is the business of `streams`.
"""

import bz2
import gzip
import io
import lzma
from typing import IO, cast

import pyarrow as pa

MOST_DICTIONARY_BYTES = 512 << 20
"""Memory that an xz file may ask for; `xz -9` asks for 65 MiB, a hostile file for 4 GiB."""
PIECE_BYTES = 1 << 16

_GZIP, _BZIP2, _XZ, _ZSTD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPED = b"\x2a\x4d\x18"
"""Behind a byte of 0x50 to 0x5f: a frame for whoever knows it, as `pzstd` puts before its data (RFC 8878, 3.1.2)."""


def decompressed(file: IO[bytes]) -> IO[bytes]:
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
