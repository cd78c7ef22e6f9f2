"""The structure of a JPEG: the segments of its header, and its scans. Nothing here decodes a pixel.

Source: ITU-T T.81, annex B.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

START, END = b"\xff\xd8", b"\xff\xd9"
APP0, SOS, EOI = 0xE0, 0xDA, 0xD9
_JPEG_LS = 0xF7
_SOF = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {_JPEG_LS}
_DECODED_SOF = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
_PROGRESSIVE_SOF = {0xC2, 0xCA}
_ARITHMETIC_SOF = {0xC9, 0xCA}
_PROCESSES = {0xC3: "lossless", 0xCB: "lossless", _JPEG_LS: "JPEG-LS"}
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length."""
_IN_SCANS = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker that ends a scan: no stuffed zero, no restart, no fill byte."""
_COEFFICIENTS = 64
"""Of a block of 8 x 8 pixels."""


class Segment(NamedTuple):
    """A segment: a marker with a length."""

    marker: int
    start: int
    """Position of its 0xFF."""
    end: int


class Frame(NamedTuple):
    """What the start of a frame says."""

    marker: int
    bits: int
    height_px: int
    width_px: int
    components: tuple[int, ...]
    """Their identifiers."""

    @property
    def is_progressive(self) -> bool:
        """Tell whether several scans refine the same pixels."""
        return self.marker in _PROGRESSIVE_SOF

    @property
    def is_arithmetic(self) -> bool:
        """Tell whether the scans are in arithmetic code, of which a decoder never misses the end."""
        return self.marker in _ARITHMETIC_SOF

    @property
    def refusal(self) -> str | None:
        """What kind of JPEG it is, if that is a kind that is not decoded."""
        if self.marker not in _DECODED_SOF:
            return f"a JPEG of the {_PROCESSES.get(self.marker, 'hierarchical')} process"
        if self.bits != 8:
            return f"a JPEG of {self.bits} bits a sample"
        if len(self.components) not in {1, 3, 4}:
            return f"a JPEG of {len(self.components)} components"
        return None


class Header(NamedTuple):
    """The header of a JPEG, up to its first scan."""

    segments: tuple[Segment, ...]
    frame: Frame | None
    """None if there is none before the first scan."""

    @property
    def first_scan(self) -> int | None:
        """Position of the first scan's header."""
        return self.segments[-1].start if self.segments and self.segments[-1].marker == SOS else None


def read_header(data: bytes) -> Header:
    """Read the header, as far as it is sound."""
    segments = tuple(_read_segments(data))
    frames = (_read_frame(data, segment) for segment in segments if segment.marker in _SOF)
    return Header(segments, next(frames, None))


def find_end(data: bytes, header: Header) -> int:
    """Return where the mark of the end stands; the end of the data if it is missing."""
    return next((start for marker, start in _walk_scans(data, header) if marker == EOI), len(data))


def has_all_scans(data: bytes, header: Header) -> bool:
    """Tell whether every coefficient of every component gets its last bit, as far as the headers of the scans say.

    No decoder misses a scan: without it the photo is blurred, or lacks a colour.
    """
    frame, first = header.frame, header.first_scan
    if frame is None or first is None:
        return True
    if not frame.is_progressive and data[first + 4] == len(frame.components):
        return True  # one scan with everything, as in most photos
    finished = {component: np.zeros(_COEFFICIENTS, np.bool_) for component in frame.components}
    for marker, start in _walk_scans(data, header):
        if marker == SOS:
            _note_scan(data, start, finished, is_progressive=frame.is_progressive)
    return all(bits.all() for bits in finished.values())


def _read_segments(data: bytes) -> Iterator[Segment]:
    at = len(START)
    while (at := data.find(b"\xff", at)) >= 0 and at + 4 <= len(data):
        marker = data[at + 1]
        if marker in {0xFF, 0x00} or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if end > len(data) or end < at + 4:
            return
        yield Segment(marker, at, end)
        if marker == SOS:
            return
        at = end


def _read_frame(data: bytes, segment: Segment) -> Frame | None:
    if segment.end - segment.start < 10:
        return None
    bits, height_px, width_px, count = struct.unpack_from(">BHHB", data, segment.start + 4)
    components = tuple(data[segment.start + 10 : segment.end : 3][:count])
    return Frame(segment.marker, bits, height_px, width_px, components)


def _walk_scans(data: bytes, header: Header) -> Iterator[tuple[int, int]]:
    """Yield the markers from the first scan to the end, with their positions; skip what has a length."""
    at = header.first_scan
    while at is not None and at + 4 <= len(data):
        marker = data[at + 1]
        yield marker, at
        if marker == EOI:
            return
        length = 0 if marker in _BARE else int.from_bytes(data[at + 2 : at + 4])
        match = _IN_SCANS.search(data, at + 2 + length)
        at = match.start() if match else None
    if at is not None and data[at + 1 : at + 2] == END[1:]:
        yield EOI, at


def _note_scan(data: bytes, at: int, finished: dict[int, NDArray[np.bool_]], *, is_progressive: bool) -> None:
    """Note which coefficients have their last bit after the scan whose header begins at a position."""
    count = data[at + 4] if at + 4 < len(data) else 0
    low, high, bits = data[at + 5 + 2 * count : at + 8 + 2 * count].ljust(3, b"\0")
    for component in data[at + 5 : at + 5 + 2 * count : 2]:
        if component in finished and is_progressive:
            finished[component][low : high + 1] = bits & 15 == 0
        elif component in finished:
            finished[component][:] = True
