"""An S3 server on loopback that takes keys as they are, as Amazon does: the real one of the tests drops empty parts."""

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@contextlib.contextmanager
def serve_keys(objects: Mapping[str, bytes]) -> Iterator[str]:
    """Serve objects, by key, of the bucket `bucket` for reading, and return the server's URL."""

    class Handler(BaseHTTPRequestHandler):
        """Answers one request."""

        protocol_version = "HTTP/1.1"

        def read(self) -> None:
            """Answer with an object, a range of one, or a list."""
            address = urlsplit(self.path)
            bucket, _, key = unquote(address.path).removeprefix("/").partition("/")
            if bucket != "bucket" or (key and key not in objects):
                self.reply(404, f"<Error><Code>{'NoSuchKey' if bucket == 'bucket' else 'NoSuchBucket'}</Code></Error>")
            elif key:
                self.reply_with(objects[key])
            else:
                asked = {name: values[0] for name, values in parse_qs(address.query).items()}
                self.reply(200, _list(objects, asked.get("prefix", ""), int(asked.get("max-keys", 1000))))

        def reply_with(self, data: bytes) -> None:
            """Answer with the bytes, or the range, that were asked for."""
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            start, end = (int(asked[1]), min(int(asked[2]) + 1, len(data))) if asked else (0, len(data))
            etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
            more = {"ETag": etag, "Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}
            self.reply(206 if asked else 200, data[start:end], more)

        def reply(self, status: int, body: bytes | str, more: Mapping[str, str] | None = None) -> None:
            """Send an answer."""
            data = body.encode() if isinstance(body, str) else body
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **(more or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else data)

        do_GET = do_HEAD = read  # noqa: N815 - the names of the base class

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


def _list(objects: Mapping[str, bytes], prefix: str, most: int) -> str:
    keys = sorted(key for key in objects if key.startswith(prefix))[:most]
    items = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(objects[key])}</Size><LastModified>2026-01-01T00:00:00Z"
        f'</LastModified><ETag>"{hashlib.md5(objects[key], usedforsecurity=False).hexdigest()}"</ETag></Contents>'
        for key in keys
    )
    return (
        f"<ListBucketResult><KeyCount>{len(keys)}</KeyCount><IsTruncated>false</IsTruncated>{items}</ListBucketResult>"
    )
