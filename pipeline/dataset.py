"""An output dataset: where its files lie, and what its commit log says.

`images/part-<n>.parquet` is the log: a photo is done if and only if a committed file holds its row. This module reads;
the one writer is `sink`.
"""

import hashlib
import io
import os
import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.errors import DatasetError
from pipeline.schema import IMAGES

TOKEN = b"crackscan.token"
"""Parquet metadata: the run that wrote a file."""

_NUMBERED = re.compile(r"(part|failed)-(\d+)(?:-(\w+))?\.parquet$")


@dataclass(frozen=True)
class Layout:
    """Names of the files below one dataset's URL."""

    url: str

    @property
    def run(self) -> str:
        """What may never change between runs."""
        return storage.join(self.url, "run.json")

    @property
    def summary(self) -> str:
        """Stands only where every listed photo has its row."""
        return storage.join(self.url, "summary.json")

    @property
    def plans(self) -> str:
        """Folder of the tables of what each archive holds."""
        return storage.join(self.url, "plan")

    def plan(self, archive: str) -> str:
        """Table of what one archive holds."""
        return storage.join(self.plans, f"{hashlib.sha256(archive.encode()).hexdigest()[:16]}.parquet")

    def noise(self, run_id: str) -> str:
        """Local file for what Ray writes beside its logs; nowhere where the dataset is remote."""
        if not self.url.startswith(storage.LOCAL):
            return os.devnull
        return self.url.removeprefix(storage.LOCAL) + f"/logs/{run_id}.ray.txt"

    def images(self, part: int) -> str:
        """Commit `part`; its photos that were scored."""
        return storage.join(self.url, "images", f"part-{part:06d}.parquet")

    def failed(self, part: int) -> str:
        """Its photos that failed."""
        return storage.join(self.url, "images", f"failed-{part:06d}.parquet")

    def tiles(self, part: int, token: str) -> str:
        """Its tiles."""
        return storage.join(self.url, "tiles", f"part-{part:06d}-{token}.parquet")


@dataclass(frozen=True)
class CommitLog:
    """What has been committed."""

    tokens: tuple[str, ...]
    """The run that made commit 0, 1, …"""
    done: pa.ChunkedArray
    """`image_id` of every photo with a row."""
    failed: int
    """How many of those failed."""
    orphans: tuple[str, ...]
    """URLs of tiles and failed files that no commit names."""


def read_log(layout: Layout) -> CommitLog:
    """Read the commit log.

    Raises:
        DatasetError: a number is missing in it.
    """
    found = [(file, match) for file in _files(layout) if (match := _NUMBERED.search(file.path))]
    parts = [file for file, match in found if match[1] == "part" and match[3] is None]
    if [storage.name(file.url) for file in parts] != [f"part-{n:06d}.parquet" for n in range(len(parts))]:
        raise DatasetError(
            f"The commit log {layout.url}/images has a gap: {len(parts)} parts, the last {parts[-1].path}. "
            "Files are missing; restore them, or score into another --out."
        )
    committed = [_committed(file.url) for file in parts]
    tokens = [token for token, _ in committed]
    failed, orphans = [], []
    for file, match in found:
        if match[1] == "part" and match[3] is None:
            continue
        token, ids = _committed(file.url) if match[1] == "failed" else (match[3], None)
        if int(match[2]) >= len(tokens) or tokens[int(match[2])] != token:
            orphans.append(file.url)
        elif ids is not None:
            failed.append(ids)
    done = [ids for _, ids in committed] + failed
    return CommitLog(tuple(tokens), pa.chunked_array(done, pa.string()), sum(map(len, failed)), tuple(orphans))


def table_bytes(table: pa.Table) -> bytes:
    """Encode a table as a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def read_table(url: str) -> pa.Table:
    """Read a Parquet file whole."""
    try:
        return pq.read_table(io.BytesIO(storage.read_bytes(url)))
    except pa.ArrowInvalid as error:
        raise DatasetError(f"{url} is no sound Parquet file: {error}.") from error


def _files(layout: Layout) -> list[storage.StoredFile]:
    folders = [storage.join(layout.url, name) for name in ("images", "tiles")]
    return [file for folder in folders if storage.exists(folder) for file in storage.list_files(folder)]


def _committed(url: str) -> tuple[str, pa.Array]:
    """Return a file's token and the photos in it."""
    try:
        with storage.open_file(url) as file, pq.ParquetFile(file) as parquet:
            token = parquet.schema_arrow.metadata[TOKEN].decode()
            ids = parquet.read(columns=[IMAGES.names[1]])["image_id"].combine_chunks()
    except (pa.ArrowInvalid, KeyError) as error:
        raise DatasetError(f"{url} is no sound file of this dataset: {error}.") from error
    return token, ids
