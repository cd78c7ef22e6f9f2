"""Remote files for DuckDB, through `storage`, with its retries and error messages.

DuckDB takes fsspec's filesystems; this one has the methods that DuckDB calls. DuckDB opens each file several times, so
the filesystem caches sizes and small files for the life of the connection: committed files never change.
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
"""Files up to this size are read whole and cached; most parts of a dataset that is not compacted are that small."""
CACHE_BYTES = 256 << 20
"""Limit of the cache."""


class StoredFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec ships no types
    """The files of one store; a path is a canonical URL.

    Args:
        protocol: scheme of the URLs that DuckDB passes on.
    """

    cachable = False

    def __init__(self, protocol: str) -> None:
        super().__init__()
        self.protocol = protocol
        self.failure: StorageError | None = None
        """The last error; DuckDB itself shows a traceback instead."""
        self._sizes_bytes: dict[str, int] = {}
        self._cache: dict[str, bytes] = {}
        self._cached_bytes = 0

    def open(self, path: str, mode: str = "rb", **_options: object) -> IO[bytes]:
        """Open a file for reading."""
        del mode  # DuckDB only reads
        size_bytes = self.size(path)
        if size_bytes <= SMALL_BYTES:
            return io.BytesIO(self._read_whole(path, size_bytes))
        return io.BufferedReader(RemoteFile(partial(self._read_range, path), size_bytes), storage.READ_BYTES)

    def size(self, path: str) -> int:
        """Return the size of a file; the first call lists its whole folder."""
        with self._keep_failure():
            if path not in self._sizes_bytes:
                self._sizes_bytes |= {file.url: file.size_bytes for file in storage.list_files(storage.parent(path))}
            if path not in self._sizes_bytes:
                self._sizes_bytes[path] = storage.stat(path).size_bytes
        return self._sizes_bytes[path]

    def exists(self, path: str, **_options: object) -> bool:
        """Tell whether a file exists."""
        with self._keep_failure():
            return path in self._sizes_bytes or storage.exists(path)

    def glob(self, path: str, **_options: object) -> list[str]:
        """List the files that match a pattern; DuckDB often passes plain names, which need no listing."""
        with self._keep_failure():
            return storage.glob(path) if any(mark in path for mark in "*?[") else [path]

    def modified(self, path: str) -> datetime:
        """Return one time for all files, which never change."""
        del path
        return datetime.fromtimestamp(0, UTC)

    def _read_whole(self, path: str, size_bytes: int) -> bytes:
        data = self._cache.get(path) or self._read_range(path, 0, size_bytes)
        if path not in self._cache and self._cached_bytes + size_bytes <= CACHE_BYTES:
            self._cache[path] = data
            self._cached_bytes += size_bytes
        return data

    def _read_range(self, path: str, start: int, end: int) -> bytes:
        with self._keep_failure():
            return storage.read_ranges(path, [(start, end)])[0]

    @contextmanager
    def _keep_failure(self) -> Iterator[None]:
        try:
            yield
        except StorageError as error:
            self.failure = error
            raise
