"""Reads the headers of a plain tar by byte ranges: of a large remote one in many places at once.

A tar has no directory: each header tells where the next one begins, so listing it takes an answer of the store for
each file, one after another. `HeadersAhead` cuts the tar into parts. In each of them a thread looks for the first block
that may be a header, and reads on from there, header by header. What it finds is never believed for itself, because a
tar in the tar has headers, too, and a photo may look like one. `read_headers_ahead` goes from each header to the next
as one reader alone would, and only takes the header that begins exactly there, if a thread has read it already.
"""

import tarfile
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, suppress
from contextvars import copy_context
from typing import NamedTuple, Self

from pipeline.archives.members import DAMAGED
from pipeline.archives.tar_headers import (
    BLOCK_BYTES,
    MAX_PADDING_BYTES,
    Header,
    is_header,
    is_zeros,
    read_header,
)
from pipeline.core.errors import StorageError
from pipeline.storage.byte_ranges import FAR_AHEAD, Ahead, RangeReader, ReadAhead, read_whole
from pipeline.storage.retry import current_policy, limit_retries

THREADS = 64
"""Parts that are read at once. At 30 ms an answer they make 2,100 requests a second, and 100,000 headers take 47 s; S3
answers 5,500 a second below one prefix."""
LEAST_PART_BYTES = 64 << 20
"""A smaller part would have so few photos that looking for the first of them takes longer than it saves."""
MOST_PARTS = 512
"""A larger tar has larger parts. Several for each thread: their headers come in the order of the tar, so that the first
photos are known early and few headers wait."""
SCAN_BYTES = 512 << 10
"""Read at a time to look for a header; photos have some megabytes."""
SCANNED_SHARE = 8
"""A thread gives up its part when it has looked through an eighth of it: its files are few, then."""
MOST_WAITING = 100_000
"""Headers that wait to be taken, of half a kilobyte each."""
AWAY_S = 0.5
"""Threads rest while nobody has asked for a header for this long: whoever lists leaves the machine to others."""
AHEAD = Ahead(jump_bytes=4 << 10, most_bytes=1 << 20, near_bytes=128 << 10)
"""Few bytes after a jump, and small limits: many threads share the line, and each holds what it has read ahead."""

_MAGIC, _MAGIC_AT = b"ustar", 257


class RangeCursor:
    """Reads a tar from front to back, by byte ranges, and skips data."""

    def __init__(self, source: RangeReader, limits: Ahead = FAR_AHEAD) -> None:
        self._source = source
        self._ahead = ReadAhead(source, limits)
        self.position = 0

    def read(self, size_bytes: int) -> bytes:
        """Read on; return less if the tar ends before."""
        data = self._ahead.read_at(self.position, size_bytes)
        self.position += len(data)
        return data

    def skip_to(self, position: int) -> None:
        """Skip to a position; raise `tarfile.ReadError` if the tar ends before it."""
        if position > self._source.size_bytes:
            raise tarfile.ReadError(f"it ends at byte {self._source.size_bytes:,}, before its end is marked")
        self.position = position

    def check_rest(self) -> None:
        """Read to the end; raise `tarfile.ReadError` if more than padding follows."""
        end = self._source.size_bytes
        is_long = end - self.position > MAX_PADDING_BYTES
        if is_long or read_whole(self._source, self.position, end).strip(b"\0"):
            raise tarfile.ReadError("more than padding follows the zeros that mark its end")


class Spread(NamedTuple):
    """How a tar is read in many places at once."""

    part_bytes: int
    """Length of a part, a multiple of a block."""
    threads: int = THREADS
    most_waiting: int = MOST_WAITING


