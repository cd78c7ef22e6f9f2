"""A remote file that reads ahead by ranges: large requests from front to back, small ones after a jump."""

import io
from collections.abc import Callable
from typing import Any

FIRST_BYTES = 256 << 10
"""Requested after a jump: holds a Parquet footer, or the end of a zip with thousands of members."""

MOST_BYTES = 8 << 20
"""The largest request while a file is streamed: its latency is then a small part of its time."""


class RemoteFile(io.RawIOBase):
    """A file of bytes that a function reads by range.

    Args:
        read_range: returns the bytes [start, end).
        size_bytes: of the whole file.
    """

    def __init__(self, read_range: Callable[[int, int], bytes], size_bytes: int) -> None:
        self._read_range = read_range
        self._size_bytes = size_bytes
        self._position = 0
        self._block, self._block_start = b"", 0
        self._block_bytes = FIRST_BYTES

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True: the store serves any range."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, without a request."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - the buffer protocol has a type from Python 3.12 on
        """Fill a buffer from the current block, as far as that reaches; fetch another block if needed."""
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
        """Fetch the block at the position: twice as long as the last one if it continues that."""
        follows = bool(self._block) and self._position == self._block_start + len(self._block)
        self._block_bytes = min(2 * self._block_bytes, MOST_BYTES) if follows else FIRST_BYTES
        end = min(self._position + self._block_bytes, self._size_bytes)
        self._block, self._block_start = b"", self._position  # holding two blocks would double the memory
        self._block = self._read_range(self._block_start, end)
