"""Batches of tiles: shared among workers, their pixels read one batch ahead.

`sampler` says which tiles an epoch takes, `augment` changes their pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline import storage
from pipeline.core.errors import DataError, UsageError
from pipeline.images.decode import Pixels, decode
from pipeline.labels.boxes import Box, cut, tile_name
from pipeline.training import augment
from pipeline.training.sampler import Indices

Prepare = Callable[[Pixels, int, int], Pixels]
"""From a tile's pixels, its index and its batch's number to the network's input, shape (T, T, 3); T is the same for all
tiles of a batch."""

CACHE_BYTES = 1 << 30
"""Files kept in memory by a worker; METU's 10,732 training tiles are 66 MB."""


@dataclass(frozen=True)
class Share:
    """One worker's part of the work."""

    rank: int = 0
    workers: int = 1

    def take(self, indices: Indices) -> Indices:
        """Return every `workers`-th entry, from `rank` on."""
        return indices[self.rank :: self.workers]


def split_into_batches(order: Indices, batch_size: int) -> list[Indices]:
    """Cut an order into batches; the last may be smaller."""
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def prepare_for_scoring(tile_px: int) -> Prepare:
    """Return the preparation of tiles that training leaves as they are."""
    return lambda pixels, _index, _batch: augment.for_scoring(pixels, tile_px)


class TileReader:
    """Reads the pixels of tiles, and keeps their files in memory up to `CACHE_BYTES`.

    Args:
        urls: of the tiles' files.
        boxes: the part of its file that each tile is; None if every tile is a whole file.
        threads: how many read and prepare at once, beside the caller.
    """

    def __init__(self, urls: Sequence[str], boxes: Sequence[Box | None] | None = None, threads: int = 1) -> None:
        self._urls = urls
        self._boxes = boxes or [None] * len(urls)
        self._threads = threads
        self._files: dict[str, bytes] = {}
        self.cached_bytes = 0

    def batches(self, plan: Sequence[Indices], prepare: Prepare) -> Iterator[tuple[Indices, Pixels]]:
        """Yield each batch's indices and pixels, shape (N, T, T, 3), and read the next batch meanwhile.

        Args:
            plan: the batches, as indices of tiles.
            prepare: makes the network's input of a tile.
        """
        with ThreadPoolExecutor(self._threads) as pool:
            ready = None
            for number, indices in enumerate(plan):
                started = (indices, pool.map(partial(self._prepare, prepare, number), indices.tolist()))
                if ready is not None:
                    yield ready[0], np.stack(list(ready[1]))
                ready = started
            if ready is not None:
                yield ready[0], np.stack(list(ready[1]))

    def _prepare(self, prepare: Prepare, number: int, index: int) -> Pixels:
        try:
            pixels = cut(decode(self._read_file(self._urls[index])).pixels, self._boxes[index])
        except DataError as error:
            name = tile_name(self._urls[index], self._boxes[index])
            raise UsageError(f"The tile {name} cannot be read: {error} Remove or replace it.") from error
        return prepare(pixels, index, number)

    def _read_file(self, url: str) -> bytes:
        data = self._files.get(url) or storage.read_bytes(url)
        if url not in self._files and self.cached_bytes + len(data) <= CACHE_BYTES:
            self._files[url] = data
            self.cached_bytes += len(data)
        return data
