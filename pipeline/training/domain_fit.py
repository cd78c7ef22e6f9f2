"""Which pictures a finished network learns its domain from: training tiles, as they are and as other cameras see them.

What is learnt from them is `domain`'s. Concrete that nobody has seen must not be flagged, and most photos of a bridge
that was left out are, where the tiles are shown as they are alone (docs/experiments.md).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.models import backbones, domain, network
from pipeline.models.domain import Domain
from pipeline.training import augment
from pipeline.training.augment import CHANGES, Pixels
from pipeline.training.data_loader import TileReader, in_batches
from pipeline.training.loop import TrainingTask
from pipeline.training.sampler import balanced, epoch_order

TILES = 600
"""Looked at, twice each; sources and classes in even parts."""
BATCH_TILES = 32
STRANGE = 0.03
"""Part of the training tiles that is at or over the threshold. Of photos of concrete from elsewhere about one in a
hundred is, of photos of something else nine in ten (docs/experiments.md)."""


OnProgress = Callable[[int, int], None]
"""Is told pictures done, and of how many."""


class FittedDomain(NamedTuple):
    """What a model is to know of its training tiles."""

    domain: Domain
    threshold: float
    """A photo at or over it is unlike them."""


class RepresentativeImages:
    """Pictures of some training tiles: all as they are, then all as other cameras see them.

    Args:
        training: the tiles to choose from.
        tile_px: side of a picture.
        seed: of the choice, and of the changes.
    """

    def __init__(self, training: LabelledTiles, tile_px: int, seed: int) -> None:
        self._tile_px = tile_px
        self._seed = seed
        self._deck = balanced(training)
        self._order = epoch_order(self._deck.strata, min(TILES, len(training)), seed, epoch=0)

    @property
    def is_first_half(self) -> Tensor:
        """Shape: (n,), for each picture; those of one photo are in one half, unless there is only one photo."""
        return torch.from_numpy(_halves([self._deck.tiles.groups[index] for index in self._order])).repeat(2)

    def batches(self, on_progress: OnProgress) -> Iterator[Pixels]:
        """Yield them in batches, shape (n, tile_px, tile_px, 3), always in the same order."""
        reader = TileReader(self._deck.tiles.urls, self._deck.tiles.boxes)
        plan, done = in_batches(self._order, BATCH_TILES), 0
        for prepare in (self._resized, self._changed):
            for _, pixels in reader.batches(plan, prepare):
                yield pixels
                done += len(pixels)
                on_progress(done, 2 * len(self._order))

    def _resized(self, pixels: Pixels, _index: int, _batch: int) -> Pixels:
        return augment.for_scoring(pixels, self._tile_px)

    def _changed(self, pixels: Pixels, index: int, _batch: int) -> Pixels:
        random = augment.generator(self._seed, 0, index)
        cracked = None if index >= self._deck.drawn_from else bool(self._deck.tiles.labels[index])
        return augment.for_training(pixels, self._tile_px, random, CHANGES["field"], cracked=cracked)


@torch.inference_mode()
def fit_domain(task: TrainingTask, weights: Mapping[str, Tensor], on_progress: OnProgress) -> FittedDomain:
    """Look at training tiles with a network that has learnt from them.

    Args:
        task: what it has learnt from.
        weights: of the network.
        on_progress: is told how far it is.

    Raises:
        UsageError: a tile cannot be read.
    """
    backbone, pictures = task.backbone, RepresentativeImages(task.training, task.backbone.tile_px, task.config.seed)
    learned = backbones.build(backbone.name)
    learned.load_state_dict(dict(weights))
    learned.eval().to(memory_format=torch.channels_last)
    inputs = (
        network.normalise(torch.from_numpy(pixels), backbone.mean, backbone.std)
        for pixels in pictures.batches(on_progress)
    )
    seen = torch.cat([network.apply_network(learned, batch).textures for batch in inputs])
    return FittedDomain(domain.fit(seen), domain.threshold(seen, pictures.is_first_half, STRANGE))


def _halves(groups: Sequence[str]) -> NDArray[np.bool_]:
    """Part tiles in two, those of one photo on one side, unless there is only one photo."""
    photos = np.unique(groups, return_inverse=True)[1]
    is_first: NDArray[np.bool_] = (photos if photos.any() else np.arange(len(groups))) % 2 == 0
    return is_first
