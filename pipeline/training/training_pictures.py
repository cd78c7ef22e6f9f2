"""The pictures of an epoch: tiles of the pool with their masks, changed at random, in batches."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from pipeline.images.decode import Pixels
from pipeline.training import augment, crack_targets
from pipeline.training.augment import CHANGES, Augment, Batch, Other, Picture
from pipeline.training.crack_targets import Target
from pipeline.training.data_loader import TileReader
from pipeline.training.sampler import Indices, TilePool


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

    def make(self, pixels: Pixels, index: int, epoch: int = 0) -> Picture:
        """Make the picture of a tile at the network's full side."""
        return self._change_tile(pixels, index, epoch, self._tile_px)

    def _make(self, epoch: int, pixels: Pixels, index: int, step: int) -> Picture:
        if self._change is None:
            return self._change_tile(pixels, index, epoch, self._tile_px)
        side_px = augment.draw_side_px(self._tile_px, self._change, self._seed, epoch, step)
        return self._change_tile(pixels, index, epoch, side_px)

    def _change_tile(self, pixels: Pixels, index: int, epoch: int, side_px: int) -> Picture:
        tile = Picture(pixels, self._read_target(pixels, index), self._pool.is_cracked(index))
        if self._change is None:
            target = crack_targets.resize_target(tile.target, side_px, side_px)
            return tile._replace(pixels=augment.for_scoring(pixels, side_px), target=target)
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
