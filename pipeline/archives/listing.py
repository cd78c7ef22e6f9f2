"""The listing of an archive or folder: its photos, file by file, as rows of a plan.

It tells photos from other files, gives every photo its id, and has a failed row for a part that cannot be read.
"""

import hashlib
import json
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.archives.foreign import refuse_by_name
from pipeline.archives.members import (
    SPLIT_PART,
    STREAM_SUFFIXES,
    Entry,
    archive_suffix,
    file_kind,
    is_archive,
    whole_of,
)
from pipeline.core.errors import DataError
from pipeline.core.shared_columns import share_with
from pipeline.core.table_schemas import MEMBERS

LINK = "link or device"
"""Kind of such members in the count of skipped files."""
TOO_DEEP = "archive in a nested archive"
"""Kind of such archives in the count of skipped files: only archives one level down are read."""

CHUNK_ROWS = 1 << 14
"""Rows that are Python objects at a time; a million of them take two gigabytes."""

_PLACE = ("size_bytes", "position", "stored_bytes", "method", "crc32")


class Listing:
    """The photos of one archive or folder, as rows.

    Args:
        url: canonical URL.
        version: changes with the content; empty for a folder.
        chunk_rows: rows that are Python objects at a time.
    """

    def __init__(self, url: str, version: str = "", chunk_rows: int = CHUNK_ROWS) -> None:
        self.url, self.version = url, version
        self.skipped = Counter[str]()
        self._chunk_rows = chunk_rows
        self.raster: str | None = None
        """What the plan keeps about a raster, as JSON."""
        self._is_folder = not is_archive(url)
        self._rows: list[dict[str, Any]] = []
        self._tables = [MEMBERS.empty_table()]
        self._seen = Counter[bytes]()
        self._split = set[str | None]()
        self._last_inner: Entry | None = None

    def add(self, entry: Entry, inner: Entry | None = None) -> dict[str, Any] | None:
        """Add a photo and return its row; count any other file as skipped and return None.

        Args:
            entry: the file.
            inner: the nested archive that contains it.
        """
        self._last_inner = inner
        kind = LINK if entry.is_link else file_kind(entry.path)
        if kind == "photo":
            return self._add(entry, inner)
        self.skip(TOO_DEEP if kind == "archive" else kind)
        return None

    def add_photo(self, entry: Entry) -> None:
        """Add a photo whose name does not say that it is one."""
        self._add(entry, None)

    def skip(self, kind: str, files: int = 1) -> None:
        """Count files that are no photos."""
        if files:
            self.skipped[kind] += files

    def add_part(self, part: Entry) -> tuple[dict[str, Any], DataError] | None:
        """Add a failed row for a split archive in this one at the first of its parts; count the others."""
        refusal, whole = refuse_by_name(part.path), whole_of(part.path)
        if refusal is None or whole in self._split:
            self.skip(SPLIT_PART)
            return None
        self._split.add(whole)
        return self.fail(refusal, part)

    def add_stream(self, inner: Entry | None = None) -> None:
        """Add an archive whose photos are known only after it has been read."""
        place = None if inner is None else _place(inner)
        self._keep({"entry": "stream", "archive": self.url, "version": self.version, "inner": place})

    def fail(self, error: Exception, inner: Entry | None = None) -> tuple[dict[str, Any], DataError]:
        """Add a failed row for the part of the archive after the files so far; return the row and its failure."""
        failure = self._make_failure(error, inner)
        return self._add(Entry("", 0, failure=failure), inner), failure

    def refuse_namesake(self, entry: Entry) -> None:
        """Add a failed row for a nested archive whose photos would have the ids of its namesake's."""
        found = f"{storage.name(self.url)} has two archives called {entry.path}, whose photos cannot be told apart."
        failure = DataError("open", "archive_unreadable", f"{found} Give one of them another name.")
        self._add(entry._replace(failure=failure), None)

    def next_id(self, entry: Entry, inner: Entry | None = None) -> str:
        """Return the `image_id` that the photo will get if it is added next."""
        address = self._make_address(entry, inner)
        return image_id(address, self._seen[address])

    def table(self, inner: Entry | None = None) -> pa.Table:
        """Return all rows, schema `MEMBERS`; the functions of this module read its metadata.

        Args:
            inner: the nested archive, if this is the listing of a nested archive alone.
        """
        self._flush()
        facts = {"archive": self.url, "version": self.version, "skipped": json.dumps(self.skipped)}
        path: dict[str, str | bytes] = {} if inner is None else {"inner": _encode_path(inner.path)}
        path |= {} if self.raster is None else {"raster": self.raster}
        return pa.concat_tables(self._tables).replace_schema_metadata(facts | path)

    def table_so_far(self) -> pa.Table:
        """Return the rows so far as a partial listing: a further row stands for what is not listed yet."""
        rest = {"entry": "stream", "archive": self.url, "version": self.version}
        table = self.table()
        rows = pa.concat_tables([table, pa.Table.from_pylist([rest], schema=MEMBERS)])
        return rows.replace_schema_metadata(table.schema.metadata)

    def _add(self, entry: Entry, inner: Entry | None) -> dict[str, Any]:
        address = self._make_address(entry, inner)
        occurrence = self._seen[address]
        if not self._is_folder:  # no name repeats in a folder, and a million addresses are 200 MB
            self._seen[address] += 1
        row: dict[str, Any] = {
            "entry": "photo",
            "image_id": image_id(address, occurrence),
            "archive": self.url,
            "image": _encode_path(_path_below_archive(entry, inner)).decode("utf-8", "backslashreplace"),
            "occurrence": occurrence,
            **_place(entry),
            "version": entry.version or self.version,
            "inner": None if inner is None else _place(inner),
        }
        return self._keep(row | ({} if entry.failure is None else entry.failure.columns()))

    def _make_address(self, entry: Entry, inner: Entry | None) -> bytes:
        return _encode_path(f"{self.url}{'/' if self._is_folder else '!/'}{_path_below_archive(entry, inner)}")

    def _keep(self, row: dict[str, Any]) -> dict[str, Any]:
        self._rows.append(row)
        if len(self._rows) == self._chunk_rows:
            self._flush()
        return row

    def _flush(self) -> None:
        if not self._rows:
            return
        self._tables.append(share_with(pa.Table.from_pylist(self._rows, schema=MEMBERS), self._tables[-1]))
        self._rows = []

    def _make_failure(self, error: Exception, inner: Entry | None) -> DataError:
        if isinstance(error, DataError):
            return error
        name = storage.name(self.url) + ("" if inner is None else f"!/{inner.path}")
        reason = str(error) or "it ends early"
        if self._last_inner == inner if inner else self._seen or self.skipped:
            return DataError("open", "archive_truncated", f"{name} is damaged or cut short: {reason}.")
        return DataError("open", "archive_unreadable", f"{name} is no archive: {reason}.")


