"""Single requests to S3: each is tried again by itself, and its answer is checked before it is believed.

Raises what s3fs and its client raise. Which requests make up a verb is the business of `object_store`.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

from fsspec.asyn import sync

from pipeline.storage.errors import FileChangedError, ShortAnswerError, answer_of
from pipeline.storage.retry import ANSWER_S, attempt_s, retry

REQUESTS = 16
"""Requests at once for one caller: about where more stop helping."""

_MD5 = re.compile(r"[0-9a-f]{32}")
"""What the ETag of an object looks like that was put in one piece; one put in parts ends in `-<parts>`."""

Reply = dict[str, Any]
"""S3's answer, as its client hands it out."""


class Piece(NamedTuple):
    """What a request for bytes brought."""

    data: bytes
    etag: str
    """Of the whole object."""
    is_sound: bool
    """Whether it was the whole object and its MD5 fits, or cannot be known."""


@dataclass(frozen=True)
class S3Requests:
    """Requests with one set of credentials; a path is `bucket/key`."""

    filesystem: Any
    """s3fs's, for its client, its event loop and its names of errors.

    Not for its filesystem verbs: they repeat a long listing, read or upload from its start, and keep old listings.
    """

    options: ClassVar[dict[str, Any]] = {
        "use_listings_cache": False,
        "config_kwargs": {
            "retries": {"mode": "standard", "total_max_attempts": 1},  # `storage_retry` has the one policy
            "connect_timeout": ANSWER_S / 3,
            "read_timeout": ANSWER_S,
            "max_pool_connections": 2 * REQUESTS,
        },
    }
    """What s3fs is opened with. Credentials and endpoint are its own business: the usual variables, or a profile."""

    def __post_init__(self) -> None:
        """Switch off s3fs's own retries, which its options leave out."""
        self.filesystem.retries = 1

    @property
    def endpoint(self) -> str:
        """URL of the server."""
        self.filesystem.connect()
        return str(self.filesystem.s3.meta.endpoint_url)

    def ask(self, method: str, path: str, size_bytes: int = 0, **details: Any) -> Reply:  # noqa: ANN401 - S3's own
        """Ask something of an object; with `size_bytes` to send along."""
        return retry(f"s3://{path}", lambda: self.ask_once(method, path, size_bytes, **details))

    def ask_once(self, method: str, path: str, size_bytes: int = 0, **details: Any) -> Reply:  # noqa: ANN401 - S3's own
        """Make one attempt to ask something of an object."""
        bucket, key, _ = self.filesystem.split_path(path)
        return self._call(method, size_bytes, Bucket=bucket, Key=key, **details)

    def page(self, path: str, **details: Any) -> Reply:  # noqa: ANN401 - S3's own
        """List the first or next objects below a path, at most 1,000; twice, where a wire may damage the list."""
        bucket, key, _ = self.filesystem.split_path(path)
        prefix = f"{key}/" if key else ""

        def once() -> Reply:
            try:
                return self._call("list_objects_v2", Bucket=bucket, Prefix=prefix, **details)
            except ValueError as error:  # of the client's parser
                raise ShortAnswerError(f"a list came damaged: {error}") from error

        def confirmed() -> Reply:
            first, second = once(), once()
            if _listed(first) != _listed(second):
                raise ShortAnswerError("a list came differently twice")
            return first

        return retry(f"s3://{path}", once if self.endpoint.startswith("https://") else confirmed)

    def get(self, path: str) -> Piece:
        """Read an object in one request."""
        data, reply = retry(f"s3://{path}", lambda: self._get(path))
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return Piece(data, reply["ETag"], _md5_in(reply) in {None, md5})

    def get_range(self, path: str, start: int, end: int, **details: str) -> Piece:
        """Read the bytes [start, end) of an object, as far as there are any."""
        return retry(f"s3://{path}", lambda: self._get_range(path, start, end, **details))

    def _get_range(self, path: str, start: int, end: int, **details: str) -> Piece:
        try:
            data, reply = self._get(path, Range=f"bytes={start}-{end - 1}", **details)
        except OSError as error:
            answer = answer_of(error)
            if answer is not None and answer.status == 416:  # the range lies past the end
                return Piece(b"", "", is_sound=True)
            if answer is not None and answer.status == 412:
                raise FileChangedError("it was replaced while it was read") from error
            raise
        total_bytes = int(reply["ContentRange"].rpartition("/")[2])
        _expect(min(end, total_bytes) - start, data)
        return Piece(data, reply["ETag"], is_sound=True)

    def _get(self, path: str, **details: Any) -> tuple[bytes, Reply]:  # noqa: ANN401 - S3's own
        reply = self.ask_once("get_object", path, **details)
        data: bytes = sync(self.filesystem.loop, _body, reply["Body"], timeout=attempt_s(reply["ContentLength"]))
        _expect(reply["ContentLength"], data)
        return data, reply

    def _call(self, method: str, size_bytes: int = 0, **details: Any) -> Reply:  # noqa: ANN401 - S3's own
        """Make one attempt; its time is limited here, for the client's own limits leave `100-continue` out."""
        return cast("Reply", self.filesystem.call_s3(method, timeout=attempt_s(size_bytes), **details))


async def _body(stream: Any) -> bytes:  # noqa: ANN401 - aiobotocore's
    async with stream:
        return cast("bytes", await stream.read())


def _expect(size_bytes: int, data: bytes) -> None:
    if len(data) != size_bytes:
        raise ShortAnswerError(f"{len(data)} bytes came where {size_bytes} were due")


def _md5_in(reply: Reply) -> str | None:
    """Return the object's MD5 where its ETag is one: put in one piece, and not encrypted with a key of its own."""
    etag = str(reply["ETag"]).strip('"')
    is_plain = reply.get("ServerSideEncryption", "AES256") == "AES256"
    return etag if is_plain and _MD5.fullmatch(etag) else None


def _listed(page: Reply) -> tuple[object, ...]:
    """Return what of a page is acted on."""
    files = [(file["Key"], file["Size"], file["ETag"]) for file in page.get("Contents", [])]
    return page.get("KeyCount"), page.get("IsTruncated"), page.get("NextContinuationToken"), files
