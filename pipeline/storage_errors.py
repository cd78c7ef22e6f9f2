"""What goes wrong below `storage`, in words: every filesystem's failure becomes a `StorageError`."""

import contextlib
import errno
import io
import sys
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
        raise StorageError(f"{url} could not be {verb}: it was not found.", lasting=True) from error
    except PermissionError as error:  # on a remote store also what an expired key is answered with
        lasting = "://" not in url or url.startswith("file://")
        raise StorageError(f"{url} could not be {verb}: permission was denied.", lasting=lasting) from error
    except OSError as error:
        cause = _CAUSES.get(error.errno or 0, str(error))
        lasting = isinstance(error, IsADirectoryError)
        raise StorageError(f"{url} could not be {verb}: {cause}.", lasting=lasting) from error
    except _of_botocore() as error:
        raise StorageError(f"{url} could not be {verb}: {error}.") from error


def _of_botocore() -> tuple[type[Exception], ...]:
    """Return what S3's client raises besides `OSError`, such as missing credentials; nothing where it is not in use."""
    loaded = sys.modules.get("botocore.exceptions")
    return () if loaded is None else (loaded.BotoCoreError,)


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
