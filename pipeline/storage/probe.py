"""Tries whether a place can be listed, read and written, and whether it can create a file only if absent.

Safe commits need the last one. The trial files are in a folder of their own below the place, which is removed again.
"""

import shutil
import uuid
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pipeline import storage
from pipeline.core.errors import CrackscanError, StorageError
from pipeline.storage.retry import limit_retries

TRIAL_PREFIX = ".crackscan-doctor"
"""Begins the folder's name."""

LIMIT_S = 4.0
"""Time limit of the retries of one request: a person waits for the answer."""

DISK_ADVICE = "Look at owner and rights with ls -ld, or choose another folder."
S3_ADVICE = (
    "Look at AWS_PROFILE or the keys, AWS_ENDPOINT_URL and the region, and at the rights of that key: s3:ListBucket, "
    "s3:GetObject, and for --out s3:PutObject and s3:DeleteObject."
)
OTHER_ADVICE = "Look at the address, the credentials and the network."


class Probe(NamedTuple):
    """The result of a trial."""

    url: str
    is_there: bool = False
    is_file: bool = False
    read_error: str | None = None
    """Why looking up, listing or reading failed."""
    write_error: str | None = None
    """Why writing failed; a file is only read."""
    advice: str = OTHER_ADVICE
    """What to check after a failure."""


def probe(place: str, limit_s: float = LIMIT_S) -> Probe:
    """Try a file, a folder, or a folder that does not exist yet.

    Args:
        place: path or URL.
        limit_s: time limit of the retries of one request.
    """
    try:
        url = storage.canonical(place)
        with limit_retries(limit_s):
            return _try(url)._replace(advice=_advice(url))
    except CrackscanError as error:
        return Probe(place, read_error=str(error), advice=_advice(place))


def _try(url: str) -> Probe:
    if not storage.exists(url):
        return Probe(url, write_error=_try_writing(_nearest_folder(url)))
    if storage.is_folder(url):
        return Probe(url, is_there=True, write_error=_try_writing(url))
    storage.read_ranges(url, [(0, 1)])
    return Probe(url, is_there=True, is_file=True)


def _nearest_folder(url: str) -> str:
    """Return the nearest existing folder above a new one; object stores have no folders, so there the URL itself."""
    if not url.startswith(storage.LOCAL):
        return url
    path = storage.local_path(url)
    return storage.LOCAL + str(next(parent for parent in path.parents if parent.exists()))


def _try_writing(folder_url: str) -> str | None:
    trial = storage.join(folder_url, f"{TRIAL_PREFIX}-{uuid.uuid4().hex}")
    file = storage.join(trial, "trial")
    try:
        return _check_writing(trial, file)
    except StorageError as error:
        return str(error)
    finally:
        with suppress(StorageError):
            storage.remove(file)
        if trial.startswith(storage.LOCAL):
            shutil.rmtree(Path(trial.removeprefix(storage.LOCAL)), ignore_errors=True)


def _check_writing(trial: str, file: str) -> str | None:
    """Create a file, try to create it again, list it and read it; return what went wrong.

    Raises:
        StorageError: one of these failed.
    """
    storage.create(file, b"one")
    if storage.create(file, b"two") or storage.read_bytes(file) != b"one":
        return f"{trial} lets a file be created twice, so that two writers would not notice each other"
    if [found.path for found in storage.list_files(trial)] != ["trial"]:
        return f"{trial} does not list the file that was written there"
    return None


def _advice(url: str) -> str:
    if url.startswith(("s3://", "s3a://")):
        return S3_ADVICE
    return OTHER_ADVICE if "://" in url and not url.startswith(storage.LOCAL) else DISK_ADVICE
