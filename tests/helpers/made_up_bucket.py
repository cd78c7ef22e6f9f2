"""A bucket of S3 that is made up: it lists and serves any number of objects of one content, which nobody has to have.

`MadeUpBucket.list_page` answers as S3 does, and is also a fake for tests in one process. `run_server` serves it on
loopback from another process, with an answer after a while.
"""

import asyncio
import contextlib
import hashlib
import multiprocessing
import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "photos"

PAGE_KEYS = 1000
"""S3's own limit."""

_XML = b'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'


class MadeUpBucket(NamedTuple):
    """Objects of one content, each with an ETag of its own."""

    keys: Sequence[str]
    """In the order of S3, which is that of their bytes in UTF-8."""
    content: bytes = b"photo"
    page_keys: int = PAGE_KEYS

    def list_page(self, prefix: str, after: str = "", max_keys: int = PAGE_KEYS) -> dict[str, Any]:
        """List the objects with a prefix that come after a key, as `list_objects_v2` of S3's client does."""
        first, most = max(bisect_left(self.keys, prefix), bisect_right(self.keys, after)), min(max_keys, self.page_keys)
        found = [key for key in self.keys[first : first + most + 1] if key.startswith(prefix)]
        listed = found[:most]
        contents = [{"Key": key, "Size": len(self.content), "ETag": f'"{make_etag(key)}"'} for key in listed]
        more = {"IsTruncated": True, "NextContinuationToken": listed[-1]} if len(found) > most else {}
        return {"KeyCount": len(listed), "Contents": contents, **more}


def make_etag(key: str) -> str:
    """Return what stands for the MD5 of an object."""
    return hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()


@contextlib.contextmanager
def run_server(bucket: MadeUpBucket, answer_s: float = 0.0) -> Iterator[dict[str, str]]:
    """Serve a bucket on loopback from another process, and yield the variables with which a client of S3 finds it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(bucket, answer_s, theirs), daemon=True)
    process.start()
    try:
        yield {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ours.recv()}",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        process.terminate()
        process.join()


def serve(bucket: MadeUpBucket, answer_s: float, pipe: "Connection[int, int]") -> None:
    """Answer requests until the process ends; tell the port through a pipe."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                method, target, _ = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
                await asyncio.sleep(answer_s)
                writer.write(make_answer(bucket, method.decode(), target.decode()))
                await writer.drain()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def make_answer(bucket: MadeUpBucket, method: str, target: str) -> bytes:
    """Answer one request: a listing for a bucket, and for a key its object, if there is one."""
    url = urlsplit(target)
    key = unquote(url.path).removeprefix(f"/{BUCKET}").removeprefix("/")
    if not key:
        return _make_reply("200 OK", _make_listing(bucket, parse_qs(url.query)))
    at = bisect_left(bucket.keys, key)
    if bucket.keys[at : at + 1] != [key]:
        return _make_reply("404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>", with_body=method != "HEAD")
    return _make_reply("200 OK", bucket.content, make_etag(key), with_body=method != "HEAD")


def _make_listing(bucket: MadeUpBucket, query: dict[str, list[str]]) -> bytes:
    after = query.get("continuation-token", query.get("start-after", [""]))[0]
    page = bucket.list_page(query.get("prefix", [""])[0], after, int(query.get("max-keys", ["1000"])[0]))
    parts = [f"<Name>{BUCKET}</Name><KeyCount>{page['KeyCount']}</KeyCount>"]
    if page.get("IsTruncated"):
        token = escape(page["NextContinuationToken"])
        parts.append(f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>")
    parts += [
        f"<Contents><Key>{escape(item['Key'])}</Key><LastModified>2026-11-01T00:00:00.000Z</LastModified>"
        f"<ETag>{escape(item['ETag'])}</ETag><Size>{item['Size']}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for item in page["Contents"]
    ]
    return _XML + "".join(parts).encode() + b"</ListBucketResult>"


def _make_reply(status: str, body: bytes, etag: str | None = None, *, with_body: bool = True) -> bytes:
    tag = "" if etag is None else f'ETag: "{etag}"\r\n'
    head = f"HTTP/1.1 {status}\r\n{tag}Content-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + (body if with_body else b"")
