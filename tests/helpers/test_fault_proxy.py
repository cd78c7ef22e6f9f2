"""The proxy passes requests on unchanged, and injects exactly the faults of its rules."""

import hashlib
import http.client
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.helpers.fault_proxy import FaultProxy, Rule

BODY = bytes(range(256)) * 1_000


class _Hasher(BaseHTTPRequestHandler):
    """Answers a GET with a known body, and a PUT with the digest of its body."""

    protocol_version = "HTTP/1.1"
    puts = 0

    def do_GET(self) -> None:
        """Answer with the body, in chunks if the path says so."""
        self.send_response(200)
        if "chunked" in self.path:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))
        else:
            self._answer(BODY)

    def do_PUT(self) -> None:
        """Answer with the body's digest."""
        data = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).puts += 1
        self.send_response(200)
        self._answer(hashlib.sha256(data).hexdigest().encode())

    def _answer(self, body: bytes) -> None:
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """Run a proxy in front of a small server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hasher)
    _Hasher.puts = 0
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    with FaultProxy(server.server_port, seed=3).running() as running:
        yield running
    server.shutdown()
    server.server_close()
    thread.join()


def _connection(proxy: FaultProxy, timeout_s: float = 5) -> "closing[http.client.HTTPConnection]":
    return closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=timeout_s))


def _ask(connection: http.client.HTTPConnection, method: str, target: str = "/a", body: bytes | None = None) -> bytes:
    connection.request(method, target, body)
    return connection.getresponse().read()


def _ask_once(proxy: FaultProxy, method: str, target: str = "/a", body: bytes | None = None) -> bytes:
    with _connection(proxy) as connection:
        return _ask(connection, method, target, body)


def test_without_a_rule_the_proxy_changes_nothing(proxy: FaultProxy) -> None:
    """Both ways, in chunks or not, request after request on one connection."""
    with _connection(proxy) as connection:
        for _ in range(3):
            assert _ask(connection, "GET") == BODY
            assert _ask(connection, "GET", "/chunked") == BODY
            assert _ask(connection, "PUT", "/a", BODY) == hashlib.sha256(BODY).hexdigest().encode()

    assert [(method, fault) for method, _, fault in proxy.seen] == [("GET", None), ("GET", None), ("PUT", None)] * 3


def test_the_proxy_serves_many_connections_at_once(proxy: FaultProxy) -> None:
    """Thirty-two connections, each with several requests."""

    def ask(_: int) -> bool:
        with _connection(proxy) as connection:
            return all(_ask(connection, "GET") == BODY for _ in range(5))

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(ask, range(32)))


def test_slow_down_answers_as_s3_does(proxy: FaultProxy) -> None:
    """The answer has status and code, and the server sees no request."""
    proxy.rules.append(Rule("slow_down", method="PUT"))
    with _connection(proxy) as connection:
        connection.request("PUT", "/a", BODY)
        response = connection.getresponse()

        assert response.status == 503
        assert b"<Code>SlowDown</Code>" in response.read()
    assert _Hasher.puts == 0


@pytest.mark.parametrize(
    ("fault", "error", "puts"),
    [("reset", ConnectionResetError, 0), ("lose", ConnectionResetError, 1)],
)
def test_a_request_gets_lost_before_or_after_the_work(
    fault: str, error: type[Exception], puts: int, proxy: FaultProxy
) -> None:
    """The client cannot tell the difference."""
    proxy.rules.append(Rule(fault, method="PUT"))  # type: ignore[arg-type]  # of the list above

    with pytest.raises(error):
        _ask_once(proxy, "PUT", "/a", b"x")

    assert _Hasher.puts == puts


@pytest.mark.parametrize(("fault", "error"), [("break", ConnectionResetError), ("cut", http.client.IncompleteRead)])
def test_an_answer_breaks_off(fault: str, error: type[Exception], proxy: FaultProxy) -> None:
    """By a reset, or by a clean but early end."""
    proxy.rules.append(Rule(fault))  # type: ignore[arg-type]  # of the list above

    with pytest.raises(error):
        _ask_once(proxy, "GET")


def test_one_byte_is_flipped(proxy: FaultProxy) -> None:
    """In the answer, or in the request; the seed chooses the byte."""
    proxy.rules[:] = [Rule("flip", method="GET"), Rule("flip_upload", method="PUT")]

    data = _ask_once(proxy, "GET")
    assert [ours ^ theirs for ours, theirs in zip(data, BODY, strict=True) if ours != theirs] == [1]
    assert _ask_once(proxy, "PUT", "/a", BODY) != hashlib.sha256(BODY).hexdigest().encode()
    assert _ask_once(proxy, "GET") == BODY


def test_late_and_hanging_answers(proxy: FaultProxy) -> None:
    """A late answer comes after its delay, a hanging one never."""
    proxy.rules[:] = [Rule("late", delay_s=0.2), Rule("hang")]
    started_s = time.monotonic()
    assert _ask_once(proxy, "GET") == BODY
    assert time.monotonic() - started_s > 0.2

    with _connection(proxy, timeout_s=0.3) as connection, pytest.raises(TimeoutError):
        _ask(connection, "GET")


def test_rules_match_and_count(proxy: FaultProxy) -> None:
    """By method, by target, after some requests, a number of times, and by chance."""
    proxy.rules[:] = [Rule("slow_down", method="GET", target="key=b", skip=1, count=2)]
    for target in ("/?key=a", "/?key=b", "/?key=b", "/?key=b", "/?key=b"):
        _ask_once(proxy, "GET", target)
    _ask_once(proxy, "PUT", "/?key=b", b"")
    assert [fault for *_, fault in proxy.seen] == [None, None, "slow_down", "slow_down", None, None]

    proxy.rules[:] = [Rule("slow_down", count=None, chance=0.3)]
    for _ in range(60):
        _ask_once(proxy, "GET")
    assert 8 <= proxy.rules[0].met <= 30
