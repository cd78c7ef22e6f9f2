"""The reader of plain tars, by byte ranges: it lists the headers, and reads each file by its position.

`tar_headers` parses the headers, `tar_ahead` reads those of large tars in many places at once, and `compressed_tar`
reads compressed tars.
"""

import tarfile
from collections.abc import Iterator, Sequence

from pipeline.archives.members import Content, Entry, Limits
from pipeline.archives.tar_ahead import RangeCursor, Spread, choose_spread, read_headers_ahead
from pipeline.archives.tar_headers import BLOCK_BYTES, Header, make_entry, read_headers
from pipeline.core.errors import DataError
from pipeline.storage.byte_ranges import RangeReader, Window, double_check, hasten, read_together


class TarReader:
    """Reads a plain tar.

    A tar has no checksums of its data, so over an unprotected connection this reads everything twice.

    Args:
        source: the tar.
        spread: in how many places it is listed at once; None as `choose_spread` says.
    """

    def __init__(self, source: RangeReader, spread: Spread | None = None) -> None:
        self._source, self._spread = source, spread or choose_spread(source)
        self._checked = double_check(source)

    def entries(self) -> Iterator[Entry]:
        """List the headers and skip the data; a hard link repeats the entry of its target."""
        files: dict[str, Entry] = {}
        for header in self._headers():
            if header.position + header.size_bytes > self._source.size_bytes:
                raise tarfile.ReadError(f"it ends within {header.name!r}")
            if entry := make_entry(header, files):
                files[entry.path] = entry
                yield entry

    def _headers(self) -> Iterator[Header]:
        if self._spread is None:
            return read_headers(RangeCursor(self._checked))
        return read_headers_ahead(double_check(hasten(self._source)), self._spread)

    def read(self, entries: Sequence[Entry], limits: Limits) -> Iterator[tuple[Entry, Content]]:
        """Read files by their listed positions, neighbours together."""
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
        for entry, found in zip(readable, read_together(self._checked, places), strict=True):
            yield entry, _cut_content(entry, found)

    def open_member(self, entry: Entry, limits: Limits) -> RangeReader:  # noqa: ARG002 - nothing is read into memory
        """Open a file as a window of the tar."""
        if entry.failure:
            raise entry.failure
        return Window(self._source, entry.position, entry.position + entry.size_bytes, entry.path)


def _cut_content(entry: Entry, found: bytes) -> Content:
    """Cut the content of a file out of bytes that begin with its header, and check the size in the header.

    Other headers hold long names, so the name may differ.
    """
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
