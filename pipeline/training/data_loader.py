"""Batches of tiles: shared among workers, their pixels read one batch ahead.

`sampler` says which tiles an epoch takes, `augment` changes their pixels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from pipeline import storage
from pipeline.core.errors import DataError, UsageError
from pipeline.images.decode import Pixels, decode
from pipeline.labels.boxes import Box, cut, tile_name
from pipeline.labels.mask_files import Mask, read_mask
from pipeline.training import augment
from pipeline.training.sampler import Indices

Prepared = TypeVar("Prepared")

Prepare = Callable[[Pixels, int, int], Prepared]
"""From a tile's pixels, its index and its batch's number to what a batch is made of."""

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


def prepare_for_scoring(tile_px: int) -> Prepare[Pixels]:
    """Return the preparation of tiles that training leaves as they are."""
    return lambda pixels, _index, _batch: augment.for_scoring(pixels, tile_px)


class TileReader:
    """Reads the pixels of tiles, and keeps their files in memory up to `CACHE_BYTES`.

    Args:
        urls: of the tiles' files.
        boxes: the part of its file that each tile is; None if every tile is a whole file.
        threads: how many read and prepare at once, beside the caller.
        mask_of: the mask of each photo that has one, by their URLs.
    """

    def __init__(
        self,
        urls: Sequence[str],
        boxes: Sequence[Box | None] | None = None,
        threads: int = 1,
        mask_of: Mapping[str, str] | None = None,
    ) -> None:
        self._urls = urls
        self._boxes = boxes or [None] * len(urls)
        self._threads = threads
        self._mask_of = mask_of or {}
        self._files: dict[str, bytes] = {}
        self.cached_bytes = 0

    def batches(self, plan: Sequence[Indices], prepare: Prepare[Pixels]) -> Iterator[tuple[Indices, Pixels]]:
        """Yield each batch's indices and pixels, shape (N, T, T, 3), and read the next batch meanwhile.

        Args:
            plan: the batches, as indices of tiles.
            prepare: makes the network's input of a tile; T is the same for all tiles of a batch.
        """
        for indices, prepared in self.parts(plan, prepare):
            yield indices, np.stack(prepared)

    def parts(self, plan: Sequence[Indices], prepare: Prepare[Prepared]) -> Iterator[tuple[Indices, list[Prepared]]]:
        """Yield each batch's indices and what `prepare` makes of its tiles, and read the next batch meanwhile."""
        with ThreadPoolExecutor(self._threads) as pool:
            ready = None
            for number, indices in enumerate(plan):
                started = (indices, pool.map(partial(self._prepare, prepare, number), indices.tolist()))
                if ready is not None:
                    yield ready[0], list(ready[1])
                ready = started
            if ready is not None:
                yield ready[0], list(ready[1])

    def read(self, index: int) -> Pixels:
        """Read the pixels of a tile.

        Raises:
            UsageError: it cannot be read.
        """
        try:
            return cut(decode(self._read_file(self._urls[index])).pixels, self._boxes[index])
        except DataError as error:
            name = tile_name(self._urls[index], self._boxes[index])
            raise UsageError(f"The tile {name} cannot be read: {error} Remove or replace it.") from error

    def read_crack(self, index: int) -> Mask | None:
        """Read the crack pixels of a tile; None if its photo has no mask.

        Raises:
            UsageError: the mask cannot be read, or does not fit its photo any more.
        """
        mask = self._mask_of.get(self._urls[index])
        if mask is None:
            return None
        try:
            return cut(read_mask(self._read_file(mask)), self._boxes[index])
        except DataError as error:
            raise UsageError(f"The mask {mask} cannot be read: {error} Remove or replace it.") from error

    def _prepare(self, prepare: Prepare[Prepared], number: int, index: int) -> Prepared:
        return prepare(self.read(index), index, number)

    def _read_file(self, url: str) -> bytes:
        data = self._files.get(url) or storage.read_bytes(url)
        if url not in self._files and self.cached_bytes + len(data) <= CACHE_BYTES:
            self._files[url] = data
            self.cached_bytes += len(data)
        return data
