"""The reading of an archive from front to back: it yields the photos, and lists them on the way.

Compressed tars, and archives that are compressed members of another, allow no other way. The number of photos is known
at the end.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.archives.compressed_tar import CompressedTarReader
from pipeline.archives.foreign import explain, refuse_by_name
from pipeline.archives.listing import Listing
from pipeline.archives.members import DAMAGED, SPLIT_PART, Content, Entry, Limits, file_kind
from pipeline.archives.readers import choose_reader, is_stream, open_archive
from pipeline.core.errors import DataError, StorageError
from pipeline.storage.byte_ranges import BytesRangeReader, RangeReader

RowContent = tuple[dict[str, Any], Content]
"""A row of the plan, and the bytes of its photo or why they cannot be read."""


@dataclass(frozen=True)
class StreamedArchive:
    """One pass through an archive.

    Args:
        listing: of the archive; empty at first, complete after the last photo.
        is_done: whether to leave a photo or failure out, by `image_id`.
        limits: on what is read into memory.
        place: where the archive lies now; None if at the URL of the listing.
    """

    listing: Listing
    is_done: Callable[[str], bool]
    limits: Limits
    place: str | None = None

    def photos(self, inner: Entry | None) -> Iterator[RowContent]:
        """Yield the photos of the archive, or those of one archive nested in it."""
        try:
            source = open_archive(self.place or self.listing.url)
            if inner is not None:
                source = choose_reader(source).open_member(inner, self.limits)
            yield from self._read(source, inner)
        except StorageError as error:  # the storage fails, or this file alone
            if not error.permanent:
                raise
            yield from self._fail(DataError("open", "archive_unreadable", str(error)), inner)
        except (*DAMAGED, DataError) as error:
            yield from self._fail(error, inner)

    def _read(self, source: RangeReader, inner: Entry | None) -> Iterator[RowContent]:
        try:
            yield from (self._read_stream if is_stream(source.name) else self._read_seekable)(source, inner)
        except DAMAGED as error:
            yield from self._fail(explain(source, error), inner)
        except DataError as error:
            yield from self._fail(error, inner)

    def _read_stream(self, source: RangeReader, inner: Entry | None) -> Iterator[RowContent]:
        def is_wanted(entry: Entry) -> bool:
            is_nested = self._is_nested(entry, inner, "archive") and refuse_by_name(entry.path) is None
            return is_nested or self._is_wanted(entry, inner)

        for entry, content in CompressedTarReader(source).stream(is_wanted, self.limits):
            if self._is_nested(entry, inner, "archive"):
                yield from self._read_nested(entry, refuse_by_name(entry.path) or content)
            elif self._is_nested(entry, inner, SPLIT_PART):
                yield from self._pass_new(self.listing.add_part(entry))
            else:
                yield from self._add(entry, inner, content)

    def _read_seekable(self, source: RangeReader, inner: Entry | None) -> Iterator[RowContent]:
        """List, then read; yield the photos before the damage, then the failure."""
        reader, damage, rows = choose_reader(source), None, dict[Entry, list[dict[str, Any]]]()
        try:
            for entry in reader.entries():
                is_wanted = self._is_wanted(entry, inner)
                row = self.listing.add(entry, inner)
                if row is not None and is_wanted:
                    rows.setdefault(entry, []).append(row)
        except DAMAGED as error:
            damage = error
        for entry, content in reader.read(list(rows), self.limits):
            yield from ((row, content) for row in rows[entry])
        if damage is not None:
            yield from self._fail(explain(source, damage), inner)

    def _read_nested(self, inner: Entry, content: Content | None) -> Iterator[RowContent]:
        if isinstance(content, bytes):
            yield from self._read(BytesRangeReader(inner.path, content), inner)
        elif content is not None:
            yield from self._fail(content, inner)

    def _add(self, entry: Entry, inner: Entry | None, content: Content | None) -> Iterator[RowContent]:
        row = self.listing.add(entry, inner)
        if row is not None and content is not None:
            yield row, content

    def _is_nested(self, entry: Entry, inner: Entry | None, kind: str) -> bool:
        return inner is None and not entry.is_link and file_kind(entry.path) == kind

    def _is_wanted(self, entry: Entry, inner: Entry | None) -> bool:
        is_photo = not entry.is_link and file_kind(entry.path) == "photo"
        return is_photo and not self.is_done(self.listing.next_id(entry, inner))

    def _fail(self, error: Exception, inner: Entry | None) -> Iterator[RowContent]:
        yield from self._pass_new(self.listing.fail(error, inner))

    def _pass_new(self, failed: tuple[dict[str, Any], DataError] | None) -> Iterator[RowContent]:
        """Pass a failed row on unless it is done."""
        if failed is not None and not self.is_done(failed[0]["image_id"]):
            yield failed
