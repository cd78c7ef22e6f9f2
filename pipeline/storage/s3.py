"""S3, as verbs made of requests that are each tried again by themselves.

Raises what s3fs and its client raise; `storage` puts it into words.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from pipeline.storage.errors import FileChangedError, ShortAnswerError, answer_of, failures
from pipeline.storage.remote_file import RemoteFile
from pipeline.storage.retry import retry
from pipeline.storage.s3_requests import REQUESTS, Reply, S3Requests

BLOCK_BYTES = 8 << 20
"""The most that one ranged request asks for, and so the most that is read again after a break."""

PART_BYTES = 8 << 20
"""Larger files are uploaded in parts of this size, and a part that failed is sent again alone."""

MOST_PARTS = 10_000
"""S3's own limit: the parts of larger files grow."""

PARTS_AT_ONCE = 4
"""Sent at the same time; each is held in memory."""

GLOB_S = 120.0
"""An attempt to find what a pattern matches may take this long: some 500,000 names."""

READINGS = 5
"""An object whose bytes differ at each of so many readings is given up."""


@dataclass(frozen=True)
class S3Store:
    """The objects that one set of credentials reaches; a path is `bucket/key`."""

    requests: S3Requests

    def info(self, path: str) -> dict[str, Any]:
        """Look one object up."""
        reply = self.requests.ask("head_object", path)
        return {"name": path, "size": reply["ContentLength"], "ETag": reply["ETag"]}

    def is_protected(self, _path: str) -> bool:
        """Tell whether the endpoint is an https one."""
        return self.requests.endpoint.startswith("https://")

    def exists(self, path: str) -> bool:
        """Tell whether there is an object, or one below."""
        if "/" in path:
            with contextlib.suppress(FileNotFoundError):
                return bool(self.info(path))
        return self.is_folder(path)

    def is_folder(self, path: str) -> bool:
        """Tell whether there is an object below; a bucket is a folder even when it is empty."""
        try:
            return bool(self.requests.page(path, MaxKeys=1).get("KeyCount")) or "/" not in path
        except FileNotFoundError:
            return False

    def found(self, path: str) -> Iterator[dict[str, Any]]:
        """Find every object below, page by page; those that stand for an empty folder are left out."""
        bucket = path.partition("/")[0]
        more: dict[str, str] = {}
        while True:
            page = self.requests.page(path, **more)
            for item in page.get("Contents", []):
                if not item["Key"].endswith("/"):
                    yield {"name": f"{bucket}/{item['Key']}", "size": item["Size"], "ETag": item["ETag"]}
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def glob(self, pattern: str) -> list[str]:
        """Find the paths that a pattern matches; the one verb of s3fs's own, with all its pages in one attempt."""
        filesystem = self.requests.filesystem
        return retry(f"s3://{pattern}", lambda: cast("list[str]", filesystem.glob(pattern, timeout=GLOB_S)))

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read bytes [start, end) of each range, all of one version of the object."""
        blocks = [(number, *block) for number, (start, end) in enumerate(ranges) for block in _blocks(start, end)]
        with ThreadPoolExecutor(max(1, min(REQUESTS, len(blocks)))) as pool:
            read = [partial(self.requests.get_range, path, start, end) for _, start, end in blocks]
            # a thread has neither our patience nor what our log lines name, unless it is given them
            pieces = [task.result() for task in [pool.submit(copy_context().run, one) for one in read]]
        if len({piece.etag for piece in pieces if piece.etag}) > 1:
            raise FileChangedError("it was replaced while it was read")
        parts: list[list[bytes]] = [[] for _ in ranges]
        for (number, *_), piece in zip(blocks, pieces, strict=True):
            parts[number].append(piece.data)
        return [b"".join(part) for part in parts]

    def read_whole(self, path: str) -> bytes:
        """Read an object; what does not fit its MD5 was damaged on the way, and is read again.

        Some stores' ETags look like an MD5 and are none: two readings that agree are believed.
        """
        before: bytes | None = None
        for _ in range(READINGS):
            data, _etag, is_sound = self.requests.get(path)
            if is_sound or data == before:
                return data
            before = data
        raise OSError(f"its bytes differed at each of {READINGS} readings")

    def open(self, path: str) -> RemoteFile:
        """Open an object as it is now; where it is replaced meanwhile, reading on fails."""
        info = self.info(path)

        def read(start: int, end: int) -> bytes:
            return self.requests.get_range(path, start, end, IfMatch=info["ETag"]).data

        return RemoteFile(read, info["size"])

    def write_whole(self, path: str, data: bytes) -> None:
        """Put an object in place of an older one."""
        self.requests.ask("put_object", path, len(data), Body=data)

    def create(self, path: str, data: bytes) -> bool:
        """Put an object only if there is none; a refusal that follows a lost answer is told by reading back."""
        try:
            self.requests.ask("put_object", path, len(data), Body=data, IfNoneMatch="*")
        except OSError as error:
            answer = answer_of(error)
            if answer is None or answer.status != 412:
                raise
            with contextlib.suppress(FileNotFoundError):  # it has been removed since
                return self.read_whole(path) == data
            return False
        return True

    def upload(self, source: Path, path: str) -> None:
        """Put a file's content in place of an older object, in parts where it is large."""
        size_bytes = source.stat().st_size
        if size_bytes <= PART_BYTES:
            self.write_whole(path, source.read_bytes())
        else:
            retry(f"s3://{path}", lambda: self._upload_parts(source, path, size_bytes))

    def remove(self, path: str) -> None:
        """Delete an object; none there is as good."""
        self.requests.ask("delete_object", path)

    def _upload_parts(self, source: Path, path: str, size_bytes: int) -> None:
        part_bytes = max(PART_BYTES, -(-size_bytes // MOST_PARTS))
        upload_id = self.requests.ask("create_multipart_upload", path)["UploadId"]

        def send(number: int) -> Reply:
            with source.open("rb") as file:
                data = os.pread(file.fileno(), part_bytes, (number - 1) * part_bytes)
            sent = self.requests.ask("upload_part", path, len(data), UploadId=upload_id, PartNumber=number, Body=data)
            return {"PartNumber": number, "ETag": sent["ETag"]}

        try:
            with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
                parts = list(pool.map(send, range(1, -(-size_bytes // part_bytes) + 1)))
            made_of = {"Parts": parts}  # of many parts, which can take S3 minutes
            self.requests.ask(
                "complete_multipart_upload", path, size_bytes, UploadId=upload_id, MultipartUpload=made_of
            )
        except BaseException as error:
            with contextlib.suppress(*failures()):  # parts left behind cost money, not correctness
                self.requests.ask_once("abort_multipart_upload", path, UploadId=upload_id)
            if _is_lost(error):
                raise ShortAnswerError("the upload was lost") from error
            raise


def _is_lost(error: BaseException) -> bool:
    """Tell whether an upload is not known any more: it was completed, the answer lost; or its name was damaged."""
    answer = answer_of(error)
    return answer is not None and answer.code == "NoSuchUpload"


def _blocks(start: int, end: int) -> Iterator[tuple[int, int]]:
    return ((at, min(at + BLOCK_BYTES, end)) for at in range(start, end, BLOCK_BYTES))
