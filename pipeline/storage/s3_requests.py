"""Single requests to S3, each with its own retries and a check of its answer.

They raise the errors of s3fs and its client. `storage.s3` combines requests into verbs.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from fsspec.asyn import sync

from pipeline.core.counts import count_of
from pipeline.storage.errors import (
    REDIRECTED,
    FileChangedError,
    NoBucketError,
    ShortAnswerError,
    answer_of,
    failures,
    is_transient,
)
from pipeline.storage.retry import RetryPolicy, current_policy, retry
from pipeline.storage.s3_pages import parse_quickly

REQUESTS = 16
"""Parallel requests of one caller; more hardly help."""
CONNECTIONS = 128
"""Of one process: several callers, or the 64 threads that list a tar and may read all of it twice."""

_MD5 = re.compile(r"[0-9a-f]{32}")
"""The ETag of an object that was put in one piece; that of a multipart upload ends in `-<parts>`."""

Reply = dict[str, Any]
"""S3's answer, from its client."""


class Piece(NamedTuple):
    """The answer to a request for bytes."""

    data: bytes
    etag: str
    """Of the whole object."""
    is_sound: bool
    """Whether the MD5 of the whole object fits, or there is none to compare."""


@dataclass(frozen=True)
class S3Requests:
    """Requests with one set of credentials; a path is `bucket/key`."""

    filesystem: Any
    """Of s3fs, for its client, its event loop and its error classes.

    Not for its filesystem verbs: they restart a long listing, read or upload, and cache listings.
    """

    options: ClassVar[dict[str, Any]] = {
        "use_listings_cache": False,
        "config_kwargs": {
            "retries": {"mode": "standard", "total_max_attempts": 1},  # `storage.retry` has the one policy
            "connect_timeout": RetryPolicy().answer_s / 3,
            "read_timeout": RetryPolicy().answer_s,
            "max_pool_connections": CONNECTIONS,
        },
    }
    """For opening s3fs, which finds credentials and endpoint itself: in the usual variables, or a profile."""

    def __post_init__(self) -> None:
        """Switch off s3fs's own retries; its options cannot."""
        self.filesystem.retries = 1

    @property
    def endpoint(self) -> str:
        """The URL of the server."""
        with tell_cause():
            self.filesystem.connect()
        return str(self.filesystem.s3.meta.endpoint_url)

    def sign(self, path: str, lasts_s: int) -> str | None:
        """Return a URL with which anybody reads an object for some seconds; None without keys, or behind a proxy."""
        from botocore.auth import S3SigV4QueryAuth  # with s3fs, which a run without S3 does not load
        from botocore.awsrequest import AWSRequest

        endpoint, region = self.endpoint, self.filesystem.s3.meta.region_name
        credentials = sync(self.filesystem.loop, _find_credentials, self.filesystem.session)
        needs_proxy = getproxies() and not proxy_bypass(urlsplit(endpoint).netloc)
        if credentials is None or needs_proxy:
            return None
        bucket, key = self._split(path)
        request = AWSRequest("GET", f"{endpoint}/{bucket}/{quote(key, safe='/~')}")
        S3SigV4QueryAuth(credentials, "s3", region, expires=lasts_s).add_auth(request)
        return str(request.url)

    def call(self, method: str, path: str, size_bytes: int = 0, **details: Any) -> Reply:  # noqa: ANN401 - S3's own
        """Call a method of the client on an object, and send `size_bytes` with it."""
        return retry(f"s3://{path}", lambda: self.call_once(method, path, size_bytes, **details))

    def call_once(self, method: str, path: str, size_bytes: int = 0, **details: Any) -> Reply:  # noqa: ANN401 - S3's own
        """Make one attempt of such a call."""
        bucket, key = self._split(path)
        return self._send(method, size_bytes, Bucket=bucket, Key=key, **details)

    def head(self, path: str) -> Reply:
        """Look up an object.

        A refused HEAD has no body, so the object is asked for with GET, too, whose refusal says why. Of a missing
        object this learns nothing but a missing bucket; see `S3Store`.
        """

        def once() -> Reply:
            try:
                return self.call_once("head_object", path)
            except failures() as error:
                if not isinstance(error, FileNotFoundError) and answer_of(error) and not is_transient(error):
                    self._get(path, Range="bytes=0-0")
                raise

        return retry(f"s3://{path}", once)

    def list_page(self, path: str, **details: Any) -> Reply:  # noqa: ANN401 - S3's own
        """List the first or next objects below a path, at most 1,000; twice over plain HTTP, which may damage it."""
        bucket, key = self._split(path)
        prefix = f"{key}/" if key else ""

        def once() -> Reply:
            try:
                return self._send("list_objects_v2", Bucket=bucket, Prefix=prefix, **details)
            except ValueError as error:  # from the client's parser
                raise ShortAnswerError(f"a list came damaged: {error}") from error

        def confirmed() -> Reply:
            first, second = once(), once()
            if _content_of(first) != _content_of(second):
                raise ShortAnswerError("a list came differently twice")
            return first

        is_protected = self.endpoint.startswith("https://")
        parse_quickly(self.filesystem.s3)
        return retry(f"s3://{path}", once if is_protected else confirmed)

    def get(self, path: str) -> Piece:
        """Read an object in one request."""
        data, reply = retry(f"s3://{path}", lambda: self._get(path))
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return Piece(data, reply["ETag"], md5_of_reply(reply) in {None, md5})

    def get_range(self, path: str, start: int, end: int, **details: str) -> Piece:
        """Read the bytes [start, end) of an object, or fewer at its end."""
        return retry(f"s3://{path}", lambda: self._get_range(path, start, end, **details))

    def _get_range(self, path: str, start: int, end: int, **details: str) -> Piece:
        try:
            data, reply = self._get(path, Range=f"bytes={start}-{end - 1}", **details)
        except OSError as error:
            answer = answer_of(error)
            if answer is not None and answer.status == 416:  # the range begins past the end
                return Piece(b"", "", is_sound=True)
            if answer is not None and answer.status == 412:
                raise FileChangedError("it was replaced while it was read") from error
            raise
        total_bytes = int(reply["ContentRange"].rpartition("/")[2])
        _check_length(min(end, total_bytes) - start, data)
        return Piece(data, reply["ETag"], is_sound=True)

    def _get(self, path: str, **details: Any) -> tuple[bytes, Reply]:  # noqa: ANN401 - S3's own
        reply = self.call_once("get_object", path, **details)
        data: bytes = sync(self.filesystem.loop, _read_body, reply["Body"], timeout=_attempt_s(reply["ContentLength"]))
        _check_length(reply["ContentLength"], data)
        return data, reply

    def _split(self, path: str) -> tuple[str, str]:
        """Split a path; s3fs cuts a key at `?versionId=`, which may be a part of it."""
        bucket: str = self.filesystem.split_path(path)[0]
        return bucket, path[len(bucket) + 1 :]

    def _send(self, method: str, size_bytes: int = 0, **details: Any) -> Reply:  # noqa: ANN401 - S3's own
        """Make one attempt with a time limit of ours: the client's own limits ignore `100-continue`."""
        with tell_cause():
            return cast("Reply", self.filesystem.call_s3(method, timeout=_attempt_s(size_bytes), **details))


