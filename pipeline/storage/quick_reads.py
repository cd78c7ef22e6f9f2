"""Many small readings of one remote file, each with little work: on kept connections, with a URL that is signed once.

A client of S3 needs about two milliseconds of a processor for a request, and listing a large tar takes 100,000 of them.
Here only success counts. For whatever else a server answers there is no data, and the caller reads again with
`storage.read_ranges`, which knows retries and puts failures into words.
"""

import http.client
import queue
import re
import ssl
import time
import weakref
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from pipeline.core import usage

SIGNED_S = 3600
"""How long a URL is valid; it is signed anew after half of that."""
ANSWER_S = 30.0
"""A longer wait for an answer is a failure; as `RetryPolicy.answer_s`."""
MOST_FAILURES = 3
"""A server that has refused this many readings, and answered none, is not asked in this way any more."""

_FAILURES = (OSError, http.client.HTTPException, ValueError)
_RANGE = re.compile(r"bytes (\d+)-\d+/\d+")


class QuickReads:
    """Readings of one file; threads may share them.

    Args:
        find_address: returns a URL that plain GET requests read, and that is valid for `SIGNED_S`; None if there is
            none.
    """

    def __init__(self, find_address: Callable[[], str | None]) -> None:
        self._find_address = find_address
        self._address, self._found_at_s = "", float("-inf")
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue()
        self._failures, self._has_worked = 0, False
        weakref.finalize(self, _close_all, self._idle)

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | None]:
        """Read the bytes [start, end) of each range, all at the same time; None for each that did not come whole."""
        if not self._has_worked and self._failures >= MOST_FAILURES:
            return [None] * len(ranges)
        sent = [self._send(start, end) for start, end in ranges]
        found = [
            None if connection is None else self._receive(connection, start, end)
            for connection, (start, end) in zip(sent, ranges, strict=True)
        ]
        self._has_worked |= any(data is not None for data in found)
        self._failures += found.count(None)
        usage.count(read_bytes=sum(len(data) for data in found if data is not None))
        return found

    def _send(self, start: int, end: int) -> http.client.HTTPConnection | None:
        try:
            address = urlsplit(self._current_address())
            target = f"{address.path}?{address.query}" if address.query else address.path
            connection = self._take_connection(address.scheme, address.netloc)
            connection.request("GET", target, headers={"Range": f"bytes={start}-{end - 1}"})
        except _FAILURES:
            return None
        return connection

    def _receive(self, connection: http.client.HTTPConnection, start: int, end: int) -> bytes | None:
        try:
            answer = connection.getresponse()
            part = _RANGE.fullmatch(answer.getheader("Content-Range", ""))
            data = answer.read() if answer.status == http.client.PARTIAL_CONTENT and part else b""
        except _FAILURES:
            connection.close()
            return None
        is_whole = part is not None and int(part[1]) == start and len(data) == end - start
        if not is_whole:
            connection.close()
            return None
        self._idle.put(connection)  # which connects anew if the server has closed it
        return data

    def _take_connection(self, scheme: str, place: str) -> http.client.HTTPConnection:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            if scheme == "https":
                return http.client.HTTPSConnection(place, timeout=ANSWER_S, context=ssl.create_default_context())
            return http.client.HTTPConnection(place, timeout=ANSWER_S)

    def _current_address(self) -> str:
        """Return the URL, signed anew if it is old.

        Raises:
            ValueError: there is none.
        """
        if time.monotonic() - self._found_at_s > SIGNED_S / 2:
            address = self._find_address()
            if address is None:
                raise ValueError("no URL that plain GET requests read")
            self._address, self._found_at_s = address, time.monotonic()
        return self._address


def _close_all(connections: "queue.LifoQueue[http.client.HTTPConnection]") -> None:
    while not connections.empty():
        connections.get_nowait().close()
