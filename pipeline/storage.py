"""Local disk, S3 and whatever else fsspec knows, behind one set of verbs.

A place is a canonical URL: absolute, links resolved, `file:///…` for local disk, as fsspec spells it (no percent
encoding). What the bytes mean is the business of others. Every failure comes out as a `StorageError` that names
the place; nothing here retries, the filesystems below do.
"""

import contextlib
import io
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

import fsspec
from fsspec.core import url_to_fs

from pipeline import local_disk
from pipeline.errors import UsageError
from pipeline.storage_errors import ToldFile, told

LOCAL = "file://"

READ_BYTES = 1 << 16
"""What an open file reads ahead."""


@dataclass(frozen=True)
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
    filesystem, path = _open_filesystem(path_or_url)
    if _is_local(filesystem):
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


def local_path(url: str) -> Path:
    """Return a local place as a path.

    Raises:
        UsageError: the place is not on local disk.
    """
    filesystem, path = _open_filesystem(url)
    if not _is_local(filesystem):
        raise UsageError(f"{url} is not on local disk, and this needs a local folder. Give a path on this machine.")
    return Path(path)


def exists(url: str) -> bool:
    """Tell whether there is a file or folder."""
    with told(url, "looked up"):
        filesystem, path = _open_filesystem(url)
        return bool(filesystem.exists(path))


def is_folder(url: str) -> bool:
    """Tell whether there is a folder."""
    with told(url, "looked up"):
        filesystem, path = _open_filesystem(url)
        return bool(filesystem.isdir(path))


def stat(url: str) -> StoredFile:
    """Look one file up."""
    with told(url, "looked up"):
        filesystem, path = _open_filesystem(url)
        return _stored(filesystem, filesystem.info(path), parent(path))


def linked(file: StoredFile) -> StoredFile:
    """Return the file that a symbolic link in a listing leads to; any other as it is, and a broken link, too."""
    url = canonical(file.url)
    return file if url == file.url or not exists(url) else replace(stat(url), path=file.path)


def list_files(url: str) -> list[StoredFile]:
    """List every file below a folder, sorted by path."""
    with told(url, "listed"):
        filesystem, path = _open_filesystem(url)
        if _is_local(filesystem):
            found = local_disk.found(path, _tell_unlisted)
        else:
            filesystem.invalidate_cache(path)
            found = filesystem.find(path, detail=True).values()
        files = [_stored(filesystem, info, path) for info in found]
    return sorted(files, key=lambda file: file.path)


def glob(pattern: str) -> list[str]:
    """List the URLs that a pattern with `*`, `?`, `[…]` or `**` matches, sorted."""
    with told(pattern, "searched"):
        filesystem, path = _open_filesystem(pattern)
        return sorted(canonical(_url(filesystem, match)) for match in filesystem.glob(path))


def read_bytes(url: str) -> bytes:
    """Read a whole file."""
    with told(url, "read"):
        filesystem, path = _open_filesystem(url)
        return cast("bytes", filesystem.cat_file(path))


def open_file(url: str) -> IO[bytes]:
    """Open a file for reading and seeking; a failure while it is read is a `StorageError` too."""
    with told(url, "opened"):
        filesystem, path = _open_filesystem(url)
        return io.BufferedReader(ToldFile(filesystem.open(path, "rb"), url), READ_BYTES)


def open_text(url: str) -> IO[str]:
    """Open a text file for writing line by line; the one place that may be seen unfinished."""
    with told(url, "written"):
        filesystem, path = _open_filesystem(url)
        if _is_local(filesystem):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            return Path(path).open("w", buffering=1, encoding="utf-8", errors="backslashreplace")
        return cast("IO[str]", filesystem.open(path, "w", encoding="utf-8"))


def write_whole(url: str, data: bytes) -> None:
    """Write a file that appears whole or not at all, in place of an older one."""
    with told(url, "written"):
        filesystem, path = _open_filesystem(url)
        if not _is_local(filesystem):
            filesystem.pipe_file(path, data)
            return
        with local_disk.written_beside(path, data) as beside:
            Path(beside).replace(path)


def create(url: str, data: bytes) -> bool:
    """Write a file only if there is none, whole or not at all.

    Returns:
        False where another file stands there. A lost answer is told from a lost race by reading back.
    """
    with told(url, "created"):
        filesystem, path = _open_filesystem(url)
        try:
            if _is_local(filesystem):
                with local_disk.written_beside(path, data) as beside:
                    os.link(beside, path)
            else:
                filesystem.pipe_file(path, data, mode="create")
        except FileExistsError:
            return bool(filesystem.cat_file(path) == data)
        return True


def remove(url: str) -> None:
    """Remove a file; none there is as good."""
    with told(url, "removed"), contextlib.suppress(FileNotFoundError):
        filesystem, path = _open_filesystem(url)
        filesystem.rm_file(path)


def filesystem_of(url: str) -> fsspec.AbstractFileSystem:
    """Return the fsspec filesystem, for libraries that read through one themselves."""
    return _open_filesystem(url)[0]


def path_of(url: str) -> str:
    """Return the place as its own filesystem names it, without a protocol."""
    return _open_filesystem(url)[1]


def _open_filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    if not url:
        raise UsageError("A path is empty; expected a file, a folder or a URL.")
    try:
        filesystem, path = url_to_fs(str(Path(url).expanduser()) if "://" not in url else url)
    except (ValueError, ImportError) as error:
        raise UsageError(f"{url} is no place that can be read: {error}") from error
    return filesystem, cast("str", path)


def _is_local(filesystem: fsspec.AbstractFileSystem) -> bool:
    return "file" in filesystem.protocol


def _url(filesystem: fsspec.AbstractFileSystem, path: str) -> str:
    return LOCAL + path if _is_local(filesystem) else cast("str", filesystem.unstrip_protocol(path))


def _stored(filesystem: fsspec.AbstractFileSystem, info: dict[str, Any], below: str) -> StoredFile:
    path = info["name"]
    size_bytes = int(info["size"] or 0)
    version = info.get("ETag") or f"{size_bytes}-{info.get('mtime', '')}"
    return StoredFile(
        url=_url(filesystem, path),
        path=path[len(below) :].lstrip("/") or name(path),
        size_bytes=size_bytes,
        version=str(version).strip('"'),
    )


def _tell_unlisted(error: OSError) -> None:
    """Stop at a folder that cannot be listed: its photos must not be dropped in silence."""
    with told(f"{LOCAL}{error.filename}", "listed"):
        raise error
