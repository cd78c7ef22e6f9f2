"""A server on loopback that refuses every request, for causes that no test can bring about.

The answer to HEAD has no body, as HTTP demands, and so no cause.
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Refusal:
    """An answer."""

    status: int
    code: str = ""
    """Of S3; without one the answer has no body."""

    def body(self) -> bytes:
        """Return the answer's body, which repeats parts of the request, as Amazon's does."""
        text = "<Message>Refused.</Message><StringToSign>AWS4-HMAC-SHA256</StringToSign>"
        return f"<?xml version='1.0'?><Error><Code>{self.code}</Code>{text}</Error>".encode() if self.code else b""


@contextlib.contextmanager
def refuse(refusal: Refusal) -> Iterator[str]:
    """Run the server while the context lasts, and return its URL."""

    class Handler(BaseHTTPRequestHandler):
        """Refuses one request."""

        protocol_version = "HTTP/1.1"

        def refuse(self) -> None:
            """Send the refusal and end the connection, as the request's body was not read."""
            body = b"" if self.command == "HEAD" else refusal.body()
            self.send_response(refusal.status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = refuse  # noqa: N815 - the names of the base class

        def log_message(self, *_words: object) -> None:
            """Write no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
