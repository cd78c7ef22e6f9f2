"""Which tiles each worker sees in an epoch, in which order, and their pixels, read one batch ahead.

The order depends on the seed and the epoch alone: any number of workers sees the same batches, each worker its part of
each. What is done to the pixels is `augment`'s.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline import storage
from pipeline.decode import decode
from pipeline.errors import DataError, UsageError

Pixels = NDArray[np.uint8]
Indices = NDArray[np.int64]

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


def epoch_order(tiles: int, epoch_tiles: int, seed: int, epoch: int) -> Indices:
    """List the tiles of an epoch.

    Epochs follow each other through one random order of all tiles, then through another, so that short epochs see every
    tile before any tile comes again.

    Args:
        tiles: how many there are.
        epoch_tiles: how many an epoch takes.
        seed: of the orders.
        epoch: 0, 1, …
    """
    first, last = epoch * epoch_tiles, (epoch + 1) * epoch_tiles
    orders = [
        np.random.default_rng((seed, turn)).permutation(tiles) for turn in range(first // tiles, -(-last // tiles))
    ]
    skipped = first - first // tiles * tiles
    return np.concatenate(orders)[skipped : skipped + epoch_tiles]


def in_batches(order: Indices, batch_size: int) -> list[Indices]:
    """Cut an order into batches; the last may be smaller."""
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


class TileReader:
    """Reads the pixels of tiles, keeping their files in memory as far as they fit.

    Args:
        urls: of the tiles.
        threads: how many read and prepare at once, beside the caller.
    """

    def __init__(self, urls: Sequence[str], threads: int = 1) -> None:
        self._urls = urls
        self._threads = threads
        self._files: dict[int, bytes] = {}
        self._cached_bytes = 0

    def batches(
        self, plan: Sequence[Indices], prepare: Callable[[Pixels, int], Pixels]
    ) -> Iterator[tuple[Indices, Pixels]]:
        """Yield each batch's indices and pixels, shape (N, T, T, 3), while the next batch is being read.

        Args:
            plan: the batches, as indices of tiles.
            prepare: from a tile's pixels and index to what the network is to see, shape (T, T, 3).
        """
        with ThreadPoolExecutor(self._threads) as pool:
            ahead = None
            for indices in plan:
                coming = (indices, pool.map(partial(self._prepared, prepare), indices.tolist()))
                if ahead is not None:
                    yield ahead[0], np.stack(list(ahead[1]))
                ahead = coming
            if ahead is not None:
                yield ahead[0], np.stack(list(ahead[1]))

    def _prepared(self, prepare: Callable[[Pixels, int], Pixels], index: int) -> Pixels:
        try:
            return prepare(decode(self._file(index)).pixels, index)
        except DataError as error:
            raise UsageError(f"The tile {self._urls[index]} cannot be read: {error} Remove or replace it.") from error

    def _file(self, index: int) -> bytes:
        data = self._files.get(index) or storage.read_bytes(self._urls[index])
        if index not in self._files and self._cached_bytes + len(data) <= CACHE_BYTES:
            self._files[index] = data
            self._cached_bytes += len(data)
        return data
