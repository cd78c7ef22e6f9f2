"""One set of verbs for files on local disk, S3 and every other store that fsspec knows.

A place is a canonical URL: absolute, links resolved, `file:///…` for local disk, as fsspec spells it (no percent
encoding). Every failure is a `StorageError` that names the place. Each request to a remote store has its own retries
(`storage.retry`); callers add none.
"""

import io
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from pipeline.core import usage
from pipeline.core.errors import StorageError, UsageError
from pipeline.core.scratch import temporary_folder
from pipeline.storage.backends import is_local, open_backend, open_filesystem
from pipeline.storage.errors import TranslatingFile, translate_errors
from pipeline.storage.local import LocalDisk
from pipeline.storage.quick_reads import SIGNED_S, QuickReads
from pipeline.storage.retry import limit_retries

LOCAL = "file://"

READ_BYTES = 1 << 16
"""An open file reads this much ahead; on S3, `remote_file` requests more below."""

FILES_AT_ONCE = 16
"""Whole files that one process reads in parallel; more hardly help."""

STORE_TEXT_S = 30.0
"""Between two looks at whether a text for a remote store has grown."""

SMALL_TEXT_BYTES = 1 << 16
"""A text that is smaller is stored whenever it has grown at all: some hundred lines of a log."""

HELD_BYTES = 256 << 20
"""Begin no further file while the files that wait for the caller hold more than this."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a listing."""

    url: str
    """Canonical URL."""
    path: str
    """The path below the listed folder with `/` between parts; from `stat`, the file's name."""
    size_bytes: int
    version: str
    """Changes with the content: the ETag if the store has one, else size and modification time."""


def canonical(path_or_url: str) -> str:
    """Return the absolute URL of a place in any spelling."""
    filesystem, path = open_filesystem(path_or_url)
    if is_local(filesystem):
        return LOCAL + os.path.realpath(path)
    return cast("str", filesystem.unstrip_protocol(path)).rstrip("/")


def join(url: str, *parts: str) -> str:
    """Return the URL of a place below `url`."""
    return "/".join([url.rstrip("/"), *parts])


def parent(url: str) -> str:
    """Return the URL of the folder that holds `url`; the empty parts before its name are the name's."""
    return _split(url)[0]


def name(url: str) -> str:
    """Return the last part of `url`, and empty parts before it: keys of S3 such as `p//a.jpg` are not `p/a.jpg`."""
    return _split(url)[1]


def local_path(url: str) -> Path:
    """Return the path of a local place.

    Raises:
        UsageError: the place is not on local disk.
    """
    filesystem, path = open_filesystem(url)
    if not is_local(filesystem):
        raise UsageError(f"{url} is not on local disk, and this needs a local folder. Give a path on this machine.")
    return Path(path)


def exists(url: str) -> bool:
    """Tell whether a file or folder exists."""
    with translate_errors(url, "looked up"):
        store, path = open_backend(url)
        return store.exists(path)


def is_folder(url: str) -> bool:
    """Tell whether a folder exists."""
    with translate_errors(url, "looked up"):
        store, path = open_backend(url)
        return store.is_folder(path)


def stat(url: str) -> StoredFile:
    """Look up one file."""
    with translate_errors(url, "looked up"):
        store, path = open_backend(url)
        return _stored(filesystem_of(url), store.info(path), parent(path))


def resolve_link(file: StoredFile) -> StoredFile:
    """Return the file that a symbolic link in a listing leads to; return any other file, or a broken link, as it is."""
    url = canonical(file.url)
    return file if url == file.url or not exists(url) else replace(stat(url), path=file.path)


def is_folder_link(file: StoredFile) -> bool:
    """Tell whether a file of a listing is a symbolic link that leads to a folder; listings follow none."""
    target = canonical(file.url)
    return target != file.url and is_folder(target)


def is_protected(url: str) -> bool:
    """Tell whether bytes come from a disk or over an encrypted connection, which detect damage."""
    store, path = open_backend(url)
    return store.is_protected(path)


def is_concurrent(url: str) -> bool:
    """Tell whether a store answers many requests at once, each after a while; a disk answers at once."""
    store, _path = open_backend(url)
    return store.is_concurrent


def list_files(url: str) -> list[StoredFile]:
    """List every file below a folder, sorted by path; of many, a `FileList` takes less memory."""
    by_path = {file.path: file for file in find_files(url)}  # a store may tell one twice, see `s3_listing`
    return [by_path[path] for path in sorted(by_path)]


def find_files(url: str) -> Iterator[StoredFile]:
    """Find every file below a folder as the store comes to it, for callers that may stop early."""
    with translate_errors(url, "listed"):
        store, path = open_backend(url)
        filesystem = filesystem_of(url)
        for info in store.find(path):
            yield _stored(filesystem, info, path)


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
        data = store.read_whole(path)
    usage.count(read_bytes=len(data))
    return data


def read_many(urls: Sequence[str], held_bytes: int = HELD_BYTES) -> Iterator[bytes]:
    """Read whole files, in order, some of them ahead.

    Args:
        urls: of the files.
        held_bytes: begin no further file while those that wait hold more than this.
    """
    ahead: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        for url in urls:
            while len(ahead) == FILES_AT_ONCE or _size_bytes(ahead) > held_bytes:
                yield ahead.popleft().result()
            ahead.append(pool.submit(copy_context().run, read_bytes, url))
        while ahead:
            yield ahead.popleft().result()


