"""Folders for temporary files, whose failures name the temporary folder: a full disk there is no fault of the data."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core import scratch
from pipeline.core.errors import StorageError
from pipeline.storage.errors import cause_of


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that is removed at the end.

    Raises:
        StorageError: a temporary file could not be written, or the folder not made.
    """
    try:
        with scratch.temporary_folder() as folder:
            yield folder
    except OSError as error:  # the verbs of `storage` raise none
        raise temporary_failure(cause_of(error)) from error


def temporary_failure(cause: str) -> StorageError:
    """Return the error of a temporary file that could not be written.

    Args:
        cause: why, in words.
    """
    return StorageError(
        f"A temporary file could not be written to {tempfile.gettempdir()}: {cause}. "
        "Make room there, or let TMPDIR name a folder with more."
    )