def image_id(address: bytes, occurrence: int) -> str:
    """Return the id of a photo: 16 hex digits of SHA-256 over its full address and its occurrence there."""
    return hashlib.sha256(address + b"\0" + str(occurrence).encode()).hexdigest()[:16]


def entry_of(row: dict[str, Any]) -> Entry:
    """Return the entry of a row, or of the `inner` of a row."""
    path = row["path"].decode("utf-8", "surrogateescape")
    return Entry(path, **{name: row[name] for name in _PLACE}, version=row.get("version") or "")


def archive_of(table: pa.Table) -> str:
    """Return the URL of the listed archive or folder."""
    return str(table.schema.metadata[b"archive"].decode())


def inner_of(table: pa.Table) -> bytes:
    """Return the raw path of the listed nested archive, empty for an outermost archive."""
    return bytes(table.schema.metadata.get(b"inner", b""))


def version_of(table: pa.Table) -> str:
    """Return the version of the listed archive."""
    return str(table.schema.metadata[b"version"].decode())


def is_partial(table: pa.Table) -> bool:
    """Tell whether a listing has only the first photos of an archive, as `Listing.table_so_far`."""
    if archive_suffix(archive_of(table)) in STREAM_SUFFIXES:
        return False
    streams = table.filter(pc.equal(table["entry"], "stream"))
    return bool(streams["inner"].null_count)


def skipped_of(table: pa.Table) -> Counter[str]:
    """Return the number of skipped files by kind."""
    return Counter(json.loads(table.schema.metadata[b"skipped"]))


def encode_listing(table: pa.Table) -> bytes:
    """Serialise a listing, to store it in a column."""
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table)
    return bytes(buffer.getvalue())


def decode_listing(data: bytes) -> pa.Table:
    """Return the listing that `encode_listing` serialised."""
    return pa.ipc.open_stream(data).read_all()


def with_skipped(table: pa.Table, skipped: Counter[str]) -> pa.Table:
    """Return a listing with other numbers of skipped files."""
    return table.replace_schema_metadata({**table.schema.metadata, b"skipped": json.dumps(skipped)})


def _place(entry: Entry) -> dict[str, Any]:
    return {"path": _encode_path(entry.path)} | {name: getattr(entry, name) for name in _PLACE}


def _path_below_archive(entry: Entry, inner: Entry | None) -> str:
    """Return the path below the outermost archive."""
    return entry.path if inner is None else f"{inner.path}!/{entry.path}"


def _encode_path(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
