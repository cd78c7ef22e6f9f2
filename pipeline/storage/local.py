"""Local disk: listings that leave nothing out, and files that appear whole.

Raises plain `OSError`s; `storage` puts them into words. Nothing is tried again here.
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
from pathlib import Path
from typing import IO, Any

from pipeline.storage.errors import translate_errors

COPIED_BYTES = 1 << 20
"""Held of a file while it is copied."""

_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{32}\.tmp", re.DOTALL)
"""The name of a file that is being written."""

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What file systems without hard links (exFAT, some network and FUSE mounts) refuse one with."""

_WITHOUT_LINKS = "its file system has no hard links, which safe commits need; use a folder on another disk"


@dataclass(frozen=True)
class LocalDisk:
    """The files of this machine."""

    filesystem: Any
    """fsspec's."""

    def info(self, path: str) -> dict[str, Any]:
        """Look one file up."""
        facts = os.stat(path)  # noqa: PTH116 - the path is text here
        return {"name": path, "size": facts.st_size, "mtime": facts.st_mtime}

    def is_protected(self, _path: str) -> bool:
        """Disks have checksums of their own."""
        return True

    def exists(self, path: str) -> bool:
        """Tell whether there is a file or folder."""
        return Path(path).exists()

    def is_folder(self, path: str) -> bool:
        """Tell whether there is a folder."""
        return Path(path).is_dir()

    def found(self, path: str) -> Iterator[dict[str, Any]]:
        """Find every file below a folder, in fsspec's words.

        A link to a folder is not followed, and comes as a file would; so does a link that leads nowhere. A folder that
        cannot be listed stops the search: its photos must not be dropped in silence.
        """
        for here, folders, names in os.walk(path, onerror=_stop):
            files = [Path(here, name) for name in names]
            links = [link for link in (Path(here, name) for name in folders) if link.is_symlink()]
            for file in files + links:
                if facts := _facts(file):
                    yield {"name": str(file), "size": facts.st_size, "mtime": facts.st_mtime}

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
        """Open a file; a pipe, which may never be written, is none."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        file = os.fdopen(descriptor, "rb", buffering=0)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return file
        file.close()
        kind = errno.EISDIR if Path(path).is_dir() else errno.ENXIO
        raise OSError(kind, os.strerror(kind), path)

    def write_whole(self, path: str, data: bytes) -> None:
        """Write a file in place of an older one."""
        with _beside(path, io.BytesIO(data)) as beside:
            beside.replace(path)

    def create(self, path: str, data: bytes) -> bool:
        """Write a file only if there is none; what stands there already may be ours.

        Without hard links there is no way to do this that a kill could not leave half done, so that is an error.
        """
        with _beside(path, io.BytesIO(data)) as beside:
            try:
                os.link(beside, path)
            except FileExistsError:
                with contextlib.suppress(FileNotFoundError):  # it has been removed since
                    return Path(path).read_bytes() == data
                return False
            except OSError as error:
                if error.errno in _NO_LINKS:
                    raise OSError(_WITHOUT_LINKS) from error
                raise
        return True

    def upload(self, source: Path, path: str) -> None:
        """Copy a file in place of an older one."""
        with source.open("rb") as data, _beside(path, data) as beside:
            beside.replace(path)

    def remove(self, path: str) -> None:
        """Remove a file; none there is as good."""
        Path(path).unlink(missing_ok=True)

    def remove_leftovers(self, path: str) -> list[str]:
        """Remove, in a folder and below it, what killed writers were writing; return the paths."""
        found = [Path(info["name"]) for info in self.found(path)]
        left = sorted(file for file in found if _LEFTOVER.fullmatch(file.name))
        for file in left:
            file.unlink(missing_ok=True)
        return [str(file) for file in left]


@contextlib.contextmanager
def _beside(path: str, data: IO[bytes]) -> Iterator[Path]:
    """Write under a temporary name in the same folder, safe on disk, and clean up whatever happens."""
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{Path(path).name}.{uuid.uuid4().hex}.tmp"
    try:
        with beside.open("xb") as file:
            shutil.copyfileobj(data, file, COPIED_BYTES)
            file.flush()
            os.fsync(file.fileno())
        yield beside
        _sync_folder(folder)
    finally:
        beside.unlink(missing_ok=True)


def _facts(file: Path) -> os.stat_result | None:
    """Look up a file of a listing; None where it has gone since: beside a writer, temporary ones come and go."""
    for look_up in (file.stat, file.lstat):
        with contextlib.suppress(FileNotFoundError):
            return look_up()
    return None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stop(error: OSError) -> None:
    with translate_errors(f"file://{error.filename}", "listed"):
        raise error
