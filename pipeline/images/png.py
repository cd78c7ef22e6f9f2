"""PNGs: which chunks are whole, by their checksums.

Pillow checks no checksum of pixels, and refuses a photo for the wrong checksum of a note. Source: PNG specification
(Third Edition), sections 5.3 and 5.4.
"""

import zlib
from collections.abc import Iterator

from pipeline.core.errors import DataError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_AROUND_BYTES = 12
"""Of a chunk: its length, name and checksum."""
_NOTES = frozenset({
    b"bKGD", b"cHRM", b"cICP", b"cLLI", b"caNv", b"dSIG", b"eXIf", b"fdAT", b"gAMA", b"gIFg", b"gIFx", b"hIST",
    b"iCCP", b"iTXt", b"mDCV", b"oFFs", b"orNT", b"pCAL", b"pHYs", b"sBIT", b"sCAL", b"sPLT", b"sRGB", b"sTER",
    b"tEXt", b"tIME", b"zTXt",
})  # fmt: skip
"""Chunks on which no pixel depends. A damaged chunk of another name may be one that has lost its name."""


def keep_whole_chunks(data: bytes) -> bytes:
    """Return a PNG without notes that are damaged or cut short; return other files as they are.

    Raises:
        DataError: a chunk on which the pixels depend is damaged.
    """
    if not data.startswith(_SIGNATURE):
        return data
    kept = [memoryview(_SIGNATURE)]
    for name, chunk in _split(data):
        is_complete = len(chunk) >= _AROUND_BYTES and len(chunk) == _AROUND_BYTES + int.from_bytes(chunk[:4])
        if is_complete and zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:]):
            if name not in _NOTES | {b"IEND"}:
                found = f"The photo is damaged: the checksum of its chunk {name.decode('latin-1')} is wrong."
                raise DataError("decode", "truncated_image", found)
        elif is_complete or name not in _NOTES:  # of a chunk cut short, Pillow knows whether a row is missing
            kept.append(chunk)
        if name == b"IEND":
            break
    return data if sum(map(len, kept)) == len(data) else b"".join(kept)


def drop_notes(data: bytes) -> bytes:
    """Return a PNG without the chunks on which no pixel depends."""
    return _SIGNATURE + b"".join(chunk for name, chunk in _split(data) if name not in _NOTES)


def _split(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the chunks with their names; the last one may be cut short."""
    view, at = memoryview(data), len(_SIGNATURE)
    while at < len(data):
        end = at + _AROUND_BYTES + int.from_bytes(view[at : at + 4])
        yield data[at + 4 : at + 8], view[at:end]
        at = end
