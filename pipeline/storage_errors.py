"""What goes wrong below `storage`, in words: every filesystem's failure becomes a `StorageError`."""

import contextlib
import errno
import io
from collections.abc import Iterator
from typing import IO, Any

from pipeline.errors import StorageError

_CAUSES = {
    errno.EACCES: "permission was denied",
    errno.EPERM: "permission was denied",
    errno.ENOENT: "it was not found",
    errno.ENOSPC: "the disk is full",
    errno.EROFS: "the disk is read-only",
    errno.EISDIR: "it is a folder",
    errno.ENOTDIR: "a part of its path is a file",
    errno.EEXIST: "a part of its path is a file",
}
"""What the usual error numbers mean, in words."""


@contextlib.contextmanager
def told(url: str, verb: str) -> Iterator[None]:
    """Turn a filesystem's failure into a `StorageError` that names the place and the cause."""
    try:
        yield
    except FileNotFoundError as error:
        raise StorageError(f"{url} could not be {verb}: it was not found.") from error
    except PermissionError as error:
        raise StorageError(f"{url} could not be {verb}: permission was denied.") from error
    except OSError as error:
        cause = _CAUSES.get(error.errno or 0, str(error))
        raise StorageError(f"{url} could not be {verb}: {cause}.") from error


class ToldFile(io.RawIOBase):
    """An open file whose failures are told from those of a decompressor or parser that reads it."""

    def __init__(self, file: IO[bytes], url: str) -> None:
        self._file = file
        self._url = url

    def readable(self) -> bool:
        """It is open for reading."""
        return True

    def seekable(self) -> bool:
        """Every filesystem's files are."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - the buffer protocol has a type from Python 3.12 on
        """Fill a buffer as far as there are bytes."""
        with told(self._url, "read"):
            return int(self._file.readinto(buffer))  # type: ignore[attr-defined]  # typeshed's IO lacks it

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; to before the start is the reader's mistake, as in a damaged archive."""
        if whence == io.SEEK_SET and offset < 0:
            raise ValueError(f"there is no byte {offset}")
        return self._file.seek(offset, whence)

    def close(self) -> None:
        """Close the file below, too."""
        self._file.close()
        super().close()
