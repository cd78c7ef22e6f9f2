"""JPEGs, decoded by libjpeg-turbo, every warning of which is damage.

Pillow decodes the same pixels but keeps warnings to itself: of half a photo with the mark of its end it returns the
lower half in grey, as if it were sound concrete. Sources: ITU-T T.81, and `jerror.h` of libjpeg-turbo for the warnings.
"""

import re
import struct
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from pipeline.core.errors import DataError
from pipeline.images.lost_sectors import check_sectors

Colours = Literal["RGB", "GRAY", "CMYK"]

_CHANNELS: dict[Colours, int] = {"RGB": 3, "GRAY": 1, "CMYK": 4}
_COLOURS: dict[int, Colours] = {1: "GRAY", 3: "RGB", 4: "CMYK"}
"""Number of components to the colours that any such JPEG can be decoded to."""

_START, _END = b"\xff\xd8", b"\xff\xd9"
_SOS, _APP0, _APP14 = 0xDA, 0xE0, 0xEE
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_DECODED_SOF = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
_PROGRESSIVE_SOF = {0xC2, 0xCA}
_PROCESSES = {0xC3: "lossless", 0xCB: "lossless", 0xF7: "JPEG-LS"}
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length."""

_COEFFICIENTS = 64
"""Of a block of 8 x 8 pixels."""

_NOT_DECODED = re.compile("subsampling level|color conversion|JPEG process|not implemented|omitted at compile time")
"""How TurboJPEG says that a JPEG is beyond it, without a word about damage."""


class Segment(NamedTuple):
    """A segment of the header."""

    marker: int
    start: int
    """Position of its 0xFF."""
    end: int


class _Frame(NamedTuple):
    """What the start of a frame says."""

    marker: int
    bits: int
    height_px: int
    width_px: int
    components: tuple[int, ...]
    """Their identifiers."""


def decode_jpeg(data: bytes, height_px: int, width_px: int, colours: Colours) -> NDArray[np.uint8] | None:
    """Decode a JPEG that is whole: as its file stores it, not yet upright.

    Returns:
        Pixels, shape (height_px, width_px, channels); None for a JPEG that only other decoders take, such as one of
        unusual sampling.

    Raises:
        DataError: libjpeg-turbo warns of corrupt data, or scans are missing.
    """
    pixels = np.empty((height_px, width_px, _CHANNELS[colours]), np.uint8)
    try:
        simplejpeg.decode_jpeg(data, colorspace=colours, buffer=pixels)
    except ValueError as warning:
        if _NOT_DECODED.search(str(warning)):
            return None
        _decode_mended(data, pixels, colours, str(warning))
    _check_scans(data)
    start, end = _find_first_scan(data) or 0, data.rfind(_END)
    check_sectors(data, start, end if end > start else len(data))
    return pixels


def check_jpeg(data: bytes) -> None:
    """Decode a JPEG only to hear of damage, as `decode_jpeg` does; pass what only other decoders take.

    Raises:
        DataError: libjpeg-turbo warns of corrupt data, or scans are missing.
    """
    frame = _read_frame(data)
    colours = _COLOURS.get(len(frame.components)) if frame else None
    if frame and colours:
        decode_jpeg(data, frame.height_px, frame.width_px, colours)


def describe_refusal(data: bytes) -> str | None:
    """Tell why a JPEG is of a kind that is not decoded; None if only damage can be the reason."""
    frame = _read_frame(data)
    if frame is None:
        return None
    if frame.marker not in _DECODED_SOF:
        return f"a JPEG of the {_PROCESSES.get(frame.marker, 'hierarchical')} process"
    if frame.bits != 8:
        return f"a JPEG of {frame.bits} bits a sample"
    if len(frame.components) not in {1, 3, 4}:
        return f"a JPEG of {len(frame.components)} components"
    return None


def _decode_mended(data: bytes, pixels: NDArray[np.uint8], colours: Colours, warning: str) -> None:
    """Decode what libjpeg-turbo has warned about once more, without everything that harms no pixel.

    It tells its first warning alone, so that a harmless one hides damage.
    """
    mended = mend(data)
    for whole in (mended, strip_padding(mended)):
        try:
            simplejpeg.decode_jpeg(whole, colorspace=colours, buffer=pixels)
        except ValueError as error:
            warning = str(error)
        else:
            return
    found = f"The photo is damaged or cut short: {warning}. Copy it again from the camera, or leave it out."
    raise DataError("decode", "truncated_image", found)


def mend(data: bytes) -> bytes:
    """Return a JPEG without faults that harm no pixel.

    Removes what stands between the segments of its header and behind its end, marks the end if the mark is missing, and
    replaces version numbers that libjpeg does not know.
    """
    segments = list(read_header(data))
    if not segments or segments[-1].marker != _SOS:
        return data
    header = b"".join(_mend_segment(data[segment.start : segment.end]) for segment in segments)
    scans, _, _ = data[segments[-1].end :].partition(_END)  # in scans no other marker has these bytes
    return _START + header + scans + _END


def strip_padding(data: bytes) -> bytes:
    """Return a JPEG without zeros that pad its last scan.

    If a decoder needs them, as in a file whose last sector was lost, it warns that they are missing.
    """
    scans = data.removesuffix(_END)
    stripped = scans.rstrip(b"\0")
    return (stripped + b"\0" if stripped.endswith(b"\xff") else stripped) + _END


def _mend_segment(segment: bytes) -> bytes:
    if segment[4:9] == b"JFIF\0" and segment[1] == _APP0:
        return segment[:9] + b"\1\1" + segment[11:]
    if segment[4:9] == b"Adobe" and segment[1] == _APP14 and len(segment) > 15 and segment[15] > 2:
        return segment[:15] + b"\1" + segment[16:]  # libjpeg takes an unknown transform for YCbCr
    return segment


def read_header(data: bytes) -> Iterator[Segment]:
    """Yield the segments of the header, up to the start of the first scan; end early at damage."""
    at = len(_START)
    while (at := data.find(b"\xff", at)) >= 0 and at + 4 <= len(data):
        marker = data[at + 1]
        if marker in {0xFF, 0x00} or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if end > len(data) or end < at + 4:
            return
        yield Segment(marker, at, end)
        if marker == _SOS:
            return
        at = end


def _read_frame(data: bytes) -> _Frame | None:
    for marker, start, end in read_header(data):
        if (marker in _SOF or marker == 0xF7) and end - start >= 10:
            bits, height_px, width_px, count = struct.unpack_from(">BHHB", data, start + 4)
            return _Frame(marker, bits, height_px, width_px, tuple(data[start + 10 : end : 3][:count]))
    return None


def _check_scans(data: bytes) -> None:
    """Refuse a JPEG that has lost whole scans, which no decoder misses: it is blurred, or lacks a colour.

    Raises:
        DataError: a coefficient of a component never gets its last bit.
    """
    frame, at = _read_frame(data), _find_first_scan(data)
    if frame is None or at is None:
        return
    is_progressive = frame.marker in _PROGRESSIVE_SOF
    if not is_progressive and data[at + 4] == len(frame.components):
        return  # one scan with everything, as in most photos
    finished = {component: np.zeros(_COEFFICIENTS, np.bool_) for component in frame.components}
    end = data.find(_END, at)
    while at >= 0:
        _note_scan(data, at, finished, is_progressive=is_progressive)
        at = data.find(b"\xff\xda", at + 2, end if end >= 0 else len(data))
    if not all(bits.all() for bits in finished.values()):
        message = "The photo is cut short: its last scans are missing. Copy it again from the camera, or leave it out."
        raise DataError("decode", "truncated_image", message)


def _find_first_scan(data: bytes) -> int | None:
    return next((segment.start for segment in read_header(data) if segment.marker == _SOS), None)


def _note_scan(data: bytes, at: int, finished: dict[int, NDArray[np.bool_]], *, is_progressive: bool) -> None:
    """Note which coefficients have their last bit after the scan whose header begins at a position."""
    count = data[at + 4] if at + 4 < len(data) else 0
    components = data[at + 5 : at + 5 + 2 * count : 2]
    low, high, bits = data[at + 5 + 2 * count : at + 8 + 2 * count].ljust(3, b"\0")
    for component in components:
        if component in finished and is_progressive:
            finished[component][low : high + 1] = bits & 15 == 0
        elif component in finished:
            finished[component][:] = True
