"""The Parquet files in a dataset's folders, each read once: which are sound, and which a commit names.

`invariants` checks the rows.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.core.errors import NotFoundError
from pipeline.core.progress import OnProgress
from pipeline.dataset.commit_log import TOKEN
from pipeline.dataset.layout import Layout

READERS = 8
"""Files that are read at once: a reader mostly waits for a remote store."""
BATCH_ROWS = 1 << 16
"""Rows of a file that are decoded at once, so that large files take bounded memory."""


Kind = Literal["part", "failed", "tiles", "cracks"]

_NAMES: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("part", re.compile(r"images/part-(\d{6,})\.parquet")),
    ("failed", re.compile(r"images/failed-(\d{6,})\.parquet")),
    ("tiles", re.compile(r"tiles/part-(\d{6,})-(\w+)\.parquet")),
    ("cracks", re.compile(r"cracks/part-(\d{6,})-(\w+)\.parquet")),
)


@dataclass(frozen=True)
class PartFile:
    """One file of a commit."""

    url: str
    kind: Kind
    part: int
    """The commit's number."""
    token: str | None
    """The run that wrote it, from the name of a tiles or cracks file, else from the metadata; None if it has none."""
    damage: str | None = None
    """Why it cannot be read; None if it can."""
    written_by: str | None = None
    """The run in its metadata."""
    model_id: str | None = None
    """The model in its metadata."""
    is_declared: bool = True
    """Whether its columns and version are exactly those of `core.table_schemas`."""


@dataclass(frozen=True)
class Inventory:
    """All files below `images/`, `tiles/` and `cracks/`."""

    committed: tuple[PartFile, ...]
    """Files that the commit log names, and files that cannot be read."""
    orphans: tuple[str, ...]
    """URLs of all other files: leftovers of killed writers, and files of other programs."""


def take_inventory(layout: Layout, on_progress: OnProgress) -> Inventory:
    """Read every file of a dataset.

    Args:
        layout: the dataset.
        on_progress: called with the number of files read, and of all files.
    """
    named: list[PartFile] = []
    unknown_names: list[str] = []
    for folder in ("images", "tiles", "cracks"):
        for url in _list_files(storage.join(layout.url, folder)):
            file = _parse_name(url, f"{folder}/{url.removeprefix(storage.join(layout.url, folder, ''))}")
            if file is None:
                unknown_names.append(url)
            else:
                named.append(file)
    files: list[PartFile] = []
    with ThreadPoolExecutor(READERS) as readers:
        for number, file in enumerate(readers.map(_read, named), 1):
            files += [] if file is None else [file]
            on_progress(number, len(named))
    tokens = {file.part: file.token for file in files if file.kind == "part"}
    unknown = {file.part for file in files if file.kind == "part" and file.damage is not None}
    committed = {
        file.url: file
        for file in files
        if file.damage is not None or file.part in unknown or (file.part, file.token) in tokens.items()
    }
    orphans = [file.url for file in files if file.url not in committed]
    return Inventory(tuple(committed.values()), (*unknown_names, *orphans))


def _list_files(folder: str) -> list[str]:
    return [file.url for file in storage.list_files(folder)] if storage.exists(folder) else []


def _parse_name(url: str, path: str) -> PartFile | None:
    for kind, pattern in _NAMES:
        if match := pattern.fullmatch(path):
            return PartFile(url, kind, int(match[1]), match[2] if pattern.groups == 2 else None)
    return None


def _read(file: PartFile) -> PartFile | None:
    """Read a file; None if it has gone since the listing, because a writer sweeps or retries meanwhile."""
    try:
        with (
            storage.open_file(file.url) as opened,
            pq.ParquetFile(opened, page_checksum_verification=True) as parquet,
        ):
            found = parquet.schema_arrow
            metadata = {key.decode(): value.decode() for key, value in (found.metadata or {}).items()}
            for _ in parquet.iter_batches(BATCH_ROWS, use_threads=False):
                pass
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        return replace(file, damage=str(error))
    except NotFoundError:
        return None
    written_by = metadata.get(TOKEN.decode())
    declared = {"tiles": table_schemas.TILES, "cracks": table_schemas.CRACKS}
    return replace(
        file,
        token=file.token or written_by,
        written_by=written_by,
        model_id=metadata.get("crackscan.model"),
        is_declared=any(
            metadata.get("crackscan.schema") == str(version) and found.equals(declared.get(file.kind, images))
            for version, images in table_schemas.IMAGES_OF.items()
            if file.kind != "cracks" or version >= table_schemas.CRACKS_SINCE
        ),
    )
