"""Quick readings yield exactly the bytes of a range, or nothing at all, and never fail."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline import storage
from pipeline.storage.byte_ranges import BytesRangeReader, FileRangeReader, QuickReader, Window, hasten
from pipeline.storage.quick_reads import MOST_FAILURES, QuickReads

DATA = bytes(range(256)) * 8
Answer = Callable[[BaseHTTPRequestHandler, int, int], None]


def answer_range(handler: BaseHTTPRequestHandler, start: int, end: int) -> None:
    """Answer as servers do."""
    send(handler, 206, DATA[start:end], start)


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, start: int, size_bytes: int | None = None) -> None:
    """Send an answer whose body may be shorter than it says."""
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if size_bytes is None else size_bytes))
    if status == 206:
        handler.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(DATA)}")
    handler.end_headers()
    handler.wfile.write(body)


def cut(handler: BaseHTTPRequestHandler, start: int, end: int) -> None:
    """Close the connection within the body."""
    send(handler, 206, DATA[start : end - 1], start, size_bytes=end - start)
    handler.close_connection = True


def answer_in_pieces(handler: BaseHTTPRequestHandler, start: int, end: int) -> None:
    """Answer a few bytes at a time."""
    body = DATA[start:end]
    head = f"HTTP/1.1 206 OK\r\nContent-Range: bytes {start}-{end - 1}/*\r\ncontent-length:{len(body)}\r\n\r\n"
    for at in range(0, len(head) + len(body), 3):
        handler.wfile.write((head.encode() + body)[at : at + 3])


def answer_and_close(handler: BaseHTTPRequestHandler, start: int, end: int) -> None:
    """Answer, and say that no further request is waited for."""
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 206 OK\r\nConnection: close\r\n")
    handler.wfile.write(b"Content-Range: bytes %d-%d/9\r\nContent-Length: %d\r\n" % (start, end - 1, end - start))
    handler.wfile.write(b"\r\n" + DATA[start:end])


def in_turn(*answers: Answer) -> Answer:
    """Answer each request in its own way."""
    left = iter(answers)

    def answer(handler: BaseHTTPRequestHandler, start: int, end: int) -> None:
        next(left)(handler, start, end)

    return answer


@contextmanager
def serve(answer: Answer) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Serve `DATA` at a URL on loopback, and note the connections (ports) and starts of the requests."""
    asked = list[tuple[int, int]]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            start, last = self.headers["Range"].removeprefix("bytes=").split("-")
            asked.append((self.client_address[1], int(start)))
            answer(self, int(start), int(last) + 1)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/a.tar", asked
    finally:
        server.shutdown()
        server.server_close()


def test_ranges_come_on_kept_connections() -> None:
    """Two at the same time need two connections, which all later readings use."""
    with serve(answer_range) as (url, asked):
        quick = QuickReads(lambda: url)
        assert quick.read([(0, 10), (500, 777)]) == [DATA[:10], DATA[500:777]]
        for start in range(20):
            assert quick.read([(start, 600)]) == [DATA[start:600]]
        assert len({port for port, _ in asked}) == 2
        assert quick.read([]) == []


def test_an_answer_may_come_in_pieces() -> None:
    """Of the head as of the data; large ranges are longer than what comes at once."""
    with serve(answer_in_pieces) as (url, asked):
        quick = QuickReads(lambda: url)
        assert [quick.read([(start, 200)]) for start in range(3)] == [[DATA[start:200]] for start in range(3)]
        assert len({port for port, _ in asked}) == 1
    large = DATA * 300
    with serve(lambda handler, start, end: send(handler, 206, large[start:end], start)) as (url, _):
        assert QuickReads(lambda: url).read([(5, 500_000), (0, 0x10000)]) == [large[5:500_000], large[:0x10000]]


