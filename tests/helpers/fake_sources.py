"""Range readers in memory that count requests or damage bytes, and functions that collect what a reader gives."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pipeline.archives.compressed_tar import CompressedTarReader
from pipeline.archives.members import DAMAGED, Content, Entry, Limits, SeekableReader
from pipeline.core.errors import DataError
from pipeline.storage.byte_ranges import ByteRange, BytesRangeReader, RangeReader

MakeReader = Callable[[RangeReader], SeekableReader]
NamedContents = list[tuple[str, Content]]
"""Names and contents, in order."""


class CountingReader:
    """Bytes in memory that count the requests for them."""

    is_protected = True
    is_concurrent = False

    def __init__(self, data: bytes, name: str = "counted") -> None:
        self.name = name
        self.size_bytes = len(data)
        self.requests: list[ByteRange] = []
        self.calls = 0
        self._data = data

    def read(self, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Return the ranges, and count the request."""
        self.calls += 1
        self.requests += ranges
        return [self._data[start:end] for start, end in ranges]

    @property
    def read_bytes(self) -> int:
        """Number of bytes requested."""
        return sum(end - start for start, end in self.requests)


class FlippingReader(CountingReader):
    """Bytes in memory, one of which is damaged in the first few answers."""

    def __init__(self, data: bytes, at: int, times: int, *, is_protected: bool = True) -> None:
        super().__init__(data)
        self.is_protected = is_protected
        self._at, self._left = at, times

    def read(self, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Return the ranges, and change that byte differently each time."""
        found = super().read(ranges)
        for number, (start, end) in enumerate(ranges):
            if self._left and start <= self._at < min(end, self.size_bytes):
                self._left -= 1
                damaged = bytearray(found[number])
                damaged[self._at - start] ^= self._left + 1
                found[number] = bytes(damaged)
        return found


class SparseReader:
    """Two pieces of bytes far apart; the zeros between them take no memory."""

    name = "sparse"
    is_protected = True
    is_concurrent = False

    def __init__(self, front: bytes, back: bytes, back_start: int) -> None:
        self.size_bytes = back_start + len(back)
        self._parts = ((0, front), (back_start, back))

    def read(self, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Return the ranges."""
        return [self._at(start, min(end, self.size_bytes)) for start, end in ranges]

    def _at(self, start: int, end: int) -> bytes:
        found = bytearray(max(0, end - start))
        for begin, data in self._parts:
            first, last = max(start, begin), min(end, begin + len(data))
            if first < last:
                found[first - start : last - start] = data[first - begin : last - begin]
        return bytes(found)


def list_until_damage(reader: SeekableReader) -> tuple[list[Entry], Exception | None]:
    """List the entries of an archive until its end or its damage; return the damage, too."""
    entries: list[Entry] = []
    try:
        entries.extend(reader.entries())
    except DAMAGED as error:
        return entries, error
    return entries, None


def read_entries(reader: SeekableReader, entries: Sequence[Entry], limits: Limits | None = None) -> NamedContents:
    """Read contents in the order of the entries, and check that each comes exactly once."""
    pairs = [*reader.read(entries, limits or Limits())]
    assert sorted(map(_key, (entry for entry, _ in pairs))) == sorted(map(_key, entries))
    contents = {id(entry): content for entry, content in pairs}
    return [(entry.path, contents[id(entry)]) for entry in entries]


def list_and_read(make_reader: MakeReader, source: RangeReader | bytes) -> tuple[NamedContents, Exception | None]:
    """List and read all files of an archive but its links."""
    reader = make_reader(BytesRangeReader("archive", source) if isinstance(source, bytes) else source)
    entries, damage = list_until_damage(reader)
    return read_entries(reader, [entry for entry in entries if not entry.is_link]), damage


def read_stream(source: RangeReader | bytes, limits: Limits | None = None) -> tuple[NamedContents, Exception | None]:
    """Read all files of a compressed tar but its links."""
    reader = CompressedTarReader(BytesRangeReader("archive", source) if isinstance(source, bytes) else source)
    found: NamedContents = []
    try:
        found.extend(_drop_skipped(reader.stream(lambda entry: not entry.is_link, limits or Limits())))
    except DAMAGED as error:
        return found, error
    return found, None


def matches_files(found: NamedContents, truth: Sequence[tuple[str, bytes]]) -> bool:
    """Tell whether what was read is the beginning of the truth; failures in place of contents are allowed."""
    pairs = zip(found, truth, strict=False)
    return len(found) <= len(truth) and all(
        name == true_name and (isinstance(content, DataError) or content == true_content)
        for (name, content), (true_name, true_content) in pairs
    )


def _drop_skipped(files: Iterator[tuple[Entry, Content | None]]) -> Iterator[tuple[str, Content]]:
    return ((entry.path, content) for entry, content in files if content is not None)


def _key(entry: Entry) -> tuple[Any, ...]:
    return (entry.position, entry.path, entry.size_bytes)
