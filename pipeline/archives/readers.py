"""Where photos are kept: folders, zip and tar files, archives in archives; how each is listed, and read by parts.

Puts the readers of the formats together: which one an archive needs, and what a nested archive is to the one that holds
it. What can only be read from front to back is the business of `streaming`. Nothing is ever extracted to disk.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import pyarrow as pa

from pipeline import storage
from pipeline.archives.listing import Listing
from pipeline.archives.members import (
    DAMAGED,
    SEEKABLE_SUFFIXES,
    Content,
    Entry,
    Limits,
    SeekableReader,
    archive_suffix,
    file_kind,
)
from pipeline.archives.tar_reader import TarReader
from pipeline.archives.zip_reader import ZipReader
from pipeline.core.errors import DataError, StorageError
from pipeline.core.log import bind
from pipeline.core.usage import Usage, measure, with_peak
from pipeline.storage.byte_ranges import FileRangeReader, RangeReader

LOOSE_AT_ONCE = 8
"""Loose photos are read this many at a time: each waits for the store more than it is read."""

STORED = 0
"""The method of a member that is not compressed."""

SEEKABLE: dict[str, type[SeekableReader]] = {".zip": ZipReader, ".tar": TarReader}
"""File name ending to reader, for all of `SEEKABLE_SUFFIXES`; the others are streams."""


class Listed(NamedTuple):
    """What listing an archive gave, and what it took."""

    archive: str
    table: pa.Table
    """As `Listing.table`."""
    effort: Usage
    log: Sequence[str] = ()
    """What was logged meanwhile, where that was in another process."""


def list_folder(url: str, without: str) -> tuple[Listing, list[storage.StoredFile]]:
    """List loose photos below a folder, and the archives among them.

    Args:
        url: canonical URL.
        without: leave out what begins with this URL.
    """
    listing, archives = Listing(url), []
    for file in storage.list_files(url):
        if file.url.startswith(without):
            continue
        target = storage.resolve_link(file) if file_kind(file.path) == "archive" else None
        if target is None:
            listing.add(entry_of_file(file))
        elif target.url != file.url and storage.is_folder(target.url):
            listing.add(entry_of_file(file)._replace(is_link=True))
        else:  # what a link leads to may be called anything, as in a store of content by its hash
            archives.append(target if archive_suffix(target.url) is not None else replace(target, url=file.url))
    return listing, archives


def entry_of_file(file: storage.StoredFile) -> Entry:
    """Return a stored file as an entry of its folder."""
    return Entry(file.path, file.size_bytes, version=file.version)


def list_archive(file: storage.StoredFile) -> pa.Table:
    """List an archive, as `Listing.table`; one that is damaged or closed to us has a failed row."""
    listing = Listing(file.url, file.version)
    if is_stream(file.url):
        listing.add_stream()
        return listing.table()
    try:
        _list_into(listing, seekable_reader_of(FileRangeReader(file.url, file.size_bytes)), None)
    except StorageError as error:
        if not error.lasting:
            raise
        listing.fail(DataError("open", "archive_unreadable", str(error)))
    return listing.table()


def list_measured(file: storage.StoredFile) -> Listed:
    """List an archive as `list_archive`, and measure it."""
    with bind(archive=file.url):
        table, effort = measure(partial(list_archive, file))
    return Listed(file.url, table, with_peak(effort))


def is_stream(path: str, method: int = STORED) -> bool:
    """Tell whether an archive can only be read from front to back, by its name and how it lies in another."""
    return archive_suffix(path) not in SEEKABLE_SUFFIXES or method != STORED


def read_loose(url: str, entries: Sequence[Entry], limits: Limits) -> Iterator[tuple[Entry, Content]]:
    """Read loose photos below a folder."""
    with ThreadPoolExecutor(LOOSE_AT_ONCE) as threads:
        yield from zip(entries, threads.map(partial(_read_loose, url, limits=limits), entries), strict=True)


def read_members(
    url: str, inner: Entry | None, entries: Sequence[Entry], limits: Limits
) -> Iterator[tuple[Entry, Content]]:
    """Read photos of a seekable archive, or of one nested in it: each comes exactly once."""
    left = dict.fromkeys(entries)
    reason = "it has changed since it was listed"
    try:
        reader = seekable_reader_of(range_reader_of(url))
        if inner is not None:
            reader = seekable_reader_of(reader.opened(inner, limits))
        for entry, content in reader.read(list(left), limits):
            del left[entry]
            yield entry, content
    except (*DAMAGED, DataError) as error:
        reason = f"it is damaged: {error}"
    for entry in left:
        yield entry, DataError("read", "member_unreadable", f"The archive does not yield this photo; {reason}.")


def range_reader_of(url: str) -> RangeReader:
    """Return an archive as a source."""
    return FileRangeReader(url, storage.stat(url).size_bytes)


def seekable_reader_of(source: RangeReader) -> SeekableReader:
    """Choose the reader of an archive whose members can be read by themselves."""
    return SEEKABLE[archive_suffix(source.name) or ""](source)


def _list_into(listing: Listing, reader: SeekableReader, inner: Entry | None) -> None:
    """List an archive, and those nested in it."""
    nested = dict[str, bool]()  # to whether it is a stream, which numbers its photos from 0, whatever came before
    try:
        for entry in reader.entries():
            if inner is not None or entry.is_link or file_kind(entry.path) != "archive":
                listing.add(entry, inner)
                continue
            streams = is_stream(entry.path, entry.method) or nested.get(entry.path, False)
            if streams and entry.path in nested:
                listing.refuse_namesake(entry)
            else:
                _list_nested(listing, reader, entry)
            nested[entry.path] = streams
    except DAMAGED as error:
        listing.fail(error, inner)


def _list_nested(listing: Listing, reader: SeekableReader, inner: Entry) -> None:
    if inner.failure is not None:
        listing.fail(inner.failure, inner)
    elif is_stream(inner.path, inner.method):
        listing.add_stream(inner)
    else:
        try:
            source = reader.opened(inner, Limits())
        except (*DAMAGED, DataError) as error:
            listing.fail(error, inner)
        else:
            _list_into(listing, seekable_reader_of(source), inner)


def _read_loose(url: str, entry: Entry, limits: Limits) -> Content:
    """Read one photo; it must be the one that was listed."""
    place = storage.join(url, entry.path)
    try:
        limits.check(entry)
        data = storage.read_bytes(place)
        if storage.stat(place).version == entry.version:
            return data
        return DataError("read", "archive_changed", f"{entry.path} was replaced after it was listed.")
    except DataError as error:
        return error
    except StorageError as error:
        if not error.lasting or not storage.is_folder(url):  # the place is in trouble, not the photo
            raise
        return DataError("read", "member_unreadable", str(error))
