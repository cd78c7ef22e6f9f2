"""The readers of archives and folders: one lists them, one reads their photos, and an archive's ending chooses them.

A nested archive is a member that has a reader of its own. `streaming` reads archives that allow reading from front to
back only.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import pyarrow as pa

from pipeline import storage
from pipeline.archives.foreign import explain, refuse_by_name
from pipeline.archives.listing import Listing
from pipeline.archives.members import (
    DAMAGED,
    RASTER_SUFFIXES,
    SPLIT_PART,
    STREAM_SUFFIXES,
    Content,
    Entry,
    Limits,
    SeekableReader,
    archive_suffix,
    file_kind,
    is_raster,
    whole_of,
)
from pipeline.archives.rasters import find_rasters, list_windows, read_windows
from pipeline.archives.tar_reader import TarReader
from pipeline.archives.zip_reader import ZipReader
from pipeline.core.errors import DataError, NotFoundError, StorageError
from pipeline.core.log import bind
from pipeline.core.usage import Usage, measure, with_peak
from pipeline.rasters.window_reader import WindowRule
from pipeline.storage.byte_ranges import FileRangeReader, RangeReader

LOOSE_AT_ONCE = 8
"""Loose photos to read at a time: each read waits for the store most of the time."""

FOLDER_LINK = "link to a folder"
"""Kind of such links in the count of skipped files: a link may lead back to where it is."""

BROKEN_LINK = "broken link"
"""Kind of such links in the count of skipped files; one that is called a photo or archive is a failed row."""

STORED = 0
"""The method of a member that is not compressed."""

SEEKABLE: dict[str, type[SeekableReader]] = {".zip": ZipReader, ".tar": TarReader}
"""File name ending to reader, for all of `SEEKABLE_SUFFIXES`; other archives are streams."""


class MeasuredListing(NamedTuple):
    """The listing of an archive, and the resources that it took."""

    archive: str
    table: pa.Table
    """As `Listing.table`."""
    usage: Usage
    log: Sequence[str] = ()
    """Log lines of another process that made the listing."""


OnEntry = Callable[[Listing], None]
"""Is told the listing after each file of an archive; what it raises ends the listing."""

FindRasters = Callable[[Sequence[storage.StoredFile]], Collection[storage.StoredFile]]
"""Chooses the rasters among files whose names may be those of rasters."""


def list_folder(
    url: str,
    without: str,
    address: str | None = None,
    choose_rasters: FindRasters = find_rasters,
) -> tuple[Listing, list[storage.StoredFile]]:
    """List the loose photos below a folder, and return the archives and rasters among them.

    Args:
        url: canonical URL.
        without: leave out files whose URL begins with this.
        address: the address of the photos, if the folder lay elsewhere when it was listed first.
        choose_rasters: tells which of its files are read by windows.
    """
    listing, archives, parts = Listing(address or url), [], []
    files = storage.FileList(url)
    maybe_rasters = (file for file in files.select_endings(RASTER_SUFFIXES) if not file.url.startswith(without))
    rasters = {file.url for file in choose_rasters([file for file in maybe_rasters if file_kind(file.path) == "photo"])}
    for file in files:
        if file.url.startswith(without):
            continue
        if file.url in rasters:
            target = storage.resolve_link(file)
            archives.append(target if is_raster(target.url) else replace(target, url=file.url))
            continue
        kind = file_kind(file.path)
        link_kind = None if kind in {"photo", "hidden", "system folder"} else _find_link_kind(file)
        if link_kind == FOLDER_LINK or (link_kind is not None and kind != "archive"):
            listing.skip(link_kind)
        elif kind == SPLIT_PART:
            parts.append(file)
        elif kind == "archive":  # the target may have any name, as in a store that names content by its hash
            target = storage.resolve_link(file)
            archives.append(target if archive_suffix(target.url) is not None else replace(target, url=file.url))
        else:
            listing.add(entry_of_file(file))
    heads = find_heads(parts, (file.url for file in archives))
    listing.skip(SPLIT_PART, len(parts) - len(heads))
    return listing, archives + heads


def find_heads(parts: Iterable[storage.StoredFile], archives: Iterable[str]) -> list[storage.StoredFile]:
    """Return the first part of each split archive, which stands for all its parts.

    Args:
        parts: of split archives.
        archives: URLs of other archives; where the whole archive is among them, its parts say nothing new.
    """
    seen, heads = {url.lower() for url in archives}, []
    for part in sorted(parts, key=lambda part: part.url):
        whole = (whole_of(part.url) or part.url).lower()
        if whole not in seen:
            heads.append(part)
        seen.add(whole)
    return heads


def _find_link_kind(file: storage.StoredFile) -> str | None:
    """Return what kind of link leads nowhere or to a folder; None for any other link, and for a file."""
    if storage.is_folder_link(file):
        return FOLDER_LINK
    return None if storage.exists(storage.canonical(file.url)) else BROKEN_LINK


def entry_of_file(file: storage.StoredFile) -> Entry:
    """Return a stored file as an entry of its folder."""
    return Entry(file.path, file.size_bytes, version=file.version)


def _tell_nobody(_listing: Listing) -> None:
    pass


def list_archive(
    file: storage.StoredFile,
    place: str | None = None,
    windows: WindowRule | None = None,
    on_entry: OnEntry = _tell_nobody,
) -> pa.Table:
    """List an archive, as `Listing.table`; one that is damaged or may not be read has a failed row.

    Args:
        file: the archive, whose URL is its photos' address.
        place: where it lies now; None if at that URL.
        windows: how a raster is cut; archives of other kinds need none.
        on_entry: follows the listing of an archive.
    """
    listing, refusal = Listing(file.url, file.version), refuse_by_name(file.url)
    if refusal is not None:
        listing.fail(refusal)
        return listing.table()
    if is_stream(file.url):
        listing.add_stream()
        return listing.table()
    source = FileRangeReader(place or file.url, file.size_bytes)
    try:
        if windows is not None and is_raster(file.url):
            list_windows(listing, source, windows)
        else:
            _list_into(listing, source, None, on_entry)
    except StorageError as error:
        if not error.permanent:
            raise
        listing.fail(DataError("open", "archive_unreadable", str(error)))
    return listing.table()


def list_and_measure(
    file: storage.StoredFile,
    place: str | None = None,
    windows: WindowRule | None = None,
    on_entry: OnEntry = _tell_nobody,
) -> MeasuredListing:
    """List an archive as `list_archive` does, and measure the resources."""
    with bind(archive=file.url):
        table, usage = measure(partial(list_archive, file, place, windows, on_entry))
    return MeasuredListing(file.url, table, with_peak(usage))


def is_stream(path: str, method: int = STORED) -> bool:
    """Return whether an archive allows reading from front to back only, by its name and its compression in another."""
    return archive_suffix(path) in STREAM_SUFFIXES or method != STORED


def read_loose(url: str, entries: Sequence[Entry], limits: Limits) -> Iterator[tuple[Entry, Content]]:
    """Read loose photos below a folder; yield each exactly once."""
    with ThreadPoolExecutor(LOOSE_AT_ONCE) as threads:
        yield from zip(entries, threads.map(partial(_read_loose, url, limits=limits), entries), strict=True)


def read_members(
    url: str, inner: Entry | None, entries: Sequence[Entry], limits: Limits, windows: WindowRule | None = None
) -> Iterator[tuple[Entry, Content]]:
    """Read photos of a seekable archive, or of one nested in it, or windows of a raster; yield each exactly once."""
    missing = dict.fromkeys(entries)
    failure = _fail_photo("it has changed since it was listed")
    try:
        for entry, content in _read_entries(url, inner, list(missing), limits, windows):
            del missing[entry]
            yield entry, content
    except NotFoundError as error:
        failure = explain_missing(url, error)
    except (*DAMAGED, DataError) as error:
        failure = _fail_photo(f"it is damaged: {error}")
    yield from ((entry, failure) for entry in missing)


def _read_entries(
    url: str, inner: Entry | None, entries: Sequence[Entry], limits: Limits, windows: WindowRule | None
) -> Iterator[tuple[Entry, Content]]:
    if windows is not None and is_raster(url):
        yield from read_windows(open_archive(url), entries, limits, windows)
        return
    reader = choose_reader(open_archive(url))
    if inner is not None:
        reader = choose_reader(reader.open_member(inner, limits))
    yield from reader.read(entries, limits)


def explain_missing(url: str, error: NotFoundError) -> DataError:
    """Return the failure of photos whose file is gone.

    Raises:
        NotFoundError: its folder is gone, too: the storage fails, not the file.
    """
    if not storage.is_folder(storage.parent(url)):
        raise error
    return DataError("read", "vanished", f"{storage.name(url)} has vanished since it was listed.")


def _fail_photo(reason: str) -> DataError:
    return DataError("read", "member_unreadable", f"The archive does not yield this photo; {reason}.")


def open_archive(url: str) -> RangeReader:
    """Open an archive for reading by byte ranges."""
    return FileRangeReader(url, storage.stat(url).size_bytes)


def choose_reader(source: RangeReader) -> SeekableReader:
    """Return the reader of a seekable archive, by its ending."""
    return SEEKABLE[archive_suffix(source.name) or ""](source)


def _list_into(listing: Listing, source: RangeReader, inner: Entry | None, on_entry: OnEntry = _tell_nobody) -> None:
    """List an archive and the archives nested in it."""
    reader = choose_reader(source)
    nested = dict[str, bool]()  # path to whether it is a stream, which always numbers its photos from 0
    try:
        for entry in reader.entries():
            on_entry(listing)
            kind = None if inner is not None or entry.is_link else file_kind(entry.path)
            if kind != "archive":
                (listing.add_part(entry) if kind == SPLIT_PART else listing.add(entry, inner))
                continue
            has_stream = is_stream(entry.path, entry.method) or nested.get(entry.path, False)
            if has_stream and entry.path in nested:
                listing.refuse_namesake(entry)
            else:
                _list_nested(listing, reader, entry)
            nested[entry.path] = has_stream
    except DAMAGED as error:
        listing.fail(explain(source, error), inner)


def _list_nested(listing: Listing, reader: SeekableReader, inner: Entry) -> None:
    refusal = inner.failure or refuse_by_name(inner.path)
    if refusal is not None:
        listing.fail(refusal, inner)
    elif is_stream(inner.path, inner.method):
        listing.add_stream(inner)
    else:
        try:
            source = reader.open_member(inner, Limits())
        except (*DAMAGED, DataError) as error:
            listing.fail(error, inner)
        else:
            _list_into(listing, source, inner)


def _read_loose(url: str, entry: Entry, limits: Limits) -> Content:
    """Read one photo, which must have its listed version."""
    photo_url = storage.join(url, entry.path)
    try:
        limits.check(entry)
        data = storage.read_bytes(photo_url)
        if storage.stat(photo_url).version == entry.version:
            return data
        return DataError("read", "archive_changed", f"{entry.path} was replaced after it was listed.")
    except DataError as error:
        return error
    except StorageError as error:
        if isinstance(error, NotFoundError) and storage.canonical(photo_url) == photo_url:  # no broken link
            return explain_missing(photo_url, error)
        if not error.permanent or not storage.is_folder(url):  # the storage fails, not the photo
            raise
        return DataError("read", "member_unreadable", str(error))
