"""Lost sectors: zeros that a disk, a card or a broken copy delivers in place of bytes.

Zeros are code words, too: one in eight JPEGs that has lost a sector decodes without a warning, and nine in ten WebP and
AVIF files (docs/experiments.md). Compressed pictures have long runs of zeros of their own, but none that begins and
ends with a sector.
"""

import numpy as np

from pipeline.core.errors import DataError

SECTOR_BYTES = 512
"""The least that disks and memory cards lose; larger units are multiples."""


def check_sectors(data: bytes, start: int, end: int) -> None:
    """Refuse a compressed picture that has lost sectors.

    Args:
        data: the file.
        start: of the compressed pixels.
        end: of the compressed pixels.

    Raises:
        DataError: zeros fill whole sectors between start and end, and no byte beside them.
    """
    count = len(data) // SECTOR_BYTES
    sectors = np.frombuffer(data, np.uint64, count * SECTOR_BYTES // 8).reshape(count, SECTOR_BYTES // 8)
    maybe = np.flatnonzero(sectors[:, 0] == 0)  # a look at one word of each takes microseconds
    lost = maybe[~sectors[maybe].any(axis=1)]
    if not any(data[count * SECTOR_BYTES :]):
        lost = np.append(lost, count)
    for run in np.split(lost, np.flatnonzero(np.diff(lost) > 1) + 1) if len(lost) else []:
        first, last = int(run[0]) * SECTOR_BYTES, min((int(run[-1]) + 1) * SECTOR_BYTES, len(data))
        has_edges = start < first < last <= end and data[first - 1] and any(data[last : last + 1] or b"\1")
        if has_edges:
            found = f"The photo is damaged: zeros in place of bytes {first:,} to {last:,}, as if sectors were lost."
            raise DataError("decode", "truncated_image", f"{found} Copy it again from the camera, or leave it out.")