def test_a_connection_is_kept_only_if_the_server_keeps_it() -> None:
    """Each reading has its own then."""
    with serve(answer_and_close) as (url, asked):
        quick = QuickReads(lambda: url)
        assert [quick.read([(start, 9)]) for start in range(3)] == [[DATA[start:9]] for start in range(3)]
        assert len({port for port, _ in asked}) == 3


@pytest.mark.parametrize(
    "answer",
    [
        cut,
        lambda handler, start, end: send(handler, 206, DATA[start : end + 1], start, size_bytes=end - start),
        lambda handler, start, _end: send(handler, 206, b"", start, size_bytes=1 << 40),
        lambda handler, _start, _end: handler.wfile.write(b"HTTP/1.1 206 OK\r\nX: " + b"x" * (1 << 18)),
        lambda handler, start, end: send(handler, 206, DATA[start : end - 1], start),
        lambda handler, start, end: send(handler, 206, DATA[start:end], start + 1),
        lambda handler, start, end: send(handler, 200, DATA[start:end], start),
        lambda handler, start, _end: send(handler, 503, b"SlowDown", start),
        lambda handler, start, _end: send(handler, 403, b"", start),
        lambda handler, _start, _end: handler.wfile.write(b"no HTTP\r\n\r\n"),
    ],
    ids=["cut", "long", "huge", "endless head", "short", "elsewhere", "whole", "busy", "refused", "other"],
)
def test_anything_but_success_is_nothing(answer: Answer) -> None:
    """The caller reads again, in the way that tells failures."""
    with serve(answer) as (url, _):
        assert QuickReads(lambda: url).read([(3, 9)]) == [None]


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:1/a.tar", "http://127.0.0.1:1/a b.tar", "ftp:", "http://[/"])
def test_what_cannot_be_reached_is_nothing(url: str | None) -> None:
    """So is what has no URL of its own."""
    assert QuickReads(lambda: url).read([(3, 9)]) == [None]


def test_a_server_that_answers_nothing_is_left_alone() -> None:
    """A few attempts show that; one that answers at times is asked on."""
    with serve(lambda handler, start, _end: send(handler, 403, b"", start)) as (url, asked):
        quick = QuickReads(lambda: url)
        assert [quick.read([(0, 1)]) for _ in range(9)] == [[None]] * 9
        assert len(asked) == MOST_FAILURES
    with serve(in_turn(answer_range, *[cut] * 5, answer_range)) as (url, _):
        quick = QuickReads(lambda: url)
        found = [quick.read([(0, 5)]) for _ in range(7)]
        assert found == [[DATA[:5]], *[[None]] * 5, [DATA[:5]]]


def test_a_file_yields_its_bytes_however_its_server_answers() -> None:
    """What does not come quickly comes slowly; ranges end with the file."""
    with serve(in_turn(answer_range, cut, *[answer_range] * 9)) as (url, _):
        source = hasten(FileRangeReader(url, len(DATA)))
        assert isinstance(source, QuickReader)
        assert not source.is_protected
        assert source.name == "a.tar"
        assert source.read([(0, 7)]) == [DATA[:7]]
        assert source.read([(5, 9)]) == [DATA[5:9]]
        assert source.read([(2_000, 9_999), (9_999, 10_000)]) == [DATA[2_000:], b""]


def test_only_files_on_a_store_are_hastened(tmp_path: object) -> None:
    """And windows of them: archives in archives."""
    local, memory = FileRangeReader(storage.canonical(str(tmp_path)), 9), BytesRangeReader("a", b"")
    assert hasten(local) is local
    assert hasten(memory) is memory
    one_at_a_time = FileRangeReader("memory://a.tar", 9)
    assert hasten(one_at_a_time) is one_at_a_time
    remote = FileRangeReader("http://127.0.0.1:1/a.zip", 9)
    window = hasten(Window(remote, 3, 7, "in.tar"))
    assert isinstance(window, Window)
    assert isinstance(window.source, QuickReader)
    assert (window.start, window.end, window.name) == (3, 7, "in.tar")
