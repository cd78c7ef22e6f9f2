"""Local disk, S3 and whatever else fsspec knows, behind one set of verbs.

A place is a canonical URL: absolute, links resolved, `file:///…` for local disk, as fsspec spells it (no percent
encoding). What the bytes mean is the business of others. Every failure comes out as a `StorageError` that names
the place. On remote stores each request is tried again for a while (`storage_retry`), and by nobody else.
"""

import io
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

from pipeline.core import usage
from pipeline.core.errors import UsageError
from pipeline.storage.backends import is_local, open_backend, open_filesystem
from pipeline.storage.errors import TranslatingFile, translate_errors
from pipeline.storage.local import LocalDisk

LOCAL = "file://"

READ_BYTES = 1 << 16
"""What an open file reads ahead; on S3 `remote_file` asks for more below."""

FILES_AT_ONCE = 16
"""Whole files that are read at the same time: about where more stop helping one process."""

HELD_BYTES = 256 << 20
"""While files that nobody has taken yet hold more than this, no further one is begun."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file as a listing shows it."""

    url: str
    """Canonical URL."""
    path: str
    """The path below the listed folder, or the file's name where it was looked up; `/` between parts."""
    size_bytes: int
    version: str
    """Changes when the content does: the ETag where there is one, else size and modification time."""


def canonical(path_or_url: str) -> str:
    """Return the absolute URL of a place, however it was spelled."""
    filesystem, path = open_filesystem(path_or_url)
    if is_local(filesystem):
        return LOCAL + os.path.realpath(path)
    return cast("str", filesystem.unstrip_protocol(path)).rstrip("/")


def join(url: str, *parts: str) -> str:
    """Return the place below `url`."""
    return "/".join([url.rstrip("/"), *parts])


def parent(url: str) -> str:
    """Return the folder that holds `url`."""
    return url.rpartition("/")[0]


def name(url: str) -> str:
    """Return the last part of `url`."""
    return url.rpartition("/")[2]


def is_hidden(path: str) -> bool:
    """Tell whether a path leads through what systems hide: a name that begins with a dot, or macOS's `__MACOSX`."""
    parts = path.split("/")
    return "__MACOSX" in parts or any(part.startswith(".") and part not in {".", ".."} for part in parts)


def local_path(url: str) -> Path:
    """Return a local place as a path.

    Raises:
        UsageError: the place is not on local disk.
    """
    filesystem, path = open_filesystem(url)
    if not is_local(filesystem):
        raise UsageError(f"{url} is not on local disk, and this needs a local folder. Give a path on this machine.")
    return Path(path)


def exists(url: str) -> bool:
    """Tell whether there is a file or folder."""
    with translate_errors(url, "looked up"):
        store, path = open_backend(url)
        return store.exists(path)


def is_folder(url: str) -> bool:
    """Tell whether there is a folder."""
    with translate_errors(url, "looked up"):
        store, path = open_backend(url)
        return store.is_folder(path)


def stat(url: str) -> StoredFile:
    """Look one file up."""
    with translate_errors(url, "looked up"):
        store, path = open_backend(url)
        return _stored(filesystem_of(url), store.info(path), parent(path))


def resolve_link(file: StoredFile) -> StoredFile:
    """Return the file that a symbolic link in a listing leads to; any other as it is, and a broken link, too."""
    url = canonical(file.url)
    return file if url == file.url or not exists(url) else replace(stat(url), path=file.path)


def is_protected(url: str) -> bool:
    """Tell whether bytes come from a disk or an encrypted connection, and not over a wire that may damage them."""
    store, path = open_backend(url)
    return store.is_protected(path)


def list_files(url: str) -> list[StoredFile]:
    """List every file below a folder, sorted by path."""
    with translate_errors(url, "listed"):
        store, path = open_backend(url)
        filesystem = filesystem_of(url)
        files = [_stored(filesystem, info, path) for info in store.found(path)]
    return sorted(files, key=lambda file: file.path)


def glob(pattern: str) -> list[str]:
    """List the URLs that a pattern with `*`, `?`, `[…]` or `**` matches, sorted."""
    with translate_errors(pattern, "searched"):
        store, path = open_backend(pattern)
        filesystem = filesystem_of(pattern)
        return sorted(canonical(_url(filesystem, match)) for match in store.glob(path))


def read_bytes(url: str) -> bytes:
    """Read a whole file."""
    with translate_errors(url, "read"):
        store, path = open_backend(url)
        return usage.counted([store.read_whole(path)])[0]


