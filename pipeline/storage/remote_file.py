"""A remote file read by ranges, ahead of its reader: large requests front to back, small ones here and there."""

import io
from collections.abc import Callable
from typing import Any

FIRST_BYTES = 256 << 10
"""Asked for where the reader has jumped to: holds a Parquet footer, or a zip's end with thousands of members."""

MOST_BYTES = 8 << 20
"""Asked for at once when a file is streamed: the request's latency is then a small part of its time."""


class RemoteFile(io.RawIOBase):
    """Bytes behind a function that reads a range of them.

    Args:
        read_range: returns the bytes [start, end).
        size_bytes: how many there are.
    """

    def __init__(self, read_range: Callable[[int, int], bytes], size_bytes: int) -> None:
        self._read_range = read_range
        self._size_bytes = size_bytes
        self._position = 0
        self._block, self._block_start = b"", 0
        self._block_bytes = FIRST_BYTES

    def readable(self) -> bool:
        """It is open for reading."""
        return True

    def seekable(self) -> bool:
        """Any range can be asked for."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing is asked for until something is read."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - the buffer protocol has a type from Python 3.12 on
        """Fill a buffer as far as the block at hand reaches; fetch the next block where there is none."""
        if not len(buffer) or self._position >= self._size_bytes:
            return 0
        if not self._block_start <= self._position < self._block_start + len(self._block):
            self._fetch()
        start = self._position - self._block_start
        piece = memoryview(self._block)[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _fetch(self) -> None:
        """Fetch the block at the position: twice as long as the last one where it follows on it."""
        follows = bool(self._block) and self._position == self._block_start + len(self._block)
        self._block_bytes = min(2 * self._block_bytes, MOST_BYTES) if follows else FIRST_BYTES
        end = min(self._position + self._block_bytes, self._size_bytes)
        self._block, self._block_start = b"", self._position  # two blocks at once would be twice the memory
        self._block = self._read_range(self._block_start, end)
