"""What this process has asked of storage so far: bytes that came, requests that were tried again.

What one step took is the difference of two looks, see `effort`; nobody else asks.
"""

import threading
from typing import NamedTuple


class Traffic(NamedTuple):
    """Counts since the process began."""

    read_bytes: int = 0
    retries: int = 0


class _Meter:
    """Counts requests of all threads."""

    def __init__(self) -> None:
        self.total = Traffic()
        self._lock = threading.Lock()

    def add(self, read_bytes: int, retries: int) -> None:
        """Count what one request was."""
        with self._lock:
            self.total = Traffic(self.total.read_bytes + read_bytes, self.total.retries + retries)


_meter = _Meter()


def count(*, read_bytes: int = 0, retries: int = 0) -> None:
    """Count what came of a request; `storage` and `storage_retry` do."""
    _meter.add(read_bytes, retries)


def counted(pieces: list[bytes]) -> list[bytes]:
    """Count what was read, and pass it on."""
    count(read_bytes=sum(map(len, pieces)))
    return pieces


def so_far() -> Traffic:
    """Look at the counts."""
    return _meter.total
