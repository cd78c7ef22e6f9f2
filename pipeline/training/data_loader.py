"""The batches of tiles that each worker sees, and their pixels, read one batch ahead.

Which tiles an epoch takes is `sampling`'s, what is done to their pixels `augment`'s.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline import storage
from pipeline.core.errors import DataError, UsageError
from pipeline.images.decode import decode
from pipeline.labels.boxes import Box, cut, tile_name

Pixels = NDArray[np.uint8]
Indices = NDArray[np.int64]

Prepare = Callable[[Pixels, int, int], Pixels]
"""From a tile's pixels, its index and its batch's number to what the network is to see, shape (T, T, 3); T is the
same for all tiles of a batch."""

CACHE_BYTES = 1 << 30
"""Files kept in memory by a worker; METU's 10,732 training tiles are 66 MB."""


@dataclass(frozen=True)
class Share:
    """One worker's part of the work."""

    rank: int = 0
    of: int = 1
    """Number of workers."""

    def take(self, indices: Indices) -> Indices:
        """Every `of`-th entry, from `rank` on."""
        return indices[self.rank :: self.of]


def in_batches(order: Indices, batch_size: int) -> list[Indices]:
    """Cut an order into batches; the last may be smaller."""
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


class TileReader:
    """Reads the pixels of tiles, keeping their files in memory as far as they fit.

    Args:
        urls: of the tiles' files.
        boxes: which part of its file each tile is; None where all are whole files.
        threads: how many read and prepare at once, beside the caller.
    """

    def __init__(self, urls: Sequence[str], boxes: Sequence[Box | None] | None = None, threads: int = 1) -> None:
        self._urls = urls
        self._boxes = boxes or [None] * len(urls)
        self._threads = threads
        self._files: dict[str, bytes] = {}
        self._cached_bytes = 0

    def batches(self, plan: Sequence[Indices], prepare: Prepare) -> Iterator[tuple[Indices, Pixels]]:
        """Yield each batch's indices and pixels, shape (N, T, T, 3), while the next batch is being read.

        Args:
            plan: the batches, as indices of tiles.
            prepare: makes of a tile what the network is to see.
        """
        with ThreadPoolExecutor(self._threads) as pool:
            ahead = None
            for number, indices in enumerate(plan):
                coming = (indices, pool.map(partial(self._prepared, prepare, number), indices.tolist()))
                if ahead is not None:
                    yield ahead[0], np.stack(list(ahead[1]))
                ahead = coming
            if ahead is not None:
                yield ahead[0], np.stack(list(ahead[1]))

    def _prepared(self, prepare: Prepare, number: int, index: int) -> Pixels:
        try:
            pixels = cut(decode(self._file(self._urls[index])).pixels, self._boxes[index])
        except DataError as error:
            name = tile_name(self._urls[index], self._boxes[index])
            raise UsageError(f"The tile {name} cannot be read: {error} Remove or replace it.") from error
        return prepare(pixels, index, number)

    def _file(self, url: str) -> bytes:
        data = self._files.get(url) or storage.read_bytes(url)
        if url not in self._files and self._cached_bytes + len(data) <= CACHE_BYTES:
            self._files[url] = data
            self._cached_bytes += len(data)
        return data
