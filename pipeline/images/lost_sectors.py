"""Lost sectors: zeros that a disk, a card or a broken copy delivers in place of bytes.

Zeros are code words, too: one in eight JPEGs that has lost a sector decodes without a warning, and nine in ten WebP and
AVIF files (docs/experiments.md). Compressed pictures have long runs of zeros of their own, but none that begins and
ends with a sector.
"""

import numpy as np

from pipeline.core.errors import DataError

SECTOR_BYTES = 512
"""The least that disks and memory cards lose; larger units are multiples."""
_LEAST_TAIL_BYTES = 64
"""Files may end in a few zeros of their own, as TIFFs do."""


def check_sectors(data: bytes) -> None:
    """Refuse a file, compressed throughout, that has lost sectors.

    Raises:
        DataError: zeros fill whole sectors, and no byte beside them.
    """
    for start, end in find_lost_sectors(data):
        raise refuse_lost_sectors(start, end)


def find_lost_sectors(data: bytes) -> list[tuple[int, int]]:
    """Return where zeros fill whole sectors and no byte beside them; the end of the file ends a sector, too."""
    count = len(data) // SECTOR_BYTES
    sectors = np.frombuffer(data, np.uint64, count * SECTOR_BYTES // 8).reshape(count, SECTOR_BYTES // 8)
    maybe = np.flatnonzero(sectors[:, 0] == 0)  # a look at one word of each takes microseconds
    lost = maybe[~sectors[maybe].any(axis=1)]
    tail = data[count * SECTOR_BYTES :]
    if len(tail) >= _LEAST_TAIL_BYTES and not any(tail):
        lost = np.append(lost, count)
    runs = np.split(lost, np.flatnonzero(np.diff(lost) > 1) + 1) if len(lost) else []
    places = [(int(run[0]) * SECTOR_BYTES, min((int(run[-1]) + 1) * SECTOR_BYTES, len(data))) for run in runs]
    return [(start, end) for start, end in places if start and data[start - 1] and any(data[end : end + 1] or b"\1")]


def refuse_lost_sectors(start: int, end: int) -> DataError:
    """Return the failure of a photo that has lost the bytes from start to end."""
    found = f"The photo is damaged: zeros in place of bytes {start:,} to {end:,}, as if sectors were lost."
    return DataError("decode", "truncated_image", f"{found} Copy it again from the camera, or leave it out.")
