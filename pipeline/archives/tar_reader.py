"""Plain tars, read by ranges: listed by their headers, and each file by where its data are.

What a header means is the business of `tar_headers`; compressed tars that of `streams`.
"""

import tarfile
from collections.abc import Iterator, Sequence

from pipeline.archives.members import Content, Entry, Limits
from pipeline.archives.tar_headers import BLOCK_BYTES, MOST_PADDING_BYTES, entry_of, headers
from pipeline.core.errors import DataError
from pipeline.storage.byte_ranges import RangeReader, ReadAhead, Window, double_checked, read_together, read_whole


class TarReader:
    """Files of a plain tar.

    It has no checksums of its data: where nothing protects the connection, all is read twice.
    """

    def __init__(self, source: RangeReader) -> None:
        self._source = source
        self._confirmed = double_checked(source)

    def entries(self) -> Iterator[Entry]:
        """List the headers, skipping over the data; a hard link is the file it leads to once more."""
        files: dict[str, Entry] = {}
        for header in headers(_SourceCursor(self._confirmed)):
            if header.position + header.size_bytes > self._source.size_bytes:
                raise tarfile.ReadError(f"it ends within {header.name!r}")
            if entry := entry_of(header, files):
                files[entry.path] = entry
                yield entry

    def read(self, entries: Sequence[Entry], limits: Limits) -> Iterator[tuple[Entry, Content]]:
        """Read files by the places that the listing found, neighbours together."""
        readable = []
        for entry in sorted(entries, key=lambda entry: entry.position):
            try:
                if entry.failure:
                    raise entry.failure
                limits.check(entry)
                readable.append(entry)
            except DataError as error:
                yield entry, error
        places = [(entry.position - BLOCK_BYTES, entry.position + entry.size_bytes) for entry in readable]
        for entry, found in zip(readable, read_together(self._confirmed, places), strict=True):
            yield entry, _content(entry, found)

    def opened(self, entry: Entry, limits: Limits) -> RangeReader:  # noqa: ARG002 - nothing is read into memory
        """Return a file as a window of the tar."""
        if entry.failure:
            raise entry.failure
        return Window(self._source, entry.position, entry.position + entry.size_bytes, entry.path)


class _SourceCursor:
    """A tar that is skipped through by ranges."""

    def __init__(self, source: RangeReader) -> None:
        self._source = source
        self._ahead = ReadAhead(source)
        self.position = 0

    def take(self, size_bytes: int) -> bytes:
        data = self._ahead.at(self.position, size_bytes)
        self.position += len(data)
        return data

    def skip_to(self, position: int) -> None:
        if position > self._source.size_bytes:
            raise tarfile.ReadError(f"it ends at byte {self._source.size_bytes:,}, before its end is marked")
        self.position = position

    def check_rest(self) -> None:
        left_bytes = self._source.size_bytes - self.position
        if left_bytes > MOST_PADDING_BYTES or read_whole(self._source, self.position, self._source.size_bytes).strip(
            b"\0"
        ):
            raise tarfile.ReadError("more than padding follows the zeros that mark its end")


def _content(entry: Entry, found: bytes) -> Content:
    """Cut a file out of what was read, after a header that must be its own; long names stand elsewhere."""
    header, content = found[:BLOCK_BYTES], found[BLOCK_BYTES:]
    try:
        is_own = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape").size == entry.size_bytes
    except tarfile.HeaderError:
        is_own = False
    if not is_own:
        return _unreadable(f"its header is not at byte {entry.position - BLOCK_BYTES:,}")
    if len(content) < entry.size_bytes:
        return _unreadable(f"only {len(content):,} of its {entry.size_bytes:,} bytes are there")
    return content


def _unreadable(reason: str) -> DataError:
    return DataError("read", "member_unreadable", f"The file in the tar cannot be read: {reason}.")
