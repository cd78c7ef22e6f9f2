"""An archive read from front to back: its photos as they come, and listed on the way.

For what cannot be read by parts: a compressed tar, and archives that lie compressed in another. How many photos it
holds is known when it ends.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.archives.compressed_tar import CompressedTarReader
from pipeline.archives.listing import Listing
from pipeline.archives.members import DAMAGED, Content, Entry, Limits, file_kind
from pipeline.archives.readers import is_stream, range_reader_of, seekable_reader_of
from pipeline.core.errors import DataError
from pipeline.storage.byte_ranges import BytesRangeReader, RangeReader

Photo = tuple[dict[str, Any], Content]
"""A row of the plan, and the photo's bytes or why there are none."""


@dataclass(frozen=True)
class StreamedArchive:
    """One pass through an archive.

    Args:
        listing: of the archive; empty at first, full when all has been read.
        is_done: whether a photo or failure, by `image_id`, is left out.
        limits: what is read into memory.
    """

    listing: Listing
    is_done: Callable[[str], bool]
    limits: Limits

    def photos(self, inner: Entry | None) -> Iterator[Photo]:
        """Yield the photos of the archive, or of an archive nested in it by itself."""
        try:
            source = range_reader_of(self.listing.url)
            if inner is not None:
                source = seekable_reader_of(source).opened(inner, self.limits)
        except (*DAMAGED, DataError) as error:
            yield from self._failed(error, inner)
            return
        yield from self._of(source, inner)

    def _of(self, source: RangeReader, inner: Entry | None) -> Iterator[Photo]:
        try:
            yield from (self._in_one_pass if is_stream(source.name) else self._by_parts)(source, inner)
        except (*DAMAGED, DataError) as error:
            yield from self._failed(error, inner)

    def _in_one_pass(self, source: RangeReader, inner: Entry | None) -> Iterator[Photo]:
        def wanted(entry: Entry) -> bool:
            return self._is_nested(entry, inner) or self._is_wanted(entry, inner)

        for entry, content in CompressedTarReader(source).stream(wanted, self.limits):
            if self._is_nested(entry, inner):
                yield from self._nested(entry, content)
            else:
                yield from self._listed(entry, inner, content)

    def _by_parts(self, source: RangeReader, inner: Entry | None) -> Iterator[Photo]:
        """List, then read; what comes before damage is read first."""
        reader, damage, rows = seekable_reader_of(source), None, dict[Entry, list[dict[str, Any]]]()
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
            yield from self._failed(damage, inner)

    def _nested(self, inner: Entry, content: Content | None) -> Iterator[Photo]:
        if isinstance(content, bytes):
            yield from self._of(BytesRangeReader(inner.path, content), inner)
        elif content is not None:
            yield from self._failed(content, inner)

    def _listed(self, entry: Entry, inner: Entry | None, content: Content | None) -> Iterator[Photo]:
        row = self.listing.add(entry, inner)
        if row is not None and content is not None:
            yield row, content

    def _is_nested(self, entry: Entry, inner: Entry | None) -> bool:
        return inner is None and not entry.is_link and file_kind(entry.path) == "archive"

    def _is_wanted(self, entry: Entry, inner: Entry | None) -> bool:
        is_photo = not entry.is_link and file_kind(entry.path) == "photo"
        return is_photo and not self.is_done(self.listing.next_id(entry, inner))

    def _failed(self, error: Exception, inner: Entry | None) -> Iterator[Photo]:
        row, failure = self.listing.fail(error, inner)
        if not self.is_done(row["image_id"]):
            yield row, failure
