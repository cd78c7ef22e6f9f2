"""Folders for temporary files that stay nowhere: a killed process's are removed by the next one.

A process holds a lock in each of its folders. The system releases it when the process ends, however that happens, so
no process number that was given out again, no container and no reboot can mislead the next one.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.core.errors import StorageError

PREFIX = "crackscan-"
LOCK = ".crackscan-lock"
"""The file that says that a folder is ours, and whose lock says that its process lives."""


@contextmanager
def temporary_folder(parents: Sequence[str] | None = None) -> Iterator[Path]:
    """Make a folder that exists while the context lasts; first remove those that killed processes left beside it.

    Args:
        parents: where to make it: in the first of them that takes it; None takes the system's place, or TMPDIR.

    Raises:
        StorageError: no place takes it.
    """
    folder, lock = _make_folder([system_folder()] if parents is None else parents)
    try:
        remove_abandoned(folder.parent)
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


def system_folder() -> str:
    """Return the system's place for temporary files, or that of TMPDIR.

    Raises:
        StorageError: there is none.
    """
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as error:  # Python names the places that it tried
        raise StorageError(
            f"There is no place for temporary files: {error.strerror or error}. Free some space in one of them, or set "
            "TMPDIR to a folder that can be written."
        ) from error


def _make_folder(parents: Sequence[str]) -> tuple[Path, int]:
    """Make a folder in the first place that takes it, and lock it; return it with the open lock."""
    failures = []
    for parent in parents:
        try:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        except OSError as error:
            failures.append(f"{parent} ({error.strerror or error})")
            continue
        try:
            return folder, _lock_new(folder)
        except OSError as error:
            failures.append(f"{parent} ({error.strerror or error})")
            shutil.rmtree(folder, ignore_errors=True)
    raise StorageError(
        f"No temporary folder can be made in {' or '.join(failures)}. Free some space there, or set TMPDIR to a folder "
        "that can be written."
    )


def _lock_new(folder: Path) -> int:
    """Put a lock into a new folder; it gets its name when it is held, so nobody takes it for abandoned before that."""
    lock = os.open(folder / f"{LOCK}-new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        with suppress(OSError):  # a file system without locks: nobody else can get this one either
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (folder / f"{LOCK}-new").rename(folder / LOCK)
    except OSError:
        os.close(lock)
        raise
    return lock


def remove_abandoned(parent: Path) -> None:
    """Remove the folders in a place that processes of this user made and that none holds any more."""
    with suppress(OSError):
        for folder in parent.glob(f"{PREFIX}*"):
            with suppress(OSError):
                _remove_if_abandoned(folder)


def _remove_if_abandoned(folder: Path) -> None:
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        return
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(folder)
    finally:
        os.close(lock)


def _remove(folder: Path) -> None:
    """Remove a folder, the lock last: if a dying process still writes there, the next one tries again."""
    for path in _list(folder):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK:
            with suppress(OSError):
                path.unlink()
    if _list(folder) == [folder / LOCK]:
        with suppress(OSError):
            (folder / LOCK).unlink()
            folder.rmdir()


def _list(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
