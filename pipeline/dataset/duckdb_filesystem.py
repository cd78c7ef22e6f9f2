"""Remote files for DuckDB, which reads none by itself: through `storage`, and so with its retries and its words.

DuckDB knows fsspec's filesystems; this is as much of one as it asks for. It looks at each file several times, so what
it has seen of a dataset, whose committed files never change, is kept for as long as the connection.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import IO

from fsspec import AbstractFileSystem

from pipeline import storage
from pipeline.core.errors import StorageError
from pipeline.storage.remote_file import RemoteFile

SMALL_BYTES = 1 << 20
"""Smaller files are fetched whole and kept: most parts of a dataset that is being written are."""
KEPT_BYTES = 256 << 20
"""The most that is kept of them."""


class StoredFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec ships no types
    """The files of one store; a path is a canonical URL.

    Args:
        protocol: of the URLs that DuckDB is to hand over.
    """

    cachable = False

    def __init__(self, protocol: str) -> None:
        super().__init__()
        self.protocol = protocol
        self.failure: StorageError | None = None
        """The last one; DuckDB makes a traceback of it."""
        self._sizes_bytes: dict[str, int] = {}
        self._kept: dict[str, bytes] = {}
        self._kept_bytes = 0

    def open(self, path: str, mode: str = "rb", **_options: object) -> IO[bytes]:
        """Open a file for reading."""
        del mode  # DuckDB reads
        size_bytes = self.size(path)
        if size_bytes <= SMALL_BYTES:
            return io.BytesIO(self._whole(path, size_bytes))
        return io.BufferedReader(RemoteFile(partial(self._read_range, path), size_bytes), storage.READ_BYTES)

    def size(self, path: str) -> int:
        """Return how large a file is; its whole folder is listed at the first look."""
        with self._remembered():
            if path not in self._sizes_bytes:
                self._sizes_bytes |= {file.url: file.size_bytes for file in storage.list_files(storage.parent(path))}
            if path not in self._sizes_bytes:
                self._sizes_bytes[path] = storage.stat(path).size_bytes
        return self._sizes_bytes[path]

    def exists(self, path: str, **_options: object) -> bool:
        """Tell whether there is a file."""
        return path in self._sizes_bytes or storage.exists(path)

    def glob(self, path: str, **_options: object) -> list[str]:
        """List the files that a pattern matches; a name without one stands for itself, and is asked for often."""
        return storage.glob(path) if any(mark in path for mark in "*?[") else [path]

    def modified(self, path: str) -> datetime:
        """Tell when a file was written: the same at each look."""
        del path
        return datetime.fromtimestamp(0, UTC)

    def _whole(self, path: str, size_bytes: int) -> bytes:
        data = self._kept.get(path) or self._read_range(path, 0, size_bytes)
        if path not in self._kept and self._kept_bytes + size_bytes <= KEPT_BYTES:
            self._kept[path] = data
            self._kept_bytes += size_bytes
        return data

    def _read_range(self, path: str, start: int, end: int) -> bytes:
        with self._remembered():
            return storage.read_ranges(path, [(start, end)])[0]

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except StorageError as error:
            self.failure = error
            raise
