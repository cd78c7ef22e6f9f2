"""An HTTP proxy that passes bytes on unchanged, so that signatures stay valid, unless a rule injects a fault.

Clients use the proxy's address as the endpoint that they sign for. It runs in a thread of this process and serves any
number of persistent connections, so subprocesses and Ray's workers can use it, too.
"""

import asyncio
import contextlib
import random
import re
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Literal

Fault = Literal["slow_down", "reset", "hang", "late", "lose", "break", "cut", "flip", "flip_upload"]
"""The fault:

slow_down: 503 SlowDown · reset: the connection is reset before the request is passed on · hang: no answer, ever
late: passed on `delay_s` later · lose: the server does the work, and a reset loses its answer
break, cut: a reset, or a clean end, in the middle of the answer's body
flip, flip_upload: one byte of the body of the answer, or of the request, is changed
"""

_SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message><RequestId>0</RequestId></Error>"
)

_CHUNK_BYTES = 1 << 16


@dataclass
class Rule:
    """Which requests meet which fault."""

    fault: Fault
    method: str = ".*"
    """Regular expression for the whole method."""
    target: str = ""
    """Regular expression for a part of the path with its query."""
    count: int | None = 1
    """How many requests meet it; None for all."""
    skip: int = 0
    """How many requests pass first."""
    chance: float = 1.0
    """Probability for each matching request, drawn from the proxy's seed."""
    delay_s: float = 2.0
    """Delay of `late`."""
    met: int = field(default=0, init=False)
    """How many requests have met it."""

    def matches(self, method: str, target: str, chance: random.Random) -> bool:
        """Tell whether a request meets the fault, and count it."""
        is_match = re.fullmatch(self.method, method) and re.search(self.target, target)
        if not is_match or (self.count is not None and self.met >= self.count):
            return False
        if self.skip:
            self.skip -= 1
            return False
        is_drawn = chance.random() < self.chance
        self.met += is_drawn
        return is_drawn


class _CutError(Exception):
    """Ends an answer here, cleanly."""


