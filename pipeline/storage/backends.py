"""Which store a URL leads to.

The three kinds of store have the same methods, which take the store's own paths. `storage.files` takes URLs and puts
failures into words.
"""

from pathlib import Path
from typing import cast

import fsspec
from fsspec.core import url_to_fs

from pipeline.core.errors import UsageError
from pipeline.storage.fsspec_backend import FsspecStore
from pipeline.storage.local import LocalDisk
from pipeline.storage.s3 import S3Store
from pipeline.storage.s3_requests import S3Requests

Backend = LocalDisk | S3Store | FsspecStore


def open_backend(url: str) -> tuple[Backend, str]:
    """Return the store that a URL leads to, and the store's own path of the place."""
    filesystem, path = open_filesystem(url)
    if is_local(filesystem):
        return LocalDisk(filesystem), path
    if "s3" in filesystem.protocol:
        return S3Store(S3Requests(filesystem)), path
    return FsspecStore(filesystem), path


def open_filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return fsspec's filesystem of a URL, and the path there.

    Raises:
        UsageError: fsspec knows no such place, or the URL is empty.
    """
    if not url:
        raise UsageError("A path is empty; expected a file, a folder or a URL.")
    options = S3Requests.options if url.startswith(("s3://", "s3a://")) else {}
    place = str(Path(url).expanduser()) if "://" not in url else url
    # For fsspec two colons chain filesystems; here they are part of a name. So it gets only the text before them, plus
    # a letter that protects a slash at its end.
    head, colons, tail = place.partition("::")
    try:
        filesystem, path = url_to_fs(f"{head}x" if colons else place, **options)
    except (ValueError, ImportError) as error:
        raise UsageError(f"{url} is no place that can be read: {error}") from error
    if colons:
        path = f"{path[:-1]}{colons}{tail}"
    if options and not path:
        raise UsageError(f"{url} names no bucket; expected s3://bucket/path.")
    return filesystem, cast("str", path)


def is_local(filesystem: fsspec.AbstractFileSystem) -> bool:
    """Tell whether a filesystem is the local disk."""
    return "file" in filesystem.protocol
