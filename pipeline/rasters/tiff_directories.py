"""The directories of a TIFF or BigTIFF, read by byte ranges: few requests, whatever the size of the file.

A directory has the tags of one picture: the raster, an overview of it, or the mask of either. Nothing here decodes a
pixel. Long arrays, such as the places of a million blocks, are read when asked for. Sources: TIFF 6.0, and the BigTIFF
design of 2007 (Aware Systems).
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import DataError
from pipeline.storage.byte_ranges import RangeReader, ReadAhead, read_whole

MOST_DIRECTORIES = 128
"""Directories to read; a COG has some twenty. A damaged file may lead from one to the next for ever."""
MOST_ENTRIES = 1024
"""Of a directory; some fifty are usual."""
MOST_VALUE_BYTES = 1 << 20
"""A longer value is none that we need."""
BLOCK_ARRAYS = frozenset({273, 279, 324, 325})
"""Tags with a number for each block: places and sizes of strips and tiles."""
SUB_DIRECTORIES = 330
"""Tag with the places of further directories, in which some writers keep overviews."""

_FORMATS = {1: "u1", 2: "S1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 11: "f4", 12: "f8", 13: "u4",
            16: "u8", 17: "i8", 18: "u8"}  # fmt: skip
"""Type of a field to that of numpy; rational numbers, types 5 and 10, are pairs that nothing here needs."""
_UNSIGNED = frozenset({1, 3, 4, 13, 16, 18})

Values = Sequence[int] | Sequence[float] | bytes


class Form(NamedTuple):
    """Which of the four forms of TIFF a file has."""

    order: str
    """`<` or `>`, as `struct` spells it."""
    is_big: bool
    """BigTIFF, whose places have 64 bits."""


class Field(NamedTuple):
    """One tag of a directory."""

    kind: int
    length: int
    place: int
    """Offset of its values in the file."""

    @property
    def size_bytes(self) -> int:
        """Of all values; 0 for a type that is not read."""
        return self.length * np.dtype(_FORMATS[self.kind]).itemsize if self.kind in _FORMATS else 0


@dataclass(frozen=True)
class Directory:
    """The tags of one picture."""

    form: Form
    fields: Mapping[int, Field]
    values: Mapping[int, Values]
    """Of all tags but `BLOCK_ARRAYS`."""

    def number(self, tag: int, default: int) -> int:
        """Return the first value of a tag of whole numbers."""
        found = self.values.get(tag)
        return int(found[0]) if found is not None and len(found) else default

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return all values of a tag of whole numbers."""
        return tuple(int(value) for value in self.values.get(tag, ()))

    def data(self, tag: int) -> bytes:
        """Return the bytes of a tag of text or of bytes."""
        found = self.values.get(tag, b"")
        return bytes(found) if isinstance(found, bytes) else bytes(int(value) & 0xFF for value in found)


def read_directories(source: RangeReader) -> list[Directory]:
    """Read the directories of a TIFF, those below others included.

    Raises:
        DataError: it is no TIFF, or its directories are damaged, cut off or lead back to each other.
    """
    ahead = ReadAhead(source)
    form, first = _read_form(ahead)
    found, seen, places = list[Directory](), set[int](), [first]
    while places:
        place = places.pop(0)
        if place in seen or len(seen) == MOST_DIRECTORIES:
            raise _refuse(source, "its directories lead back to each other" if place in seen else "it has too many")
        seen.add(place)
        directory, following = _read_directory(ahead, source, form, place)
        found.append(directory)
        below = [number for number in directory.numbers(SUB_DIRECTORIES) if number]
        places = [*below, *([following] if following else []), *places]
    return found


def read_array(source: RangeReader, directory: Directory, tag: int, most: int) -> NDArray[np.int64]:
    """Read a tag with a number for each block; numbers over the size of the file come as one more than that size.

    Args:
        source: the file.
        directory: that has the tag.
        tag: of unsigned numbers.
        most: numbers to read; further ones say nothing.

    Raises:
        DataError: it is missing, of another type, or ends behind the file.
    """
    field = directory.fields.get(tag)
    if field is None or field.kind not in _UNSIGNED:
        raise _refuse(source, f"its directory lacks whole numbers in tag {tag}")
    dtype = np.dtype(directory.form.order + _FORMATS[field.kind])
    end = field.place + min(field.length, most) * dtype.itemsize
    if end > source.size_bytes:
        raise _refuse(source, f"the places of its blocks end at byte {end:,} of {source.size_bytes:,}")
    data = read_whole(source, field.place, end)
    found = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
    places: NDArray[np.int64] = np.minimum(found, min(source.size_bytes + 1, np.iinfo(dtype).max)).astype(np.int64)
    return places


