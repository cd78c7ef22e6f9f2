"""Many small readings of one remote file, each with little work: on kept connections, with a URL that is signed once.

A client of S3 needs about two milliseconds of a processor for a request, `http.client` four tenths, and listing a large
tar takes 100,000 of them; a request is one line here, and of the answer four facts are looked at.
Here only success counts. For whatever else a server answers there is no data, and the caller reads again with
`storage.read_ranges`, which knows retries and puts failures into words.
"""

import http.client
import socket
import ssl
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from pipeline.core import usage

SIGNED_S = 3600
"""How long a URL is valid; it is signed anew after half of that."""
ANSWER_S = 30.0
"""A longer wait for an answer is a failure; as `RetryPolicy.answer_s`."""
MOST_FAILURES = 3
"""A server that has refused this many readings, and answered none, is not asked in this way any more."""
RECEIVED_BYTES = 64 << 10
"""Taken from a connection at a time, and the longest head of an answer."""

_FAILURES = (OSError, http.client.HTTPException, ValueError)
_END_OF_HEAD = b"\r\n\r\n"
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Address(NamedTuple):
    """Where a file is read."""

    scheme: str
    place: str
    """Host and port."""
    request: str
    """What is sent, up to the range."""


class QuickReads:
    """Readings of one file; threads may share them.

    Args:
        find_address: returns a URL that plain GET requests read, and that is valid for `SIGNED_S`; None if there is
            none.
    """

    def __init__(self, find_address: Callable[[], str | None]) -> None:
        self._find_address = find_address
        self._address, self._found_at_s = Address("", "", ""), float("-inf")
        self._idle = list[socket.socket]()
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

    def _send(self, start: int, end: int) -> socket.socket | None:
        try:
            address = self._current_address()
            connection = self._take_connection(address)
        except _FAILURES:
            return None
        with suppress(OSError):  # then there will be no answer, either
            connection.sendall(f"{address.request}{start}-{end - 1}\r\n\r\n".encode("ascii"))
        return connection

    def _receive(self, connection: socket.socket, start: int, end: int) -> bytes | None:
        try:
            answer = _read_answer(connection, start, end)
        except _FAILURES:
            answer = None
        if answer is None or not answer.is_kept:
            connection.close()
        else:
            self._idle.append(connection)
        return None if answer is None else answer.data

    def _take_connection(self, address: Address) -> socket.socket:
        with suppress(IndexError):
            return self._idle.pop()
        return _connect(address)

    def _current_address(self) -> Address:
        """Return where the file is, signed anew if it is old.

        Raises:
            ValueError: it has no URL.
        """
        if time.monotonic() - self._found_at_s > SIGNED_S / 2:
            self._address, self._found_at_s = _parse(self._find_address()), time.monotonic()
        return self._address


class _Answer(NamedTuple):
    """The answer of a server that has sent all bytes of a range."""

    data: bytes
    is_kept: bool
    """Whether the server waits for another request."""


def _parse(url: str | None) -> Address:
    if url is None or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("no URL that plain GET requests read")
    scheme, place, path, query, _ = urlsplit(url)
    host, target = (
        place.removesuffix(_DEFAULT_PORTS.get(scheme, "")),
        f"{path or '/'}?{query}" if query else path or "/",
    )
    head = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: identity\r\nRange: bytes="
    return Address(scheme, place, head)


def _connect(address: Address) -> socket.socket:
    if address.scheme == "https":
        client: http.client.HTTPConnection = http.client.HTTPSConnection(
            address.place, timeout=ANSWER_S, context=_trusted()
        )
    else:
        client = http.client.HTTPConnection(address.place, timeout=ANSWER_S)
    client.connect()
    return client.sock


@lru_cache(1)
def _trusted() -> ssl.SSLContext:
    """Load the certificates that this machine trusts, which takes as long as a hundred readings, once."""
    return ssl.create_default_context()


def _read_answer(connection: socket.socket, start: int, end: int) -> _Answer | None:
    """Read an answer; None if it is not exactly the bytes [start, end)."""
    received = connection.recv(RECEIVED_BYTES)
    while _END_OF_HEAD not in received:
        more = connection.recv(RECEIVED_BYTES)
        if not more or len(received) > RECEIVED_BYTES:
            return None
        received += more
    head, _, data = received.partition(_END_OF_HEAD)
    status, *lines = head.lower().split(b"\r\n")
    fields = {name: value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    is_wanted = (
        status.startswith((b"http/1.1 206 ", b"http/1.0 206 "))
        and fields.get(b"content-range", b"").startswith(b"bytes %d-%d/" % (start, end - 1))
        and fields.get(b"content-length") == b"%d" % (end - start)
    )
    whole = _read_rest(connection, data, end - start) if is_wanted else None
    is_kept = status.startswith(b"http/1.1") and fields.get(b"connection") != b"close"
    return None if whole is None else _Answer(whole, is_kept)


def _read_rest(connection: socket.socket, data: bytes, size_bytes: int) -> bytes | None:
    """Read until there are so many bytes; None if the server sends fewer or more."""
    pieces, missing_bytes = [data], size_bytes - len(data)
    while missing_bytes > 0:
        piece = connection.recv(min(missing_bytes, RECEIVED_BYTES))
        if not piece:
            return None
        pieces.append(piece)
        missing_bytes -= len(piece)
    return b"".join(pieces) if missing_bytes == 0 else None


def _close_all(connections: list[socket.socket]) -> None:
    while connections:
        connections.pop().close()
