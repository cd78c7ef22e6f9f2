"""Local disk: complete listings, and files that appear whole.

It raises plain `OSError`s, without retries; `storage.files` puts them into words.
"""

import contextlib
import errno
import io
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from pipeline.storage.errors import translate_errors
from pipeline.storage.hidden import is_hidden

COPY_BYTES = 1 << 20
"""Held in memory while a file is copied."""

_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{32}\.tmp", re.DOTALL)
"""The name of an unfinished file."""

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""Error numbers of file systems without hard links (exFAT, some network and FUSE mounts)."""

NO_HARD_LINKS = "its file system has no hard links, which safe commits need; use a folder on another disk"


@dataclass(frozen=True)
class LocalDisk:
    """The files of this machine."""

    filesystem: Any
    """Of fsspec."""

    is_concurrent = False

    def info(self, path: str) -> dict[str, Any]:
        """Look up one file."""
        found = os.stat(path)  # noqa: PTH116 - the path is text here
        return {"name": path, "size": found.st_size, "mtime": found.st_mtime}

    def is_protected(self, _path: str) -> bool:
        """Return True: disks have checksums of their own."""
        return True

    def find_address(self, _path: str, _lasts_s: int) -> None:
        """Return None: a disk is not read by HTTP."""

    def exists(self, path: str) -> bool:
        """Tell whether a file or folder exists."""
        return Path(path).exists()

    def is_folder(self, path: str) -> bool:
        """Tell whether a folder exists."""
        return Path(path).is_dir()

    def find(self, path: str) -> Iterator[dict[str, Any]]:
        """Find every file below a folder, with fsspec's keys.

        A link to a folder counts as a file, and so does a broken link. A folder that cannot be listed raises its error:
        the search must not drop its photos silently.
        """
        for here, folders, names in os.walk(path, onerror=partial(_raise_translated, path)):
            files = [Path(here, name) for name in names]
            links = [link for link in (Path(here, name) for name in folders) if link.is_symlink()]
            for file in files + links:
                if found := _stat(file):
                    yield {"name": str(file), "size": found.st_size, "mtime": found.st_mtime}

    def glob(self, pattern: str) -> list[str]:
        """Find the paths that a pattern matches."""
        return list(self.filesystem.glob(pattern))

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read the bytes [start, end) of each range, as far as there are any."""
        with self.open(path) as file:
            return [os.pread(file.fileno(), end - start, start) for start, end in ranges]

    def read_whole(self, path: str) -> bytes:
        """Read a file."""
        with self.open(path) as file:
            return file.read()

    def open(self, path: str) -> IO[bytes]:
        """Open a file; refuse a pipe, whose writer may never come."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        file = os.fdopen(descriptor, "rb", buffering=0)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return file
        file.close()
        kind = errno.EISDIR if Path(path).is_dir() else errno.ENXIO
        raise OSError(kind, os.strerror(kind), path)

    def write_whole(self, path: str, data: bytes) -> None:
        """Write a file, replacing an older one."""
        with _write_beside(path, io.BytesIO(data)) as beside:
            beside.replace(path)

    def create(self, path: str, data: bytes) -> bool:
        """Write a file only if it is absent; an existing file with the same content counts as ours.

        Only a hard link does this so that a kill leaves nothing half done; without hard links it is an error.
        """
        with _write_beside(path, io.BytesIO(data)) as beside:
            try:
                os.link(beside, path)
            except FileExistsError:
                with contextlib.suppress(FileNotFoundError):  # another process has removed it since
                    return Path(path).read_bytes() == data
                return False
            except OSError as error:
                if error.errno in _NO_LINKS:
                    raise OSError(NO_HARD_LINKS) from error
                raise
        return True

    def upload(self, source: Path, path: str) -> None:
        """Copy a file, replacing an older one."""
        with source.open("rb") as data, _write_beside(path, data) as beside:
            beside.replace(path)

    def remove(self, path: str) -> None:
        """Remove a file if it exists."""
        Path(path).unlink(missing_ok=True)

    def remove_leftovers(self, path: str) -> list[str]:
        """Remove the unfinished files that killed writers left in or below a folder; return their paths."""
        found = [Path(info["name"]) for info in self.find(path)]
        left = sorted(file for file in found if _LEFTOVER.fullmatch(file.name))
        for file in left:
            file.unlink(missing_ok=True)
        return [str(file) for file in left]


@contextlib.contextmanager
def _write_beside(path: str, data: IO[bytes]) -> Iterator[Path]:
    """Write to a temporary name in the same folder, flush it to disk, and always clean up."""
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{Path(path).name}.{uuid.uuid4().hex}.tmp"
    try:
        with beside.open("xb") as file:
            shutil.copyfileobj(data, file, COPY_BYTES)
            file.flush()
            os.fsync(file.fileno())
        yield beside
        _sync_folder(folder)
    finally:
        beside.unlink(missing_ok=True)


def _stat(file: Path) -> os.stat_result | None:
    """Look up a file of a listing; None if it has gone since: a writer's temporary files come and go."""
    with contextlib.suppress(OSError):  # a link may lead nowhere, to itself, or where nobody may look
        return file.stat()
    with contextlib.suppress(FileNotFoundError):
        return file.lstat()
    return None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise_translated(root: str, error: OSError) -> None:
    """Raise why a folder cannot be listed, but for one whose files would be left out: lost+found is root's alone."""
    if is_hidden(str(error.filename)[len(root) :]):
        return
    with translate_errors(f"file://{error.filename}", "listed"):
        raise error