def read_size(source: RangeReader) -> tuple[int, int] | None:
    """Read height and width of the first picture of a TIFF; None if they cannot be read.

    Two small requests at most: for a look at many files.
    """
    try:
        ahead = ReadAhead(source)
        form, first = _read_form(ahead)
        directory, _ = _read_directory(ahead, source, form, first, {256, 257})
    except DataError:
        return None
    height_px, width_px = directory.number(257, 0), directory.number(256, 0)
    return (height_px, width_px) if height_px > 0 and width_px > 0 else None


def _read_form(ahead: ReadAhead) -> tuple[Form, int]:
    """Return the form of a TIFF, and the place of its first directory."""
    head = ahead.read_at(0, 16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    magic = struct.unpack_from(f"{order}H", head, 2)[0] if order and len(head) >= 8 else None
    if order and magic == 42:
        return Form(order, is_big=False), struct.unpack_from(f"{order}I", head, 4)[0]
    if order and magic == 43 and len(head) == 16 and struct.unpack_from(f"{order}HH", head, 4) == (8, 0):
        return Form(order, is_big=True), struct.unpack_from(f"{order}Q", head, 8)[0]
    raise DataError("open", "archive_unreadable", f"It is no TIFF: it begins with {head[:8]!r}.")


def _read_directory(
    ahead: ReadAhead, source: RangeReader, form: Form, place: int, wanted: set[int] | None = None
) -> tuple[Directory, int]:
    """Read a directory, and the place of the next one; 0 after the last."""
    count_format, entry_format, next_format = (
        form.order + spec for spec in (("Q", "HHQ8s", "Q") if form.is_big else ("H", "HHI4s", "I"))
    )
    head_bytes, entry_bytes, next_bytes = map(struct.calcsize, (count_format, entry_format, next_format))
    if not 8 <= place < source.size_bytes - head_bytes:
        raise _refuse(source, f"a directory should be at byte {place:,} of {source.size_bytes:,}")
    (count,) = struct.unpack(count_format, ahead.read_at(place, head_bytes))
    body_bytes = count * entry_bytes + next_bytes
    if not 0 < count <= MOST_ENTRIES or place + head_bytes + body_bytes > source.size_bytes:
        raise _refuse(source, f"its directory at byte {place:,} has {count:,} entries")
    body = ahead.read_at(place + head_bytes, body_bytes)
    fields = dict(_parse_entries(body[:-next_bytes], entry_format, form, place + head_bytes))
    values = {
        tag: value
        for tag, field in fields.items()
        if tag in (wanted or fields.keys() - BLOCK_ARRAYS)
        and (value := _read_values(ahead, source, form, field)) is not None
    }
    return Directory(form, fields, values), struct.unpack(next_format, body[-next_bytes:])[0]


def _parse_entries(body: bytes, entry_format: str, form: Form, place: int) -> Iterator[tuple[int, Field]]:
    inline_bytes = 8 if form.is_big else 4
    entry_bytes = struct.calcsize(entry_format)
    for number, (tag, kind, count, inline) in enumerate(struct.iter_unpack(entry_format, body)):
        field = Field(kind, count, place + (number + 1) * entry_bytes - inline_bytes)
        if field.size_bytes > inline_bytes:
            field = field._replace(place=struct.unpack(form.order + ("Q" if form.is_big else "I"), inline)[0])
        yield tag, field


def _read_values(ahead: ReadAhead, source: RangeReader, form: Form, field: Field) -> Values | None:
    """Read the values of a field; None for one that is too long, of a type that is not read, or not in the file."""
    size_bytes = field.size_bytes
    if not 0 < size_bytes <= MOST_VALUE_BYTES or field.place + size_bytes > source.size_bytes:
        return None
    data = ahead.read_at(field.place, size_bytes)
    if field.kind in {2, 7}:
        return data
    found: list[int] | list[float] = np.frombuffer(data, form.order + _FORMATS[field.kind]).tolist()
    return found


def _refuse(source: RangeReader, reason: str) -> DataError:
    return DataError("open", "archive_unreadable", f"{source.name} is no raster that can be read: {reason}.")
