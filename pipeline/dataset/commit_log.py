"""An output dataset: what its `run.json` says, and what its commit log says.

`images/part-<n>.parquet` is the log: a photo is done if and only if a committed file holds its row. This module reads;
the one writer is `sink`.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.core.errors import DatasetError, StorageError
from pipeline.dataset.layout import Layout

TOKEN = b"crackscan.token"
"""Parquet metadata: the run that wrote a file."""

READ_FILES = 256
"""Files of the log in memory at once; a few tens of kilobytes each."""

_NUMBERED = {
    "images": re.compile(r"(part|failed)-(\d+)()\.parquet"),
    "tiles": re.compile(r"(part)-(\d+)-(\w+)\.parquet"),
}
"""Names of the numbered files of each folder: kind, commit, and the token of a tiles file."""


@dataclass(frozen=True)
class CommitLog:
    """What has been committed; a writer that wakes up late can add nothing to it."""

    tokens: tuple[str, ...]
    """The run that made commit 0, 1, …"""
    done: pa.ChunkedArray
    """`image_id` of every photo with a row."""
    failed: int
    """How many of those failed."""
    orphans: tuple[str, ...]
    """URLs of tiles and failed files that never can be committed, since their number is another run's."""
    failed_parts: frozenset[int] = frozenset()
    """The commits with failed photos."""

    def after(self, token: str, ids: pa.ChunkedArray, failed: int) -> "CommitLog":
        """Return the log with one more commit."""
        return replace(
            self,
            tokens=(*self.tokens, token),
            done=pa.chunked_array([*self.done.chunks, *ids.chunks], pa.string()),
            failed=self.failed + failed,
            failed_parts=self.failed_parts | {len(self.tokens)} if failed else self.failed_parts,
        )

    def without_failed(self, ids: pa.ChunkedArray, emptied: Iterable[int]) -> "CommitLog":
        """Return the log without some failed photos; of the `emptied` commits no failed photo is left."""
        return replace(
            self,
            done=self.done.filter(pc.invert(pc.is_in(self.done, value_set=ids))),
            failed=self.failed - len(ids),
            failed_parts=self.failed_parts.difference(emptied),
        )


NOTHING = CommitLog((), pa.chunked_array([], pa.string()), 0, ())
"""The log of a dataset without a commit."""


def read_log(layout: Layout, known: CommitLog | None = None) -> CommitLog:
    """Read the commit log: one listing, and of each file that is not in `known` one column.

    Raises:
        DatasetError: a number is missing in it, or a file is damaged.
    """
    while True:
        files = list(_numbered(layout))
        try:
            return _log_of(layout, files, known or NOTHING)
        except StorageError as error:  # a late writer may take its own file back between listing and reading
            if not error.lasting or {*files} <= {*_numbered(layout)}:
                raise


def table_bytes(table: pa.Table) -> bytes:
    """Encode a table as a Parquet file; with checksums, since a flipped byte passes a network unnoticed."""
    sink = pa.BufferOutputStream()
    repeating = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
    pq.write_table(table, sink, compression="zstd", use_dictionary=repeating, write_page_checksum=True)
    return bytes(sink.getvalue())


def read_table(url: str) -> pa.Table:
    """Read a Parquet file whole; as `parse_parquet`."""
    return parse_parquet(url, storage.read_bytes(url))


def parse_parquet(url: str, data: bytes) -> pa.Table:
    """Read what stands in a Parquet file.

    Raises:
        DatasetError: it is damaged.
    """
    try:
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            return file.read(use_threads=False)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{url} is no sound Parquet file: {error}.") from error


class _Numbered(NamedTuple):
    """A file that belongs to a commit, or wanted to."""

    kind: str
    """`part`, `failed` or `tiles`."""
    part: int
    token: str
    """The run, where the name says it: for tiles."""
    url: str


def _numbered(layout: Layout) -> Iterator[_Numbered]:
    for folder, pattern in _NUMBERED.items():
        url = storage.join(layout.url, folder)
        for file in storage.list_files(url) if storage.exists(url) else []:
            if match := pattern.fullmatch(file.path):
                yield _Numbered("tiles" if match[3] else match[1], int(match[2]), match[3], file.url)


def _log_of(layout: Layout, files: list[_Numbered], known: CommitLog) -> CommitLog:
    parts = sorted(file for file in files if file.kind == "part")
    expected = range(max([len(known.tokens), *(file.part + 1 for file in parts)]))
    if missing := sorted({*expected} - {file.part for file in parts}):
        raise DatasetError(
            f"The commit log {layout.url}/images has a gap: of {len(expected)} parts {len(missing)} are missing, "
            f"part-{missing[0]:06d}.parquet among them. Restore them, or score into another --out."
        )
    if known.failed_parts - {file.part for file in files if file.kind == "failed"}:
        known = NOTHING  # a late `retry` has forgotten photos that were known; they are to be done again
    committed = [*_committed([file.url for file in parts[len(known.tokens) :]])]
    tokens = known.tokens + tuple(token for token, _ in committed)
    told = [file for file in files if file.part < len(tokens)]  # the others may be those of a commit under way
    unread = [file for file in told if file.kind == "failed" and file.part not in known.failed_parts]
    failed = [*zip(unread, _committed([file.url for file in unread]), strict=True)]
    counted = {file.part: ids for file, (token, ids) in failed if token == tokens[file.part]}
    orphans = [file.url for file in unread if file.part not in counted]
    orphans += [file.url for file in told if file.kind == "tiles" and file.token != tokens[file.part]]
    return CommitLog(
        tokens=tokens,
        done=_joined(known.done, [*(ids for _, ids in committed), *counted.values()]),
        failed=known.failed + sum(map(len, counted.values())),
        orphans=tuple(orphans),
        failed_parts=known.failed_parts | counted.keys(),
    )


def _joined(known: pa.ChunkedArray, more: list[pa.Array]) -> pa.ChunkedArray:
    """Append, in few large chunks: thousands of small ones make every look-up slow."""
    chunks = [*known.chunks, pa.concat_arrays(more)] if more else known.chunks
    return pa.chunked_array(chunks, pa.string())


def _committed(urls: list[str]) -> Iterator[tuple[str, pa.Array]]:
    """Yield each file's token and the photos in it.

    Files are read, then parsed: with threads that read meanwhile, 8,000 took 6.3 s of CPU, not 3.8 s.
    """
    for first in range(0, len(urls), READ_FILES):
        some = urls[first : first + READ_FILES]
        yield from map(_token_and_ids, some, [*storage.read_many(some)])


def _token_and_ids(url: str, data: bytes) -> tuple[str, pa.Array]:
    try:
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as parquet:
            token = sys.intern((parquet.metadata.metadata or {})[TOKEN].decode())
            return token, parquet.read(columns=["image_id"], use_threads=False)["image_id"].combine_chunks()
    except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
        raise DatasetError(f"{url} is no sound file of this dataset: {error}.") from error
