"""JPEGs, decoded by libjpeg-turbo, every warning of which is damage.

Pillow decodes the same pixels but keeps warnings to itself: of half a photo with the mark of its end it returns the
lower half in grey, as if it were sound concrete. `jpeg_structure` knows segments and scans. Source of the warnings:
`jerror.h` of libjpeg-turbo.
"""

from typing import Literal

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from pipeline.core.errors import DataError
from pipeline.images.jpeg_structure import APP0, END, START, Header, find_end, has_all_scans, read_header
from pipeline.images.lost_sectors import find_lost_sectors, refuse_lost_sectors
from pipeline.images.refusals import refuse_kind

Colours = Literal["RGB", "GRAY", "CMYK"]

_CHANNELS: dict[Colours, int] = {"RGB": 3, "GRAY": 1, "CMYK": 4}
_COLOURS: dict[int, Colours] = {1: "GRAY", 3: "RGB", 4: "CMYK"}
"""Number of components to the colours that any such JPEG can be decoded to."""

_UNKNOWN_SAMPLING = "Could not determine subsampling level"
"""How TurboJPEG refuses sampling that it has no name for, before it decodes anything."""

_MAX_JUNK_BYTES = 8
"""Longer junk in a header is a segment that has lost its marker, perhaps the one with colours or orientation."""

_ADVICE = "Copy it again from the camera, or leave it out."


def decode_jpeg(data: bytes, height_px: int, width_px: int, colours: Colours) -> NDArray[np.uint8] | None:
    """Decode a JPEG that is whole: as its file stores it, not yet upright.

    Returns:
        Pixels, shape (height_px, width_px, channels); None for a JPEG of such unusual sampling that only other decoders
        take it.

    Raises:
        DataError: it is of a kind that is not decoded, libjpeg-turbo warns of corrupt data, or scans or sectors are
            missing.
    """
    header = read_header(data)
    if header.frame is not None and header.frame.refusal is not None:
        raise refuse_kind(header.frame.refusal)
    pixels: NDArray[np.uint8] | None = np.empty((height_px, width_px, _CHANNELS[colours]), np.uint8)
    try:
        simplejpeg.decode_jpeg(data, colorspace=colours, buffer=pixels)
    except ValueError as error:
        warning = str(error)
        if _UNKNOWN_SAMPLING in warning:
            pixels = None
        else:
            _decode_mended(data, header, pixels, colours, warning)
    _check_whole(data, header)
    return pixels


def check_jpeg(data: bytes) -> None:
    """Decode a JPEG only to hear of damage, as `decode_jpeg` does; pass what only other decoders take.

    Raises:
        DataError: as `decode_jpeg`.
    """
    frame = read_header(data).frame
    if frame is None:
        raise DataError("decode", "truncated_image", f"The photo is damaged: a JPEG in it has no frame. {_ADVICE}")
    decode_jpeg(data, frame.height_px, frame.width_px, _COLOURS.get(len(frame.components), "RGB"))


def mend(data: bytes, header: Header) -> bytes:
    """Return a JPEG without faults that harm no pixel.

    Removes padding and a few bytes of junk between the segments of its header, and what follows its end; marks the end
    if the mark is missing; replaces version numbers of JFIF that libjpeg does not know.
    """
    if header.first_scan is None or header.frame is None:
        return data
    parts, at = [START], len(START)
    for segment in header.segments:
        junk = data[at : segment.start]
        parts += [junk] if len(junk) > _MAX_JUNK_BYTES and junk.strip(b"\0\xff") else []
        parts.append(_mend_segment(data[segment.start : segment.end]))
        at = segment.end
    end = find_end(data, header)
    parts.append(data[at:end])
    # Where arithmetic code ends early, a decoder takes zeros from there on, and a mark of the end keeps it quiet.
    is_marked = end < len(data) or not header.frame.is_arithmetic
    return b"".join([*parts, END] if is_marked else parts)


def strip_padding(data: bytes) -> bytes:
    """Return a JPEG without zeros that pad its last scan.

    If a decoder needs them, as in a file whose last sector was lost, it warns that they are missing.
    """
    scans = data.removesuffix(END)
    stripped = scans.rstrip(b"\0")
    return (stripped + b"\0" if stripped.endswith(b"\xff") else stripped) + END


def _decode_mended(
    data: bytes, header: Header, pixels: NDArray[np.uint8] | None, colours: Colours, warning: str
) -> None:
    """Decode what libjpeg-turbo has warned about once more, without everything that harms no pixel.

    It tells its first warning alone, so that a harmless one hides damage.
    """
    mended = mend(data, header)
    is_arithmetic = header.frame is not None and header.frame.is_arithmetic
    candidates = (mended,) if is_arithmetic else (mended, strip_padding(mended))
    for whole in (candidate for candidate in candidates if candidate != data):
        try:
            simplejpeg.decode_jpeg(whole, colorspace=colours, buffer=pixels)
        except ValueError as error:
            warning = str(error)
        else:
            return
    raise DataError("decode", "truncated_image", f"The photo is damaged or cut short: {warning}. {_ADVICE}")


def _mend_segment(segment: bytes) -> bytes:
    is_jfif = segment[1] == APP0 and segment[4:9] == b"JFIF\0" and len(segment) > 11
    return segment[:9] + b"\1\1" + segment[11:] if is_jfif else segment


def _check_whole(data: bytes, header: Header) -> None:
    """Refuse what no decoder warns of: missing scans, and zeros in place of sectors.

    Raises:
        DataError: `truncated_image`.
    """
    if not has_all_scans(data, header):
        found = "The photo is cut short: its last scans are missing."
        raise DataError("decode", "truncated_image", f"{found} {_ADVICE}")
    if lost := find_lost_sectors(data):
        first, last = header.first_scan or 0, find_end(data, header)
        for start, end in lost:
            if first < start and end <= last:
                raise refuse_lost_sectors(start, end)
