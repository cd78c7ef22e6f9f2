"""S3: each verb is made of single requests, each with its own retries.

It raises the errors of s3fs and its client; `storage.files` puts them into words.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from fsspec.utils import glob_translate

from pipeline.storage.errors import FileChangedError, ShortAnswerError, answer_of, failures
from pipeline.storage.parallel import run_together
from pipeline.storage.remote_file import RemoteFile
from pipeline.storage.retry import retry
from pipeline.storage.s3_listing import find_objects
from pipeline.storage.s3_requests import REQUESTS, Reply, S3Requests, tell_cause

BLOCK_BYTES = 8 << 20
"""The largest ranged request, and so the most that is read again after a break."""

PART_BYTES = 8 << 20
"""Larger files are uploaded in parts of this size; a failed part is sent again alone."""

MOST_PARTS = 10_000
"""S3's own limit; larger files have larger parts."""

PARTS_AT_ONCE = 4
"""Parallel uploads of parts; each part is held in memory."""

GLOB_S = 120.0
"""Time limit of one attempt to match a pattern: some 500,000 names."""

READINGS = 5
"""Give up on an object whose bytes differ in each of this many readings."""


@dataclass(frozen=True)
class S3Store:
    """The objects of one set of credentials; a path is `bucket/key`."""

    requests: S3Requests

    is_concurrent = True

    def info(self, path: str) -> dict[str, Any]:
        """Look up one object."""
        try:
            reply = self.requests.head(path)
        except FileNotFoundError:
            self.requests.get_range(path, 0, 1)  # its refusal tells a missing bucket from a missing object
            raise
        return {"name": path, "size": reply["ContentLength"], "ETag": reply["ETag"]}

    def is_protected(self, _path: str) -> bool:
        """Tell whether the endpoint uses https."""
        return self.requests.endpoint.startswith("https://")

    def find_address(self, path: str, lasts_s: int) -> str | None:
        """Return a URL by which plain HTTP reads an object for some seconds; None without keys, or behind a proxy."""
        return self.requests.sign(path, lasts_s)

    def exists(self, path: str) -> bool:
        """Tell whether there is an object at the path or below."""
        if "/" in path:
            with contextlib.suppress(FileNotFoundError):
                return bool(self.requests.head(path))
        return self.is_folder(path)

    def is_folder(self, path: str) -> bool:
        """Tell whether there is an object below; an empty bucket is a folder, too."""
        try:
            return bool(self.requests.list_page(path, MaxKeys=1).get("KeyCount")) or "/" not in path
        except FileNotFoundError:
            return False

    def find(self, path: str) -> Iterator[dict[str, Any]]:
        """Find every object below, except the markers of empty folders; many in any order, see `s3_listing`."""
        bucket, _, key = path.partition("/")
        for item in find_objects(partial(self.requests.list_page, path), f"{key}/" if key else "", REQUESTS):
            if not item["Key"].endswith("/"):
                yield {"name": f"{bucket}/{item['Key']}", "size": item["Size"], "ETag": item["ETag"]}

    def glob(self, pattern: str) -> list[str]:
        """Find the paths that a pattern matches; without `**`, s3fs lists less for it, all pages in one attempt."""
        filesystem = self.requests.filesystem
        try:
            if "**" in pattern or "//" in pattern:  # s3fs finds no key with an empty part
                return self._glob_all(pattern)
            with tell_cause():
                return retry(f"s3://{pattern}", lambda: cast("list[str]", filesystem.glob(pattern, timeout=GLOB_S)))
        except ValueError as error:
            raise OSError(f"the pattern cannot be understood: {error}") from error

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read bytes [start, end) of each range, all of one version of the object."""
        blocks = [(number, *block) for number, (start, end) in enumerate(ranges) for block in _blocks(start, end)]
        reads = [partial(self.requests.get_range, path, start, end) for _, start, end in blocks]
        pieces = run_together(reads, REQUESTS)
        if len({piece.etag for piece in pieces if piece.etag}) > 1:
            raise FileChangedError("it was replaced while it was read")
        parts: list[list[bytes]] = [[] for _ in ranges]
        for (number, *_), piece in zip(blocks, pieces, strict=True):
            parts[number].append(piece.data)
        return [b"".join(part) for part in parts]

    def read_whole(self, path: str) -> bytes:
        """Read an object; read it again if its bytes do not fit its MD5.

        Some stores' ETags only look like an MD5, so two readings that agree are accepted, too.
        """
        before: bytes | None = None
        for _ in range(READINGS):
            data, _etag, is_sound = self.requests.get(path)
            if is_sound or data == before:
                return data
            before = data
        raise OSError(f"its bytes differed at each of {READINGS} readings")

    def open(self, path: str) -> RemoteFile:
        """Open the current version of an object; if another replaces it, further reading fails."""
        info = self.info(path)

        def read(start: int, end: int) -> bytes:
            return self.requests.get_range(path, start, end, IfMatch=info["ETag"]).data

        return RemoteFile(read, info["size"])

    def write_whole(self, path: str, data: bytes) -> None:
        """Put an object, replacing an older one."""
        self.requests.call("put_object", path, len(data), Body=data)

    def create(self, path: str, data: bytes) -> bool:
        """Put an object only if it is absent; reading back tells a refusal that follows our own lost answer."""
        try:
            self.requests.call("put_object", path, len(data), Body=data, IfNoneMatch="*")
        except OSError as error:
            answer = answer_of(error)
            if answer is None or answer.status != 412:
                raise
            with contextlib.suppress(FileNotFoundError):  # another process has removed it since
                return self.read_whole(path) == data
            return False
        return True

    def upload(self, source: Path, path: str) -> None:
        """Put a file's content, replacing an older object; a large file in parts."""
        size_bytes = source.stat().st_size
        if size_bytes <= PART_BYTES:
            self.write_whole(path, source.read_bytes())
        else:
            retry(f"s3://{path}", lambda: self._upload_parts(source, path, size_bytes))

    def remove(self, path: str) -> None:
        """Delete an object if it exists."""
        self.requests.call("delete_object", path)

    def _glob_all(self, pattern: str) -> list[str]:
        """Match all objects, and the folders above them, below the part of a pattern that has no marks."""
        expression = re.compile(glob_translate(pattern).replace("(?:.+/)?", "(?:.*/)?"))
        root = re.split(r"[*?\[]", pattern, maxsplit=1)[0].rpartition("/")[0].rstrip("/")
        found = dict.fromkeys(place for info in self.find(root) for place in _with_folders(info["name"], root))
        return [place for place in found if expression.match(place)]

    def _upload_parts(self, source: Path, path: str, size_bytes: int) -> None:
        part_bytes = max(PART_BYTES, -(-size_bytes // MOST_PARTS))
        upload_id = self.requests.call("create_multipart_upload", path)["UploadId"]

        def send(number: int) -> Reply:
            with source.open("rb") as file:
                data = os.pread(file.fileno(), part_bytes, (number - 1) * part_bytes)
            sent = self.requests.call("upload_part", path, len(data), UploadId=upload_id, PartNumber=number, Body=data)
            return {"PartNumber": number, "ETag": sent["ETag"]}

        numbers = range(1, -(-size_bytes // part_bytes) + 1)
        with contextlib.ExitStack() as unfinished:
            unfinished.callback(self._abort_upload, path, upload_id)
            try:
                parts = run_together([partial(send, number) for number in numbers], PARTS_AT_ONCE)
                self.requests.call(  # with `size_bytes`: joining many parts can take S3 minutes
                    "complete_multipart_upload", path, size_bytes, UploadId=upload_id, MultipartUpload={"Parts": parts}
                )
            except failures() as error:
                if _is_unknown_upload(error):
                    raise ShortAnswerError("the upload was lost") from error
                raise
            unfinished.pop_all()

    def _abort_upload(self, path: str, upload_id: str) -> None:
        with contextlib.suppress(*failures()):  # parts left behind cost money, not correctness
            self.requests.call_once("abort_multipart_upload", path, UploadId=upload_id)


def _with_folders(path: str, root: str) -> Iterator[str]:
    """Return the path of an object and of the folders that hold it below a root; none ends in an empty part."""
    while len(path) > len(root):
        yield path
        path = path.rpartition("/")[0].rstrip("/")


def _is_unknown_upload(error: BaseException) -> bool:
    """Tell whether S3 no longer knows an upload: it completed and its answer got lost, or its name was damaged."""
    answer = answer_of(error)
    return answer is not None and answer.code == "NoSuchUpload"


def _blocks(start: int, end: int) -> Iterator[tuple[int, int]]:
    return ((at, min(at + BLOCK_BYTES, end)) for at in range(start, end, BLOCK_BYTES))
