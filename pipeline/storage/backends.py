"""Which store a URL leads to, and how fsspec is asked for it.

The three kinds have the same verbs, in paths of their own; `storage` has them in URLs, with failures in words.
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
    """Return the store that a URL leads to, and the place as that store names it."""
    filesystem, path = open_filesystem(url)
    if is_local(filesystem):
        return LocalDisk(filesystem), path
    if "s3" in filesystem.protocol:
        return S3Store(S3Requests(filesystem)), path
    return FsspecStore(filesystem), path


def open_filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the same as fsspec's own filesystem and path.

    Raises:
        UsageError: it is no place that fsspec knows, or none at all.
    """
    if not url:
        raise UsageError("A path is empty; expected a file, a folder or a URL.")
    options = S3Requests.options if url.startswith(("s3://", "s3a://")) else {}
    place = str(Path(url).expanduser()) if "://" not in url else url
    # Two colons chain filesystems for fsspec; here they are a part of a name, so it gets what stands before them, with
    # a letter that keeps a slash at the end of that.
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
    """Tell whether a filesystem is this machine's."""
    return "file" in filesystem.protocol