class Message:
    """A request or an answer: its head, and a stream of its body."""

    def __init__(self, head: bytes, reader: asyncio.StreamReader, *, has_body: bool = True) -> None:
        self.head = head
        self.reader = reader
        self.first, *lines = head.decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(":", 1) for line in lines if ":" in line)
        self.fields = {name.strip(): value.strip() for name, value in fields.items()}
        self.is_chunked = has_body and "chunked" in self.fields.get("transfer-encoding", "")
        self.length = int(self.fields.get("content-length", 0)) if has_body and not self.is_chunked else 0

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the body piece by piece, with chunk marks."""
        left = self.length
        while left:
            piece = await self.reader.read(min(left, _CHUNK_BYTES))
            if not piece:
                raise ConnectionResetError
            left -= len(piece)
            yield piece
        while self.is_chunked:
            mark = await self.reader.readuntil(b"\r\n")
            size = int(mark.split(b";")[0], 16)
            yield mark + await self.reader.readexactly(size + 2)
            self.is_chunked = size > 0


class FaultProxy:
    """The proxy; a test may add and remove rules while it runs.

    Args:
        upstream_port: port of the server on loopback.
        seed: decides by chance, and chooses the byte to flip.
    """

    def __init__(self, upstream_port: int, seed: int = 0) -> None:
        self.rules: list[Rule] = []
        self.seen: list[tuple[str, str, Fault | None]] = []
        """Method, target and fault of each request, in order."""
        self.port = 0
        self._upstream_port = upstream_port
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._connections: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def running(self) -> Iterator["FaultProxy"]:
        """Serve while the context lasts."""
        thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="fault-proxy")
        thread.start()
        server = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._stop(server), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    async def _start(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20, backlog=1_024)

    async def _stop(self, server: asyncio.Server) -> None:
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Pass the requests of one connection on to a connection of its own, one after another."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        upstream: asyncio.StreamWriter | None = None
        try:
            answers, upstream = await asyncio.open_connection("127.0.0.1", self._upstream_port, limit=1 << 20)
            while await self._exchange(reader, client, answers, upstream):
                pass
        except _CutError:
            pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            _reset(client)
        finally:
            self._connections.discard(task)
            for writer in (client, upstream):
                if writer is not None:
                    writer.close()

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
    ) -> bool:
        """Pass on one request and its answer; tell whether the connection can take another."""
        try:
            request = Message(await reader.readuntil(b"\r\n\r\n"), reader)
        except asyncio.IncompleteReadError:  # the client has no more requests
            return False
        rule = self._rule_for(request)
        fault = rule.fault if rule else None
        if rule and fault in {"slow_down", "reset", "hang", "late"} and not await _inject_before(rule, request, client):
            return False
        sent = asyncio.ensure_future(self._send(request, upstream, flip=fault == "flip_upload"))
        try:
            answer = await self._answer_head(request, answers, client)
            await self._pass_on(answer, client, fault)
            is_complete = (
                sent in (await asyncio.wait({sent}, timeout=0.1))[0]
            )  # an early answer leaves the request incomplete
        finally:
            sent.cancel()
            await asyncio.gather(sent, return_exceptions=True)
        return is_complete and answer.fields.get("connection") != "close"

    def _rule_for(self, request: Message) -> Rule | None:
        method, target, _version = request.first.split(" ", 2)
        chosen = next((rule for rule in self.rules if rule.matches(method, target, self._random)), None)
        self.seen.append((method, target, chosen.fault if chosen else None))
        return chosen

    def _choose_byte(self, message: Message) -> int:
        return self._random.randrange(message.length) if message.length else -1

    async def _send(self, message: Message, to: asyncio.StreamWriter, *, flip: bool) -> None:
        to.write(message.head)
        await self._copy(message, to, flip_at=self._choose_byte(message) if flip else -1)

    async def _answer_head(
        self, request: Message, answers: asyncio.StreamReader, client: asyncio.StreamWriter
    ) -> Message:
        """Read the answer's head; pass `100 Continue` on at once."""
        while True:
            head = await answers.readuntil(b"\r\n\r\n")
            answer = Message(head, answers, has_body=not request.first.startswith("HEAD"))
            if answer.first.split(" ")[1] != "100":
                return answer
            client.write(head)
            await client.drain()

    async def _pass_on(self, answer: Message, client: asyncio.StreamWriter, fault: Fault | None) -> None:
        if fault == "lose":
            async for _ in answer.body():
                pass
            raise ConnectionResetError
        client.write(answer.head)
        if fault in {"break", "cut"}:
            await self._copy(answer, client, up_to=max(1, answer.length // 2))
            if fault == "break":
                raise ConnectionResetError
            raise _CutError
        await self._copy(answer, client, flip_at=self._choose_byte(answer) if fault == "flip" else -1)

    async def _copy(
        self, message: Message, to: asyncio.StreamWriter, *, up_to: int | None = None, flip_at: int = -1
    ) -> None:
        position = 0
        async for piece in message.body():
            passed = bytearray(piece if up_to is None else piece[: up_to - position])
            if 0 <= flip_at - position < len(passed):
                passed[flip_at - position] ^= 1
            position += len(passed)
            to.write(passed)
            await to.drain()
            if up_to is not None and position >= up_to:
                return
        await to.drain()


async def _inject_before(rule: Rule, request: Message, client: asyncio.StreamWriter) -> bool:
    """Inject the faults that come before the server sees the request; tell whether to pass it on."""
    if rule.fault == "reset":
        raise ConnectionResetError
    if rule.fault == "hang":
        await asyncio.sleep(3_600)
    if rule.fault == "late":
        await asyncio.sleep(rule.delay_s)
        return True
    if "expect" not in request.fields:  # else the client has not sent the body yet
        async for _ in request.body():
            pass
    client.write(
        b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(_SLOW_DOWN), b"" if request.first.startswith("HEAD") else _SLOW_DOWN)
    )
    await client.drain()
    return False


def _reset(client: asyncio.StreamWriter) -> None:
    """End the connection with a reset."""
    connection = client.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
