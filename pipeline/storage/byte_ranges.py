"""Bytes that can be read by range: a stored file, a window of one, or bytes in memory.

The readers of archives stand on this: it reads neighbours together, with few requests, reads ahead where places are
near each other, and reads twice where a wire may damage bytes. `storage` knows where a file lies and tries again.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, NamedTuple, Protocol, cast

from pipeline import storage
from pipeline.core.errors import StorageError

GAP_BYTES = 64 << 10
"""Neighbours closer than this are read in one request: reading so much takes less time than asking once more."""
REQUEST_BYTES = 8 << 20
"""Largest request; what is longer is read in parts of this size, several at once."""
BATCH_BYTES = 32 << 20
"""What is asked for at once, and held in memory."""
AHEAD_BYTES = 64 << 10
"""Read at a place that was jumped to; twice as much each time that the next place is near …"""
MOST_AHEAD_BYTES = 16 << 20
"""… up to this …"""
NEAR_BYTES = 1 << 20
"""… and a place is near when reading up to it costs less than asking once more."""

Place = tuple[int, int]
"""Bytes [start, end) of a source."""


class RangeReader(Protocol):
    """Something with bytes in it."""

    @property
    def name(self) -> str:
        """What it is called, for messages."""

    @property
    def size_bytes(self) -> int:
        """How long it is."""

    @property
    def is_protected(self) -> bool:
        """Whether a byte that is damaged on its way here would be noticed."""

    def read(self, ranges: Sequence[Place]) -> list[bytes]:
        """Read bytes [start, end) of each range, in order; less where the source ends before."""


@dataclass(frozen=True)
class FileRangeReader:
    """A stored file."""

    url: str
    size_bytes: int

    @property
    def name(self) -> str:
        """Its file name."""
        return storage.name(self.url)

    @property
    def is_protected(self) -> bool:
        """Whether it comes from a disk or over an encrypted connection."""
        return storage.is_protected(self.url)

    def read(self, ranges: Sequence[Place]) -> list[bytes]:
        """Read by range requests; none where there is nothing to read."""
        inside = [(start, min(end, self.size_bytes)) for start, end in ranges]
        found = iter(storage.read_ranges(self.url, [place for place in inside if place[0] < place[1]]))
        return [next(found) if start < end else b"" for start, end in inside]


@dataclass(frozen=True)
class Window:
    """A file that lies uncompressed in an archive."""

    source: RangeReader
    start: int
    end: int
    name: str

    @property
    def size_bytes(self) -> int:
        """Bytes in the window."""
        return self.end - self.start

    @property
    def is_protected(self) -> bool:
        """As the archive."""
        return self.source.is_protected

    def read(self, ranges: Sequence[Place]) -> list[bytes]:
        """Read from the archive, and nothing beside the window."""
        size_bytes = self.size_bytes
        return self.source.read(
            [(self.start + min(start, size_bytes), self.start + min(end, size_bytes)) for start, end in ranges]
        )


@dataclass(frozen=True)
class BytesRangeReader:
    """Bytes in memory."""

    name: str
    data: bytes

    is_protected = True

    @property
    def size_bytes(self) -> int:
        """How many there are."""
        return len(self.data)

    def read(self, ranges: Sequence[Place]) -> list[bytes]:
        """Cut them out."""
        return [self.data[start:end] for start, end in ranges]


class Span(NamedTuple):
    """Neighbours that are read together."""

    start: int
    end: int
    places: list[Place]


def spans(places: Sequence[Place]) -> Iterator[Span]:
    """Join neighbours into spans of at most `REQUEST_BYTES`; a longer place is a span by itself.

    Args:
        places: sorted by where they start; they may overlap.
    """
    span: Span | None = None
    for place in places:
        end = max(place[1], span.end) if span else place[1]
        if span and place[0] - span.end <= GAP_BYTES and end - span.start <= REQUEST_BYTES:
            span.places.append(place)
            span = span._replace(end=end)
        else:
            if span:
                yield span
            span = Span(*place, [place])
    if span:
        yield span


def read_together(source: RangeReader, places: Sequence[Place]) -> Iterator[bytes]:
    """Read many places with few requests, about `BATCH_BYTES` at a time.

    Args:
        source: what to read from.
        places: sorted by where they start.

    Returns:
        The bytes of each place, in order; less where the source ends before.
    """
    for batch in _batches(places):
        parts = iter(source.read([part for span in batch for part in _parts(span)]))
        for span in batch:
            data = b"".join(next(parts) for _ in _parts(span))
            yield from (data[start - span.start : end - span.start] for start, end in span.places)


def read_whole(source: RangeReader, start: int, end: int) -> bytes:
    """Read one place of any length, its parts side by side; less where the source ends before."""
    return next(read_together(source, [(start, min(end, source.size_bytes))]))


def _batches(places: Sequence[Place]) -> Iterator[list[Span]]:
    batch: list[Span] = []
    batch_bytes = 0
    for span in spans(places):
        span_bytes = span.end - span.start
        if batch and batch_bytes + span_bytes > BATCH_BYTES:
            yield batch
            batch, batch_bytes = [], 0
        batch.append(span)
        batch_bytes += span_bytes
    if batch:
        yield batch


def _parts(span: Span) -> list[Place]:
    starts = range(span.start, span.end, REQUEST_BYTES)
    return [(start, min(start + REQUEST_BYTES, span.end)) for start in starts]


def open_reader(source: RangeReader) -> IO[bytes]:
    """Open a source as a file that reads ahead, for libraries that want one."""
    if isinstance(source, FileRangeReader):
        return storage.open_file(source.url)
    return cast("IO[bytes]", io.BufferedReader(_SourceFile(source), REQUEST_BYTES))


class _SourceFile(io.RawIOBase):
    """A source as the file below a buffer."""

    def __init__(self, source: RangeReader) -> None:
        self._source = source
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size_bytes}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # `Buffer` has no name in Python 3.11
        data = read_whole(self._source, self._position, self._position + len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


class ReadAhead:
    """Looks at places further and further on with few requests: much at once where they are near each other."""

    def __init__(self, source: RangeReader) -> None:
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


@dataclass(frozen=True)
class DoubleReader:
    """A source whose every byte is read twice, and a third time where the two differ."""

    source: RangeReader

    is_protected = True

    @property
    def name(self) -> str:
        """As the source."""
        return self.source.name

    @property
    def size_bytes(self) -> int:
        """As the source."""
        return self.source.size_bytes

    def read(self, ranges: Sequence[Place]) -> list[bytes]:
        """Read what two readings agree on.

        Raises:
            StorageError: three readings were three different ones.
        """
        both = self.source.read([*ranges, *ranges])
        pairs = zip(ranges, both[: len(ranges)], both[len(ranges) :], strict=True)
        return [first if first == second else self._decided(place, first, second) for place, first, second in pairs]

    def _decided(self, place: Place, first: bytes, second: bytes) -> bytes:
        [third] = self.source.read([place])
        if third not in {first, second}:
            raise StorageError(
                f"{self.name} could not be read: its bytes {place[0]:,} to {place[1]:,} came differently three times. "
                "The connection damages what it carries; use https."
            )
        return third


def double_checked(source: RangeReader) -> RangeReader:
    """Return a source whose bytes can be believed without a checksum of their own.

    TCP's checksum misses about one damaged packet in 65,536, and where nothing encrypts, nothing else looks.
    """
    return source if source.is_protected else DoubleReader(source)
