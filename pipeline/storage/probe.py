"""What a place lets us do: list, read, write, and create a file only if absent, which safe commits need.

It is found out by doing it, in a folder of its own below the place, which is removed again.
"""

import shutil
import uuid
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pipeline import storage
from pipeline.core.errors import CrackscanError, StorageError
from pipeline.storage.retry import limit_retries

TRIAL = ".crackscan-doctor"
"""What the folder's name begins with."""

PATIENCE_S = 4.0
"""How long each request is tried again: who asks a doctor waits for the answer."""

_ON_DISK = "Look at owner and rights with ls -ld, or choose another folder."
_ON_S3 = (
    "Look at AWS_PROFILE or the keys, AWS_ENDPOINT_URL and the region, and at the rights of that key: s3:ListBucket, "
    "s3:GetObject, and for --out s3:PutObject and s3:DeleteObject."
)
_ELSEWHERE = "Look at the address, the credentials and the network."


class Probe(NamedTuple):
    """What a place lets us do."""

    url: str
    is_there: bool = False
    is_file: bool = False
    read_error: str | None = None
    """Why it could not be looked up, listed or read."""
    write_error: str | None = None
    """Why it could not be written; of a file nobody asks."""
    advice: str = _ELSEWHERE
    """What to look at where something could not be done."""


def probe(place: str) -> Probe:
    """Try a file, a folder, or one that is not there yet."""
    try:
        url = storage.canonical(place)
        with limit_retries(PATIENCE_S):
            return _tried(url)._replace(advice=_advice(url))
    except CrackscanError as error:
        return Probe(place, read_error=str(error), advice=_advice(place))


def _tried(url: str) -> Probe:
    if not storage.exists(url):
        return Probe(url, write_error=_write_error(_nearest(url)))
    if storage.is_folder(url):
        return Probe(url, is_there=True, write_error=_write_error(url))
    storage.read_ranges(url, [(0, 1)])
    return Probe(url, is_there=True, is_file=True)


def _nearest(url: str) -> str:
    """Return where a folder that is not there yet would be made: on disk in the nearest one that is."""
    if not url.startswith(storage.LOCAL):
        return url
    path = storage.local_path(url)
    return storage.LOCAL + str(next(parent for parent in path.parents if parent.exists()))


def _write_error(folder_url: str) -> str | None:
    trial = storage.join(folder_url, f"{TRIAL}-{uuid.uuid4().hex}")
    file = storage.join(trial, "trial")
    try:
        return _wrong_with(trial, file)
    except StorageError as error:
        return str(error)
    finally:
        with suppress(StorageError):
            storage.remove(file)
        if trial.startswith(storage.LOCAL):
            shutil.rmtree(Path(trial.removeprefix(storage.LOCAL)), ignore_errors=True)


def _wrong_with(trial: str, file: str) -> str | None:
    """Create a file, refuse to create it again, list it and read it.

    Raises:
        StorageError: one of these cannot be done at all.
    """
    storage.create(file, b"one")
    if storage.create(file, b"two") or storage.read_bytes(file) != b"one":
        return f"{trial} lets a file be created twice, so that two writers would not notice each other"
    if [found.path for found in storage.list_files(trial)] != ["trial"]:
        return f"{trial} does not list the file that was written there"
    return None


def _advice(url: str) -> str:
    if url.startswith(("s3://", "s3a://")):
        return _ON_S3
    return _ELSEWHERE if "://" in url and not url.startswith(storage.LOCAL) else _ON_DISK