@contextlib.contextmanager
def tell_cause() -> Iterator[None]:
    """Tell a missing bucket from a missing file, and a bad address from a bad answer, which s3fs does not."""
    try:
        yield
    except FileNotFoundError as error:
        answer = answer_of(error)
        if answer is not None and answer.code == "NoSuchBucket":
            raise NoBucketError(str(error)) from error.__cause__
        raise
    except RecursionError:  # the client follows a redirection that names no region again and again
        raise OSError(REDIRECTED) from None
    except ValueError as error:
        if "Invalid endpoint" not in str(error):
            raise
        raise OSError("AWS_ENDPOINT_URL is no URL of a server; expected one such as https://host:9000") from error


async def _find_credentials(session: Any) -> Any:  # noqa: ANN401 - aiobotocore's
    credentials = await session.get_credentials()
    return None if credentials is None else await credentials.get_frozen_credentials()


async def _read_body(stream: Any) -> bytes:  # noqa: ANN401 - aiobotocore's
    async with stream:
        return cast("bytes", await stream.read())


def _attempt_s(size_bytes: int) -> float:
    return current_policy().attempt_s(size_bytes)


def _check_length(size_bytes: int, data: bytes) -> None:
    if len(data) != size_bytes:
        raise ShortAnswerError(f"{count_of(len(data), 'byte')} came where {size_bytes} were due")


def md5_of_reply(reply: Reply) -> str | None:
    """Return the object's MD5 if its ETag is one: neither multipart, nor encrypted with a key of its own."""
    etag = str(reply["ETag"]).strip('"')
    is_plain = reply.get("ServerSideEncryption", "AES256") == "AES256"
    return etag if is_plain and _MD5.fullmatch(etag) else None


def _content_of(page: Reply) -> tuple[object, ...]:
    """Return the parts of a page that we use."""
    files = [(file["Key"], file["Size"], file["ETag"]) for file in page.get("Contents", [])]
    return page.get("KeyCount"), page.get("IsTruncated"), page.get("NextContinuationToken"), files