def choose_spread(source: RangeReader) -> Spread | None:
    """Return how to read a tar; None from front to back: on local disk, or if it is small."""
    blocks = max(LEAST_PART_BYTES, source.size_bytes // MOST_PARTS) // BLOCK_BYTES
    is_large = source.size_bytes >= 2 * LEAST_PART_BYTES
    return Spread(blocks * BLOCK_BYTES) if source.is_concurrent and is_large else None


def read_headers_ahead(source: RangeReader, spread: Spread) -> Generator[Header, None, None]:
    """Yield the headers of a tar as `tar_headers.read_headers` does, each as it does, and raise the same errors.

    Args:
        source: the tar, whose bytes are reliable.
        spread: in how many places it is read at once.
    """
    cursor = RangeCursor(source)
    first = read_header(cursor)  # alone: the file may be no tar
    if first is None:
        return
    yield first
    cursor.skip_to(first.next_position)
    with HeadersAhead(source, spread, cursor.position) as ahead:
        while header := ahead.take(cursor.position) or read_header(cursor):
            yield header
            cursor.skip_to(header.next_position)


class _Part:
    """The bytes [start, end) of a tar, through which one thread goes."""

    def __init__(self, start: int, end: int) -> None:
        self.end = end
        self.at = start
        """Where the thread is; what begins before is among the headers, or is none that the thread came to."""
        self.headers = dict[int, Header]()
        """By the position where each begins, with the extended headers before it."""
        self.is_done = False


class HeadersAhead:
    """Headers that threads have read before they are asked for.

    Args:
        source: the tar.
        spread: in how many places it is read at once.
        position: where the first header begins that will be asked for.
    """

    def __init__(self, source: RangeReader, spread: Spread, position: int = 0) -> None:
        self._source, self._spread = source, spread
        self._changed = threading.Condition()
        self._given_up = threading.Event()
        self._parts = dict[int, _Part]()
        """By number: those that are begun, or asked for, and not behind the reader."""
        self._next = 0
        """The first part that no thread has taken."""
        self._reader_at = position
        self._left_at_s = float("inf")
        """When the reader had its last header; infinite while it waits for one."""
        self._waiting = 0
        """Headers of all parts."""

    def __enter__(self) -> Self:
        """Begin to read; the threads end with the process, too."""
        count = -(-self._source.size_bytes // self._spread.part_bytes)
        for _ in range(min(self._spread.threads, count)):
            run = copy_context().run  # with our retry policy and log fields
            threading.Thread(target=run, args=(self._work,), name="tar-ahead", daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Let the threads end soon, without waiting for answers on their way."""
        self._give_up()

    def __len__(self) -> int:
        """Return how many headers wait to be taken."""
        return self._waiting

    def take(self, position: int) -> Header | None:
        """Return the header that begins at a position, as soon as it is known; None if no thread has come to it.

        Args:
            position: where a header begins, or the end; it never goes back.
        """
        if position >= self._source.size_bytes:
            return None
        with self._changed:
            if self._is_away():
                self._changed.notify_all()
            self._left_at_s = float("inf")
            part = self._move_reader(position)
            self._changed.wait_for(
                lambda: position in part.headers or part.at > position or part.is_done or self._given_up.is_set()
            )
            self._left_at_s = time.monotonic()
            header = part.headers.pop(position, None)
            if header is not None:
                self._waiting -= 1
            return header

    def _move_reader(self, position: int) -> _Part:
        """Note where the reader is, drop what it has passed, and return its part."""
        self._reader_at = position
        number = position // self._spread.part_bytes
        if number not in self._parts or min(self._parts) < number:
            for passed in [other for other in self._parts if other < number]:
                self._waiting -= len(self._parts.pop(passed).headers)
            self._changed.notify_all()
        return self._open_part(number)

    def _open_part(self, number: int) -> _Part:
        start = number * self._spread.part_bytes
        return self._parts.setdefault(
            number, _Part(start, min(start + self._spread.part_bytes, self._source.size_bytes))
        )

    def _work(self) -> None:
        """Go through parts until there are none left; after an error nobody expects, the reader goes on alone."""
        with ExitStack() as unfinished:
            unfinished.callback(self._give_up)
            while part := self._next_part():
                with suppress(StorageError):  # the reader will meet it, if it comes there
                    self._go_through(part)
                with self._changed:
                    part.is_done = True
                    self._changed.notify_all()
            unfinished.pop_all()

    def _give_up(self) -> None:
        with self._changed:
            self._given_up.set()
            self._changed.notify_all()

    def _next_part(self) -> _Part | None:
        with self._changed:
            number = max(self._next, self._reader_at // self._spread.part_bytes)
            if number * self._spread.part_bytes >= self._source.size_bytes or self._given_up.is_set():
                return None
            self._next = number + 1
            return self._open_part(number)

    def _go_through(self, part: _Part) -> None:
        """Read the headers of a part."""
        cursor = RangeCursor(self._source, AHEAD)
        left_bytes = max(SCAN_BYTES, (part.end - part.at) // SCANNED_SHARE)
        with limit_retries(current_policy().limit_s, given_up=self._given_up):
            while left_bytes > 0 and (at := self._wait_for_room(part)) is not None:
                cursor.skip_to(at)
                header = _try_header(cursor)
                if header is not None:
                    self._keep(part, at, header)
                    continue
                cursor.skip_to(at)
                data = cursor.read(SCAN_BYTES)
                left_bytes -= len(data)
                self._move(part, at, at + _find_header(data))

    def _wait_for_room(self, part: _Part) -> int | None:
        """Return where the thread of a part goes on; None if nobody needs more of it."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_near(part) or self._given_up.is_set())
            part.at = max(part.at, self._reader_at)  # a header begins where the reader is
            return None if part.at >= part.end or self._given_up.is_set() else part.at

    def _is_away(self) -> bool:
        return time.monotonic() - self._left_at_s > AWAY_S

    def _is_near(self, part: _Part) -> bool:
        """Tell whether the headers of a part may be read now: there is room, or the reader is there or beyond."""
        begins_at = part.end - self._spread.part_bytes
        has_room = self._waiting < self._spread.most_waiting and not self._is_away()
        return has_room or self._reader_at >= begins_at

    def _keep(self, part: _Part, at: int, header: Header) -> None:
        with self._changed:
            if self._reader_at < part.end:  # else it is dropped
                part.headers[at] = header
                self._waiting += 1
        self._move(part, at, header.next_position)

    def _move(self, part: _Part, at: int, position: int) -> None:
        with self._changed:
            part.at = max(part.at, position)
            if at <= self._reader_at < part.end:
                self._changed.notify_all()


def _try_header(cursor: RangeCursor) -> Header | None:
    """Read a header; None if there is none, or the mark of an end."""
    try:
        at = cursor.position
        if is_zeros(cursor.read(BLOCK_BYTES)):
            return None
        cursor.skip_to(at)
        return read_header(cursor)
    except DAMAGED:
        return None


def _find_header(data: bytes) -> int:
    """Return where in some blocks the first header after their beginning may be; their end if there is none."""
    at = data.find(_MAGIC, BLOCK_BYTES)
    while at >= 0:
        begin = at - _MAGIC_AT
        if begin % BLOCK_BYTES == 0 and is_header(data[begin : begin + BLOCK_BYTES]):
            return begin
        at = data.find(_MAGIC, at + 1)
    return len(data)
