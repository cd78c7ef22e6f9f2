"""PNGs: which chunks are whole, by their checksums.

Pillow checks no checksum of pixels, and refuses a photo for the wrong checksum of a note. Source: PNG specification
(Third Edition), sections 5.3 and 5.4.
"""

import zlib

from pipeline.core.errors import DataError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_AROUND_BYTES = 12
"""Of a chunk: its length, name and checksum."""
_NEEDED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})
"""Chunks on which the pixels depend."""


def keep_whole_chunks(data: bytes) -> bytes:
    """Return a PNG without notes that are damaged or cut short; return other files as they are.

    Raises:
        DataError: a chunk on which the pixels depend is damaged.
    """
    if not data.startswith(_SIGNATURE):
        return data
    view, at, kept = memoryview(data), len(_SIGNATURE), [memoryview(_SIGNATURE)]
    while at + _AROUND_BYTES <= len(data):
        end = at + _AROUND_BYTES + int.from_bytes(view[at : at + 4])
        name = data[at + 4 : at + 8]
        is_whole = end <= len(data) and zlib.crc32(view[at + 4 : end - 4]) == int.from_bytes(view[end - 4 : end])
        if is_whole:
            kept.append(view[at:end])
        elif name in _NEEDED and end <= len(data):
            found = f"The photo is damaged: the checksum of its {name.decode('ascii')} chunk is wrong."
            raise DataError("decode", "truncated_image", found)
        elif name in _NEEDED:
            kept.append(view[at:])  # Pillow knows whether a row is missing
        if name == b"IEND":
            break
        at = end
    return data if sum(map(len, kept)) == len(data) else b"".join(kept)
