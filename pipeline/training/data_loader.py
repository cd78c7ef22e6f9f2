"""Batches of tiles: shared among workers, their pixels read one batch ahead, as they are or changed for training.

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
from pipeline.training import augment, crack_targets
from pipeline.training.augment import CHANGES, Augment, Batch, Other, Picture
from pipeline.training.crack_targets import Target
from pipeline.training.sampler import Indices, TilePool

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


class TrainingPictures:
    """Makes pictures of a pool's tiles.

    Args:
        pool: the tiles.
        tile_px: side of the network's pictures.
        name: how far to change them.
        seed: of the run.
    """

    def __init__(self, pool: TilePool, tile_px: int, name: Augment, seed: int) -> None:
        self._pool = pool
        self._tile_px = tile_px
        self._change = None if name == "none" else CHANGES[name]
        self._seed = seed
        self._reader = TileReader(pool.tiles.urls, pool.tiles.boxes, mask_of=pool.tiles.mask_of)
        sources = np.array(pool.tiles.sources)
        sound = np.flatnonzero(~pool.tiles.labels)
        self._sound = [sound[sources[sound] == source] for source in sorted(set(sources[sound]))]
        """Of each source."""

    def batches(self, plan: Sequence[Indices], epoch: int) -> Iterator[tuple[Indices, Batch]]:
        """Yield the tiles of each batch and their pictures; those of a batch are of one size."""
        for indices, pictures in self._reader.parts(plan, partial(self._make, epoch)):
            yield indices, augment.join_pictures(pictures)

    def _make(self, epoch: int, pixels: Pixels, index: int, step: int) -> Picture:
        tile = Picture(pixels, self._read_target(pixels, index), self._pool.is_cracked(index))
        if self._change is None:
            target = crack_targets.resize_target(tile.target, self._tile_px, self._tile_px)
            return tile._replace(pixels=augment.for_scoring(pixels, self._tile_px), target=target)
        side_px = augment.draw_side_px(self._tile_px, self._change, self._seed, epoch, step)
        random = augment.generator(self._seed, epoch, index)
        return augment.for_training(tile, side_px, random, self._change, self._others(random))

    def _read_target(self, pixels: Pixels, index: int) -> Target:
        crack = self._reader.read_crack(index)
        if crack is None:
            return crack_targets.without_mask(pixels.shape, cracked=bool(self._pool.is_cracked(index)))
        return crack_targets.from_mask(crack)

    def _others(self, random: np.random.Generator) -> Other | None:
        """Return what gives sound surfaces; each source is as likely as another."""
        if not self._sound:
            return None

        def draw(side_px: int) -> Pixels:
            source = self._sound[int(random.integers(len(self._sound)))]
            return augment.for_scoring(self._reader.read(int(random.choice(source))), side_px)

        return draw