def read_ranges(url: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """Read the bytes [start, end) of each range, in order; return fewer where the file ends."""
    with translate_errors(url, "read"):
        store, path = open_backend(url)
        pieces = store.read_ranges(path, ranges)
    usage.count(read_bytes=sum(map(len, pieces)))
    return pieces


def open_file(url: str) -> IO[bytes]:
    """Open a file for reading and seeking; its later failures are `StorageError`s, too."""
    with translate_errors(url, "opened"):
        store, path = open_backend(url)
        return io.BufferedReader(TranslatingFile(store.open(path), url), READ_BYTES)


def open_quick_reads(url: str) -> QuickReads:
    """Prepare many small readings of a file, most of which succeed if its store can be read by plain HTTP."""
    store, path = open_backend(url)
    return QuickReads(partial(store.find_address, path, SIGNED_S))


def open_text(url: str) -> IO[str]:
    """Open a text file for writing line by line.

    Readers see it before it is finished, unlike every other file: a local one line by line, a remote one as
    `TextUpload` stores it.
    """
    with translate_errors(url, "written"):
        store, path = open_backend(url)
        if not isinstance(store, LocalDisk):
            return TextUpload(partial(write_whole, url))
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return Path(path).open("w", buffering=1, encoding="utf-8", errors="backslashreplace")


def write_whole(url: str, data: bytes) -> None:
    """Write a file that appears whole or not at all, replacing an older one."""
    with translate_errors(url, "written"):
        store, path = open_backend(url)
        store.write_whole(path, data)


def create(url: str, data: bytes) -> bool:
    """Write a file only if it is absent, whole or not at all.

    Returns:
        False if another file exists there. Reading back tells a lost answer from a lost race.
    """
    with translate_errors(url, "created"):
        store, path = open_backend(url)
        return store.create(path, data)


def upload(path: Path, url: str) -> None:
    """Store a local file, whole or not at all, replacing an older one."""
    with translate_errors(url, "written"):
        store, stored_path = open_backend(url)
        store.upload(path, stored_path)


def remove(url: str) -> None:
    """Remove a file if it exists."""
    with translate_errors(url, "removed"):
        store, path = open_backend(url)
        store.remove(path)


def remove_leftovers(folder_url: str) -> list[str]:
    """Remove the temporary files that killed writers left in or below a local folder, and return their URLs.

    The caller must hold the lease: a living writer's temporary files look the same. Remote stores have none.
    """
    with translate_errors(folder_url, "cleaned up"):
        store, path = open_backend(folder_url)
        return [LOCAL + left for left in store.remove_leftovers(path)] if isinstance(store, LocalDisk) else []


def filesystem_of(url: str) -> Any:  # noqa: ANN401 - fsspec ships no types
    """Return the fsspec filesystem of a URL, for libraries that read through one."""
    return open_filesystem(url)[0]


def path_of(url: str) -> str:
    """Return the path of a place on its own filesystem, without a protocol."""
    return open_filesystem(url)[1]


def _split(url: str) -> tuple[str, str]:
    """Split a place into its folder and its name, so that `join` makes it whole again."""
    folder, _, last = url.rpartition("/")
    bare = folder.rstrip("/")
    is_root = not bare or bare.endswith(":")  # of a disk, or before a bucket
    return (folder, last) if is_root else (bare, folder[len(bare) :] + last)


def _url(filesystem: Any, path: str) -> str:  # noqa: ANN401 - fsspec ships no types
    return LOCAL + path if is_local(filesystem) else cast("str", filesystem.unstrip_protocol(path))


def _size_bytes(files: "deque[Future[bytes]]") -> int:
    return sum(len(file.result()) for file in files if file.done() and not file.exception())


def _stored(filesystem: Any, info: dict[str, Any], below: str) -> StoredFile:  # noqa: ANN401 - fsspec ships no types
    path = info["name"]
    size_bytes = int(info["size"] or 0)
    version = info.get("ETag") or f"{size_bytes}-{info.get('mtime', '')}"
    return StoredFile(
        url=_url(filesystem, path),
        path=path[len(below) :].removeprefix("/") or name(path),
        size_bytes=size_bytes,
        version=str(version).strip('"'),
    )


class TextUpload(io.TextIOWrapper):
    """A text file for a store that cannot append: stored again as it grows, and at the end.

    So a killed process leaves nearly all its text behind. The text is stored anew when it has grown by a quarter, or at
    all while it is small: in all, a large text is stored some five times over. Only a failure of the last time counts.

    Args:
        store: stores all the text, replacing what was stored before.
        every_s: time between two looks at how much the text has grown.
    """

    def __init__(self, store: Callable[[bytes], None], every_s: float = STORE_TEXT_S) -> None:
        self._store, self._every_s = store, every_s
        self._stack = ExitStack()
        self._path = self._stack.enter_context(temporary_folder()) / "text"
        super().__init__(self._path.open("wb"), encoding="utf-8", errors="backslashreplace", line_buffering=True)
        self._closing = threading.Event()
        self._storing = threading.Thread(target=self._store_as_it_grows, name="text-upload", daemon=True)
        self._storing.start()

    def close(self) -> None:
        """Store the text and close; do nothing the second time."""
        if self.closed:
            return
        self._closing.set()
        self._storing.join()
        try:
            self.flush()
            self._store(self._path.read_bytes())
        finally:
            super().close()
            self._stack.close()

    def _store_as_it_grows(self) -> None:
        stored_bytes = 0
        while not self._closing.wait(self._every_s):
            with suppress(OSError, StorageError), limit_retries(self._every_s):  # the next look tries again
                size_bytes = self._path.stat().st_size
                is_small = size_bytes < SMALL_TEXT_BYTES
                if size_bytes > stored_bytes and (is_small or size_bytes >= 1.25 * stored_bytes):
                    data = self._path.read_bytes()
                    self._store(data[: data.rfind(b"\n") + 1])
                    stored_bytes = size_bytes
