"""Which pictures a finished network learns its domain from: training tiles, as they are and as other cameras see them.

What is learnt from them is `domain`'s. Concrete that nobody has seen must not be flagged, and most photos of a bridge
that was left out are, where the tiles are shown as they are alone (docs/experiments.md).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline import augment, backbones, domain, network
from pipeline.augment import CHANGES, Pixels
from pipeline.batches import TileReader, in_batches
from pipeline.course import Task
from pipeline.domain import Domain
from pipeline.sampling import Deck, balanced, epoch_order

TILES = 600
"""Looked at, twice each; sources and classes in even parts."""
BATCH_TILES = 32
STRANGE = 0.03
"""Part of the training tiles that is at or over the threshold. Of photos of concrete from elsewhere about one in a
hundred is, of photos of something else nine in ten (docs/experiments.md)."""


class Learnt(NamedTuple):
    """What a model is to know of its training tiles."""

    domain: Domain
    threshold: float
    """A photo at or over it is unlike them."""


def learn(task: Task, weights: Mapping[str, Tensor], on_progress: Callable[[int, int], None]) -> Learnt:
    """Look at training tiles with a network that has learnt from them.

    Args:
        task: what it has learnt from.
        weights: of the network.
        on_progress: called with the pictures done and their total.

    Raises:
        UsageError: a tile cannot be read.
    """
    learned = backbones.build(task.backbone.name)
    learned.load_state_dict(dict(weights))
    deck = balanced(task.training)
    order = epoch_order(deck.strata, min(TILES, len(task.training)), task.config.seed, epoch=0)
    pictures = _Pictures(task, deck, learned.eval().to(memory_format=torch.channels_last))
    seen = pictures.textures(in_batches(order, BATCH_TILES), on_progress)
    is_first_half = torch.from_numpy(_halves([deck.tiles.groups[index] for index in order])).repeat(2)
    return Learnt(domain.fit(seen), domain.threshold(seen, is_first_half, STRANGE))


def _halves(groups: Sequence[str]) -> NDArray[np.bool_]:
    """Part tiles in two, those of one photo on one side, unless there is only one photo."""
    photos = np.unique(groups, return_inverse=True)[1]
    is_first: NDArray[np.bool_] = (photos if photos.any() else np.arange(len(groups))) % 2 == 0
    return is_first


class _Pictures:
    """Pictures of tiles, as a network sees them."""

    def __init__(self, task: Task, deck: Deck, learned: nn.Module) -> None:
        self._backbone = task.backbone
        self._seed = task.config.seed
        self._deck = deck
        self._network = learned

    @torch.inference_mode()
    def textures(self, plan: list[NDArray[np.int64]], on_progress: Callable[[int, int], None]) -> Tensor:
        """Look at all tiles as they are, then at all as other cameras see them.

        Shape: → (2 n, F).
        """
        reader = TileReader(self._deck.tiles.urls, self._deck.tiles.boxes)
        total, seen = 2 * sum(map(len, plan)), list[Tensor]()
        for prepare in (self._resized, self._changed):
            for _, pixels in reader.batches(plan, prepare):
                inputs = network.normalised(torch.from_numpy(pixels), self._backbone.mean, self._backbone.std)
                seen.append(network.answer(self._network, inputs).textures)
                on_progress(sum(map(len, seen)), total)
        return torch.cat(seen)

    def _resized(self, pixels: Pixels, _index: int, _batch: int) -> Pixels:
        return augment.for_scoring(pixels, self._backbone.tile_px)

    def _changed(self, pixels: Pixels, index: int, _batch: int) -> Pixels:
        random = augment.generator(self._seed, 0, index)
        cracked = None if index >= self._deck.drawn_from else bool(self._deck.tiles.labels[index])
        return augment.for_training(pixels, self._backbone.tile_px, random, CHANGES["field"], cracked=cracked)
