"""Every other filesystem of fsspec (memory, HTTP, other clouds); `retry` repeats each verb as a whole.

It raises the filesystem's errors; `storage.files` puts them into words.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from pipeline.storage.errors import unmask_failures
from pipeline.storage.parallel import run_together
from pipeline.storage.retry import retry

Result = TypeVar("Result")

READS = 16
"""Parallel readings of one caller, as for S3, where a filesystem can."""

_SAFE_CREATE = {"gcs", "gs", "memory"}
"""Protocols where `mode="create"` is atomic; others look first and then write, or always write."""

NO_SAFE_CREATE = "no file is created there only if absent, which safe commits need; use local disk, S3 or Google Cloud"


@dataclass(frozen=True)
class FsspecStore:
    """A filesystem of fsspec, with its own verbs and its library's own time limits."""

    filesystem: Any

    @property
    def is_concurrent(self) -> bool:
        """Whether it takes many requests at once: HTTP and most clouds do, one connection of FTP or SSH does not."""
        return bool(self.filesystem.async_impl)

    def info(self, path: str) -> dict[str, Any]:
        """Look up one file."""
        return _ask(path, lambda: cast("dict[str, Any]", self.filesystem.info(path)))

    def is_protected(self, path: str) -> bool:
        """Tell whether this is anything but plain HTTP, whose paths are URLs."""
        return not path.startswith("http://")

    def find_address(self, path: str, _lasts_s: int) -> str | None:
        """Return the URL by which plain HTTP reads a file; the paths of HTTP are such URLs."""
        return path if path.startswith(("http://", "https://")) else None

    def exists(self, path: str) -> bool:
        """Tell whether a file or folder exists; fsspec's own `exists` returns False on any error."""
        try:
            return bool(self.info(path))
        except FileNotFoundError:
            return False

    def is_folder(self, path: str) -> bool:
        """Tell whether a folder exists; HTTP has none."""
        return self.exists(path) and self.info(path)["type"] == "directory"

    def find(self, path: str) -> list[dict[str, Any]]:
        """Find every file below a folder."""
        self.filesystem.invalidate_cache(path)
        return list(_ask(path, lambda: cast("dict[str, Any]", self.filesystem.find(path, detail=True))).values())

    def glob(self, pattern: str) -> list[str]:
        """Find the paths that a pattern matches."""
        return _ask(pattern, lambda: cast("list[str]", self.filesystem.glob(pattern)))

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read bytes [start, end) of each range."""
        reads = [partial(self._read_range, path, start, end) for start, end in ranges]
        return run_together(reads, READS if self.is_concurrent else 1)

    def read_whole(self, path: str) -> bytes:
        """Read a file."""
        return _ask(path, lambda: cast("bytes", self.filesystem.cat_file(path)))

    def open(self, path: str) -> IO[bytes]:
        """Open a file; reading it has no retries."""
        with unmask_failures():
            return cast("IO[bytes]", self.filesystem.open(path, "rb"))

    def write_whole(self, path: str, data: bytes) -> None:
        """Write a file, replacing an older one."""
        _ask(path, lambda: self.filesystem.pipe_file(path, data))

    def create(self, path: str, data: bytes) -> bool:
        """Write a file only if it is absent; reading back tells a refusal that follows our own lost answer."""
        if not _SAFE_CREATE.intersection(_protocols(self.filesystem)):
            raise OSError(NO_SAFE_CREATE)
        try:
            _ask(path, lambda: self.filesystem.pipe_file(path, data, mode="create"))
        except FileExistsError:
            return self.read_whole(path) == data
        return True

    def upload(self, source: Path, path: str) -> None:
        """Store a file's content, replacing an older one."""
        _ask(path, lambda: self.filesystem.put_file(str(source), path))

    def remove(self, path: str) -> None:
        """Remove a file if it exists."""
        with contextlib.suppress(FileNotFoundError):
            _ask(path, lambda: self.filesystem.rm_file(path))

    def _read_range(self, path: str, start: int, end: int) -> bytes:
        return _ask(path, lambda: cast("bytes", self.filesystem.cat_file(path, start=start, end=end)))


def _ask(path: str, attempt: Callable[[], Result]) -> Result:
    return retry(path, unmask_failures()(attempt))


def _protocols(filesystem: Any) -> tuple[str, ...]:  # noqa: ANN401 - fsspec ships no types
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
