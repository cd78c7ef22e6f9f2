"""What local disk needs beyond fsspec: listings that leave nothing out, and files that appear whole.

Raises plain `OSError`s; `storage` puts them into words.
"""

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def found(folder: str, on_error: Callable[[OSError], None]) -> Iterator[dict[str, Any]]:
    """Find every file below a folder, in fsspec's words.

    A link to a folder is not followed, and comes as a file would; so does a link that leads nowhere.
    """
    for here, folders, names in os.walk(folder, onerror=on_error):
        files = [Path(here, name) for name in names]
        links = [link for link in (Path(here, name) for name in folders) if link.is_symlink()]
        for file in files + links:
            facts = file.stat() if file.exists() else file.lstat()
            yield {"name": str(file), "size": facts.st_size, "mtime": facts.st_mtime}


@contextlib.contextmanager
def written_beside(path: str, data: bytes) -> Iterator[str]:
    """Write under a temporary name in the same folder, safe on disk, and clean up whatever happens."""
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{Path(path).name}.{uuid.uuid4().hex}.tmp"
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield str(beside)
        _sync_folder(folder)
    finally:
        beside.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
