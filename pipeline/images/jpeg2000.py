"""JPEG 2000: which components Pillow decodes right.

It scales components of fewer than 8 bits by shifting, so that white is grey, and slants subsampled ones whose size is
no multiple of their step. Source: ITU-T T.800, A.5.1.
"""

import struct

from pipeline.images.refusals import refuse_kind

_START_AND_SIZE = b"\xff\x4f\xff\x51"


def check_components(data: bytes) -> None:
    """Refuse components that Pillow gets wrong.

    Raises:
        DataError: `unsupported_format`.
    """
    at = data.find(_START_AND_SIZE) + len(_START_AND_SIZE)
    if at < len(_START_AND_SIZE) or at + 38 > len(data):
        return
    right, bottom, left, top = struct.unpack_from(">4L", data, at + 4)
    count = int.from_bytes(data[at + 36 : at + 38])
    components = data[at + 38 : at + 38 + 3 * count]
    for depth, across, down in zip(components[::3], components[1::3], components[2::3], strict=False):
        bits = (depth & 127) + 1
        is_uneven = across == 0 or down == 0 or (right - left) % across or (bottom - top) % down
        if bits < 8 or is_uneven:
            raise refuse_kind(f"a JPEG 2000 with a component of {bits} bits at every {across} x {down} pixels")
