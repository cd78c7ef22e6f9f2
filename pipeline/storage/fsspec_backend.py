"""Whatever else fsspec knows (memory, HTTP, other clouds), each verb tried again as a whole.

Raises what the filesystem raises; `storage` puts it into words.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from pipeline.storage.retry import retry

_CREATING = {"gcs", "gs", "memory"}
"""Where `mode="create"` is one step of the store's; others look first and then write, or write in any case."""

_NOT_CREATING = "no file is created there only if absent, which safe commits need; use local disk, S3 or Google Cloud"


@dataclass(frozen=True)
class FsspecStore:
    """A filesystem of fsspec's, by its own verbs and with its library's own time limits."""

    filesystem: Any

    def info(self, path: str) -> dict[str, Any]:
        """Look one file up."""
        return retry(path, lambda: cast("dict[str, Any]", self.filesystem.info(path)))

    def is_protected(self, path: str) -> bool:
        """Tell whether it is anything but plain HTTP, whose paths are URLs."""
        return not path.startswith("http://")

    def exists(self, path: str) -> bool:
        """Tell whether there is a file or folder; fsspec's own `exists` takes any trouble for a no."""
        try:
            return bool(self.info(path))
        except FileNotFoundError:
            return False

    def is_folder(self, path: str) -> bool:
        """Tell whether there is a folder; over HTTP there are none."""
        return self.exists(path) and self.info(path)["type"] == "directory"

    def found(self, path: str) -> list[dict[str, Any]]:
        """Find every file below a folder."""
        self.filesystem.invalidate_cache(path)
        return list(retry(path, lambda: cast("dict[str, Any]", self.filesystem.find(path, detail=True))).values())

    def glob(self, pattern: str) -> list[str]:
        """Find the paths that a pattern matches."""
        return retry(pattern, lambda: cast("list[str]", self.filesystem.glob(pattern)))

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read bytes [start, end) of each range."""
        return [self._read_range(path, start, end) for start, end in ranges]

    def read_whole(self, path: str) -> bytes:
        """Read a file."""
        return retry(path, lambda: cast("bytes", self.filesystem.cat_file(path)))

    def open(self, path: str) -> IO[bytes]:
        """Open a file; what is read from it is not tried again."""
        return cast("IO[bytes]", self.filesystem.open(path, "rb"))

    def write_whole(self, path: str, data: bytes) -> None:
        """Write a file in place of an older one."""
        retry(path, lambda: self.filesystem.pipe_file(path, data))

    def create(self, path: str, data: bytes) -> bool:
        """Write a file only if there is none; a refusal that follows a lost answer is told by reading back."""
        if not _CREATING.intersection(_protocols(self.filesystem)):
            raise OSError(_NOT_CREATING)
        try:
            retry(path, lambda: self.filesystem.pipe_file(path, data, mode="create"))
        except FileExistsError:
            return self.read_whole(path) == data
        return True

    def upload(self, source: Path, path: str) -> None:
        """Store a file's content in place of an older one."""
        retry(path, lambda: self.filesystem.put_file(str(source), path))

    def remove(self, path: str) -> None:
        """Remove a file; none there is as good."""
        with contextlib.suppress(FileNotFoundError):
            retry(path, lambda: self.filesystem.rm_file(path))

    def _read_range(self, path: str, start: int, end: int) -> bytes:
        return retry(path, lambda: cast("bytes", self.filesystem.cat_file(path, start=start, end=end)))


def _protocols(filesystem: Any) -> tuple[str, ...]:  # noqa: ANN401 - fsspec ships no types
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
