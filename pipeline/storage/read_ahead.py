"""Reading at places further and further on, as one goes from header to header of an archive.

What the places mean is the business of `tar_headers` and `zip_salvage`.
"""

from pipeline.storage.byte_ranges import Source, read_whole

AHEAD_BYTES = 64 << 10
"""Read at a place that was jumped to; twice as much each time that the next place is near …"""
MOST_AHEAD_BYTES = 16 << 20
"""… up to this …"""
NEAR_BYTES = 1 << 20
"""… and a place is near when reading up to it costs less than asking once more."""


class ReadAhead:
    """Looks at places further and further on with few requests: much at once where they are near each other."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._start = 0
        self._data = b""
        self._ahead_bytes = AHEAD_BYTES

    def at(self, position: int, size_bytes: int) -> bytes:
        """Return the bytes that begin there; less where the source ends before."""
        end = min(position + size_bytes, self._source.size_bytes)
        if position < self._start or end > self._start + len(self._data):
            self._fill(position, size_bytes)
        return self._data[position - self._start : end - self._start]

    def _fill(self, position: int, size_bytes: int) -> None:
        is_near = 0 <= position - (self._start + len(self._data)) < NEAR_BYTES
        self._ahead_bytes = min(2 * self._ahead_bytes, MOST_AHEAD_BYTES) if is_near else AHEAD_BYTES
        self._start, self._data = position, b""
        self._data = read_whole(self._source, position, position + max(size_bytes, self._ahead_bytes))
