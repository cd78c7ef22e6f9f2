"""Readers of bytes by range: a stored file, a window of one, bytes in memory.

The archive readers use them. They read neighbours together with few requests, read ahead when positions are close, and
read twice over connections that may damage bytes.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, NamedTuple, Protocol, cast

from pipeline import storage
from pipeline.core.errors import StorageError
from pipeline.storage.quick_reads import QuickReads

GAP_BYTES = 64 << 10
"""Ranges closer than this share a request: reading the gap takes less time than another request."""
REQUEST_BYTES = 8 << 20
"""The largest request; a longer range is read in parts of this size, several at once."""
BATCH_BYTES = 32 << 20
"""Read at once, and held in memory."""
AHEAD_BYTES = 64 << 10
"""Read after a jump; doubles each time that the next position is near."""
MOST_AHEAD_BYTES = 16 << 20
"""Upper limit of that doubling."""
NEAR_BYTES = 1 << 20
"""A position is near if reading up to it costs less than another request."""


class Ahead(NamedTuple):
    """How far a `ReadAhead` reads ahead."""

    jump_bytes: int = AHEAD_BYTES
    most_bytes: int = MOST_AHEAD_BYTES
    near_bytes: int = NEAR_BYTES


FAR_AHEAD = Ahead()
"""For one reader, who has the line for itself."""


ByteRange = tuple[int, int]
"""The bytes [start, end) of a source."""


class RangeReader(Protocol):
    """A source of bytes."""

    @property
    def name(self) -> str:
        """The name of the source, for messages."""

    @property
    def size_bytes(self) -> int:
        """The length of the source."""

    @property
    def is_protected(self) -> bool:
        """Whether something detects a byte that the connection damages."""

    @property
    def is_concurrent(self) -> bool:
        """Whether many readings at once take less time than one after the other."""

    def read(self, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Read each range, in order; return fewer bytes where the source ends."""


