"""EXIF written tag by tag: Pillow chooses types itself and refuses nonsense, cameras do not."""

import struct
from collections.abc import Mapping
from typing import NamedTuple

CODES = {1: "B", 2: "B", 3: "H", 4: "L", 5: "L", 6: "b", 7: "B", 8: "h", 9: "l", 10: "l", 11: "f", 12: "d", 13: "L",
         129: "B"}  # fmt: skip
"""EXIF's types and how `struct` writes their parts; rationals have two each."""

EXIF_POINTER, GPS_POINTER = 34665, 34853


class Value(NamedTuple):
    """What a tag holds."""

    kind: int
    """EXIF's number of the type."""
    parts: tuple[float, ...] | bytes
    """Two for each rational."""
    claimed: int | None = None
    """How many values the tag claims; None is how many it has."""


Tags = Mapping[int, Value]
"""Tag numbers and what they hold."""


def ascii_text(text: str | bytes) -> Value:
    """Make a text with its NUL."""
    return Value(2, (text.encode("latin-1") if isinstance(text, str) else text) + b"\0")


def rationals(*pairs: tuple[int, int]) -> Value:
    """Make fractions of (numerator, denominator), signed ones if one is negative."""
    parts = tuple(number for pair in pairs for number in pair)
    return Value(10 if min(parts) < 0 else 5, parts)


def degrees(*parts: float) -> Value:
    """Make fractions of numbers with three decimals."""
    return rationals(*((round(part * 1000), 1000) for part in parts))


def make_exif(
    base: Tags | None = None, details: Tags | None = None, gps: Tags | None = None, order: str = "<"
) -> bytes:
    """Make the EXIF of a photo, as a JPEG or PNG holds it.

    Args:
        base: tags of the first directory, like make and model.
        details: tags of the Exif directory, like the time.
        gps: tags of the GPS directory.
        order: "<" for Intel's order of bytes, ">" for Motorola's.
    """
    first = {**(base or {})}
    deeper = {pointer: tags for pointer, tags in ((EXIF_POINTER, details), (GPS_POINTER, gps)) if tags is not None}
    end = 8 + len(_write_directory({**first, **dict.fromkeys(deeper, Value(4, (0,)))}, 8, order))
    tail = b""
    for pointer, tags in deeper.items():
        first[pointer] = Value(4, (end + len(tail),))
        tail += _write_directory(tags, end + len(tail), order)
    header = (b"II" if order == "<" else b"MM") + struct.pack(order + "HL", 42, 8)
    return b"Exif\0\0" + header + _write_directory(first, 8, order) + tail


def _encode(value: Value, order: str) -> bytes:
    if isinstance(value.parts, bytes):
        return value.parts
    return struct.pack(f"{order}{len(value.parts)}{CODES[value.kind]}", *value.parts)


def _write_directory(tags: Tags, offset: int, order: str) -> bytes:
    """Write a directory and, behind it, the values that need more than the four bytes of an entry."""
    entries, values, end = b"", b"", offset + 2 + 12 * len(tags) + 4
    for tag, value in sorted(tags.items()):
        data = _encode(value, order)
        width = struct.calcsize("<" + CODES.get(value.kind, "B")) * (2 if value.kind in {5, 10} else 1)
        count = len(data) // width if value.claimed is None else value.claimed
        place = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack(order + "L", end + len(values))
        entries += struct.pack(order + "HHL", tag, value.kind, count) + place
        values += data if len(data) > 4 else b""
    return struct.pack(order + "H", len(tags)) + entries + bytes(4) + values
