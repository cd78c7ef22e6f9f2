"""Sources that count what is asked of them, or damage what they give, and what comes out of a reader."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pipeline.archives.compressed_tar import CompressedTarReader
from pipeline.archives.members import DAMAGED, Content, Entry, Limits, SeekableReader
from pipeline.core.errors import DataError
from pipeline.storage.byte_ranges import BytesRangeReader, Place, RangeReader

Made = Callable[[RangeReader], SeekableReader]
Came = list[tuple[str, Content]]
"""Names and contents, in order."""


class Counted:
    """Bytes in memory that count the requests for them."""

    is_protected = True

    def __init__(self, data: bytes, name: str = "counted") -> None:
        self.name = name
        self.size_bytes = len(data)
        self.requests: list[Place] = []
        self.calls = 0
        self._data = data

    def read(self, ranges: Sequence[Place]) -> list[bytes]:
        """Cut out, and take note."""
        self.calls += 1
        self.requests += ranges
        return [self._data[start:end] for start, end in ranges]

    @property
    def read_bytes(self) -> int:
        """How much was asked for."""
        return sum(end - start for start, end in self.requests)


class Flipping(Counted):
    """Bytes of which one comes damaged, the first few times that it is asked for."""

    def __init__(self, data: bytes, at: int, times: int, *, is_protected: bool = True) -> None:
        super().__init__(data)
        self.is_protected = is_protected
        self._at, self._left = at, times

    def read(self, ranges: Sequence[Place]) -> list[bytes]:
        """Flip the lowest bit of that byte."""
        found = super().read(ranges)
        for number, (start, end) in enumerate(ranges):
            if self._left and start <= self._at < min(end, self.size_bytes):
                self._left -= 1
                damaged = bytearray(found[number])
                damaged[self._at - start] ^= self._left + 1
                found[number] = bytes(damaged)
        return found


class Hollow:
    """Bytes far behind others, with zeros between them that take no memory."""

    name = "hollow"
    is_protected = True

    def __init__(self, front: bytes, back: bytes, back_start: int) -> None:
        self.size_bytes = back_start + len(back)
        self._parts = ((0, front), (back_start, back))

    def read(self, ranges: Sequence[Place]) -> list[bytes]:
        """Cut out of both, and of what lies between."""
        return [self._at(start, min(end, self.size_bytes)) for start, end in ranges]

    def _at(self, start: int, end: int) -> bytes:
        found = bytearray(max(0, end - start))
        for begin, data in self._parts:
            first, last = max(start, begin), min(end, begin + len(data))
            if first < last:
                found[first - start : last - start] = data[first - begin : last - begin]
        return bytes(found)


def listed(reader: SeekableReader) -> tuple[list[Entry], Exception | None]:
    """What a reader lists, and how that ended."""
    entries: list[Entry] = []
    try:
        entries.extend(reader.entries())
    except DAMAGED as error:
        return entries, error
    return entries, None


def read(reader: SeekableReader, entries: Sequence[Entry], limits: Limits | None = None) -> Came:
    """Contents in the order of the entries; checks that each comes exactly once."""
    came = [*reader.read(entries, limits or Limits())]
    assert sorted(map(_key, (entry for entry, _ in came))) == sorted(map(_key, entries))
    contents = {id(entry): content for entry, content in came}
    return [(entry.path, contents[id(entry)]) for entry in entries]


def gone_through(made: Made, source: RangeReader | bytes) -> tuple[Came, Exception | None]:
    """List and read all files of an archive that are no links."""
    reader = made(BytesRangeReader("archive", source) if isinstance(source, bytes) else source)
    entries, damage = listed(reader)
    return read(reader, [entry for entry in entries if not entry.is_link]), damage


def streamed(source: RangeReader | bytes, limits: Limits | None = None) -> tuple[Came, Exception | None]:
    """Read all files of a compressed tar that are no links."""
    reader = CompressedTarReader(BytesRangeReader("archive", source) if isinstance(source, bytes) else source)
    came: Came = []
    try:
        came.extend(_wanted(reader.stream(lambda entry: not entry.is_link, limits or Limits())))
    except DAMAGED as error:
        return came, error
    return came, None


def is_truth(came: Came, truth: Sequence[tuple[str, bytes]]) -> bool:
    """Whether what came begins as the truth does, with failures in place of contents allowed."""
    pairs = zip(came, truth, strict=False)
    return len(came) <= len(truth) and all(
        name == true_name and (isinstance(content, DataError) or content == true_content)
        for (name, content), (true_name, true_content) in pairs
    )


def _wanted(files: Iterator[tuple[Entry, Content | None]]) -> Iterator[tuple[str, Content]]:
    return ((entry.path, content) for entry, content in files if content is not None)


def _key(entry: Entry) -> tuple[Any, ...]:
    return (entry.position, entry.path, entry.size_bytes)