@dataclass(frozen=True)
class FileRangeReader:
    """A file in `storage`."""

    url: str
    size_bytes: int

    @property
    def name(self) -> str:
        """The file name."""
        return storage.name(self.url)

    @property
    def is_protected(self) -> bool:
        """Whether the file comes from a disk or over an encrypted connection."""
        return storage.is_protected(self.url)

    @property
    def is_concurrent(self) -> bool:
        """Whether the store answers many requests at once."""
        return storage.is_concurrent(self.url)

    def read(self, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Read by range requests; an empty range needs none."""
        inside = [(start, min(end, self.size_bytes)) for start, end in ranges]
        found = iter(storage.read_ranges(self.url, [(start, end) for start, end in inside if start < end]))
        return [next(found) if start < end else b"" for start, end in inside]


@dataclass(frozen=True)
class QuickReader:
    """A file in `storage` of which small ranges are read with little work; it yields and fails as the file itself."""

    file: FileRangeReader
    quick: QuickReads

    is_concurrent = True

    @property
    def name(self) -> str:
        """The file name."""
        return self.file.name

    @property
    def size_bytes(self) -> int:
        """As for the file."""
        return self.file.size_bytes

    @property
    def is_protected(self) -> bool:
        """As for the file."""
        return self.file.is_protected

    def read(self, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Read all ranges at the same time, and those that do not come whole once more, as of any file."""
        inside = [(start, min(end, self.size_bytes)) for start, end in ranges]
        found = iter(self.quick.read([(start, end) for start, end in inside if start < end]))
        pieces = [next(found) if start < end else b"" for start, end in inside]
        return [
            self.file.read([place])[0] if piece is None else piece for piece, place in zip(pieces, inside, strict=True)
        ]


@dataclass(frozen=True)
class Window:
    """An uncompressed file in an archive."""

    source: RangeReader
    start: int
    end: int
    name: str

    @property
    def size_bytes(self) -> int:
        """The length of the window."""
        return self.end - self.start

    @property
    def is_protected(self) -> bool:
        """As for the archive."""
        return self.source.is_protected

    @property
    def is_concurrent(self) -> bool:
        """As for the archive."""
        return self.source.is_concurrent

    def read(self, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Read from the archive, never outside the window."""
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
    is_concurrent = False

    @property
    def size_bytes(self) -> int:
        """Their number."""
        return len(self.data)

    def read(self, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Return slices."""
        return [self.data[start:end] for start, end in ranges]


def hasten(source: RangeReader) -> RangeReader:
    """Return a source for many small readings: of a file on a store that answers many, or of a window of one."""
    if isinstance(source, Window):
        return replace(source, source=hasten(source.source))
    if isinstance(source, FileRangeReader) and source.is_concurrent:
        return QuickReader(source, storage.open_quick_reads(source.url))
    return source


class Span(NamedTuple):
    """Neighbouring ranges that share a request."""

    start: int
    end: int
    ranges: list[ByteRange]


def join_neighbours(ranges: Sequence[ByteRange]) -> Iterator[Span]:
    """Join neighbours into spans of at most `REQUEST_BYTES`; a longer range is a span of its own.

    Args:
        ranges: sorted by their start; they may overlap.
    """
    span: Span | None = None
    for start, range_end in ranges:
        end = max(range_end, span.end) if span else range_end
        if span and start - span.end <= GAP_BYTES and end - span.start <= REQUEST_BYTES:
            span.ranges.append((start, range_end))
            span = span._replace(end=end)
        else:
            if span:
                yield span
            span = Span(start, range_end, [(start, range_end)])
    if span:
        yield span


def read_together(source: RangeReader, ranges: Sequence[ByteRange]) -> Iterator[bytes]:
    """Read many ranges with few requests, about `BATCH_BYTES` at a time.

    Args:
        source: to read from.
        ranges: sorted by their start.

    Yields:
        The bytes of each range, in order; fewer where the source ends.
    """
    for batch in _batches(ranges):
        parts = iter(source.read([part for span in batch for part in _parts(span)]))
        for span in batch:
            data = b"".join(next(parts) for _ in _parts(span))
            yield from (data[start - span.start : end - span.start] for start, end in span.ranges)


def read_whole(source: RangeReader, start: int, end: int) -> bytes:
    """Read one range of any length, its parts in parallel; return fewer bytes where the source ends."""
    return next(read_together(source, [(start, min(end, source.size_bytes))]))


def _batches(ranges: Sequence[ByteRange]) -> Iterator[list[Span]]:
    batch: list[Span] = []
    batch_bytes = 0
    for span in join_neighbours(ranges):
        span_bytes = span.end - span.start
        if batch and batch_bytes + span_bytes > BATCH_BYTES:
            yield batch
            batch, batch_bytes = [], 0
        batch.append(span)
        batch_bytes += span_bytes
    if batch:
        yield batch


def _parts(span: Span) -> list[ByteRange]:
    starts = range(span.start, span.end, REQUEST_BYTES)
    return [(start, min(start + REQUEST_BYTES, span.end)) for start in starts]


def open_reader(source: RangeReader) -> IO[bytes]:
    """Open a source as a file that reads ahead, for libraries that need a file."""
    if isinstance(source, FileRangeReader):
        return storage.open_file(source.url)
    return cast("IO[bytes]", io.BufferedReader(_SourceFile(source), REQUEST_BYTES))


class _SourceFile(io.RawIOBase):
    """A source as a raw file, for a buffer."""

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
    """Reads at increasing positions with few requests: large ones when the positions are near each other."""

    def __init__(self, source: RangeReader, limits: Ahead = FAR_AHEAD) -> None:
        self._source, self._limits = source, limits
        self._start = 0
        self._data = b""
        self._ahead_bytes = limits.jump_bytes

    def read_at(self, position: int, size_bytes: int) -> bytes:
        """Return the bytes at a position; fewer where the source ends."""
        end = min(position + size_bytes, self._source.size_bytes)
        if position < self._start or end > self._start + len(self._data):
            self._fill(position, size_bytes)
        return self._data[position - self._start : end - self._start]

    def _fill(self, position: int, size_bytes: int) -> None:
        jump_bytes, most_bytes, near_bytes = self._limits
        is_near = 0 <= position - (self._start + len(self._data)) < near_bytes
        self._ahead_bytes = min(2 * self._ahead_bytes, most_bytes) if is_near else jump_bytes
        self._start, self._data = position, b""
        self._data = read_whole(self._source, position, position + max(size_bytes, self._ahead_bytes))


@dataclass(frozen=True)
class DoubleReader:
    """Reads every byte of a source twice, and a third time if the two differ."""

    source: RangeReader

    is_protected = True

    @property
    def name(self) -> str:
        """As for the source."""
        return self.source.name

    @property
    def size_bytes(self) -> int:
        """As for the source."""
        return self.source.size_bytes

    @property
    def is_concurrent(self) -> bool:
        """As for the source."""
        return self.source.is_concurrent

    def read(self, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Return the bytes that two readings agree on.

        Raises:
            StorageError: all three readings differ.
        """
        both = self.source.read([*ranges, *ranges])
        pairs = zip(ranges, both[: len(ranges)], both[len(ranges) :], strict=True)
        return [first if first == second else self._decide(place, first, second) for place, first, second in pairs]

    def _decide(self, place: ByteRange, first: bytes, second: bytes) -> bytes:
        [third] = self.source.read([place])
        if third not in {first, second}:
            raise StorageError(
                f"{self.name} could not be read: its bytes {place[0]:,} to {place[1]:,} came differently three times. "
                "The connection damages what it carries; use https."
            )
        return third


def double_check(source: RangeReader) -> RangeReader:
    """Return a source whose bytes are reliable without a checksum of their own.

    TCP's checksum misses about one damaged packet in 65,536, and without encryption nothing else checks.
    """
    return source if source.is_protected else DoubleReader(source)