def read_many(urls: Sequence[str]) -> Iterator[bytes]:
    """Read whole files, in order, some ahead of who takes them."""
    ahead: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        for url in urls:
            while len(ahead) == FILES_AT_ONCE or _held_bytes(ahead) > HELD_BYTES:
                yield ahead.popleft().result()
            ahead.append(pool.submit(read_bytes, url))
        while ahead:
            yield ahead.popleft().result()


def read_ranges(url: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """Read the bytes [start, end) of each range, in order; a range past the end gives what is there."""
    with translate_errors(url, "read"):
        store, path = open_backend(url)
        return usage.counted(store.read_ranges(path, ranges))


def open_file(url: str) -> IO[bytes]:
    """Open a file for reading and seeking; a failure while it is read is a `StorageError` too."""
    with translate_errors(url, "opened"):
        store, path = open_backend(url)
        return io.BufferedReader(TranslatingFile(store.open(path), url), READ_BYTES)


def open_text(url: str) -> IO[str]:
    """Open a text file for writing line by line; the one local file that may be seen unfinished.

    A remote one appears when it is closed.
    """
    with translate_errors(url, "written"):
        store, path = open_backend(url)
        if not isinstance(store, LocalDisk):
            return TextUpload(lambda written: upload(written, url))
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return Path(path).open("w", buffering=1, encoding="utf-8", errors="backslashreplace")


def write_whole(url: str, data: bytes) -> None:
    """Write a file that appears whole or not at all, in place of an older one."""
    with translate_errors(url, "written"):
        store, path = open_backend(url)
        store.write_whole(path, data)


def create(url: str, data: bytes) -> bool:
    """Write a file only if there is none, whole or not at all.

    Returns:
        False where another file stands there. A lost answer is told from a lost race by reading back.
    """
    with translate_errors(url, "created"):
        store, path = open_backend(url)
        return store.create(path, data)


def upload(path: Path, url: str) -> None:
    """Store a local file, whole or not at all, in place of an older one."""
    with translate_errors(url, "written"):
        store, stored_path = open_backend(url)
        store.upload(path, stored_path)


def remove(url: str) -> None:
    """Remove a file; none there is as good."""
    with translate_errors(url, "removed"):
        store, path = open_backend(url)
        store.remove(path)


def remove_leftovers(folder_url: str) -> list[str]:
    """Remove the temporary files that killed writers left in or below a local folder, and return their URLs.

    The caller holds the lease: a living writer's temporary files look the same. Remote writers leave none.
    """
    with translate_errors(folder_url, "cleaned up"):
        store, path = open_backend(folder_url)
        return [LOCAL + left for left in store.remove_leftovers(path)] if isinstance(store, LocalDisk) else []


def filesystem_of(url: str) -> Any:  # noqa: ANN401 - fsspec ships no types
    """Return the fsspec filesystem, for libraries that read through one themselves."""
    return open_filesystem(url)[0]


def path_of(url: str) -> str:
    """Return the place as its own filesystem names it, without a protocol."""
    return open_filesystem(url)[1]


def _url(filesystem: Any, path: str) -> str:  # noqa: ANN401 - fsspec ships no types
    return LOCAL + path if is_local(filesystem) else cast("str", filesystem.unstrip_protocol(path))


def _held_bytes(files: "deque[Future[bytes]]") -> int:
    return sum(len(file.result()) for file in files if file.done() and not file.exception())


def _stored(filesystem: Any, info: dict[str, Any], below: str) -> StoredFile:  # noqa: ANN401 - fsspec ships no types
    path = info["name"]
    size_bytes = int(info["size"] or 0)
    version = info.get("ETag") or f"{size_bytes}-{info.get('mtime', '')}"
    return StoredFile(
        url=_url(filesystem, path),
        path=path[len(below) :].lstrip("/") or name(path),
        size_bytes=size_bytes,
        version=str(version).strip('"'),
    )


class TextUpload(io.TextIOWrapper):
    """Text that goes where `store` puts it; object stores cannot append.

    Args:
        store: is given the local file with all the text, once.
    """

    def __init__(self, store: Callable[[Path], None]) -> None:
        self._store = store
        self._file = tempfile.NamedTemporaryFile(prefix="crackscan-")  # noqa: SIM115 - closed with this
        super().__init__(self._file, encoding="utf-8", errors="backslashreplace", line_buffering=True)

    def close(self) -> None:
        """Store the text and close; the first time."""
        if self.closed:
            return
        try:
            self.flush()
            self._store(Path(self._file.name))
        finally:
            super().close()
