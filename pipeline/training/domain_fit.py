"""Fits the domain score of a finished network to its training tiles, as they are and as other cameras see them.

The score must not flag concrete of a structure that is not in the data. Fitted to the tiles as they are alone, it flags
most photos of a bridge that was left out (docs/experiments.md). `models.domain` holds the statistics.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core.progress import OnProgress
from pipeline.images.decode import Pixels
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.models import backbones, domain, network
from pipeline.models.domain import Domain
from pipeline.training import augment
from pipeline.training.augment import CHANGES, Picture
from pipeline.training.crack_targets import without_mask
from pipeline.training.data_loader import TileReader, prepare_for_scoring, split_into_batches
from pipeline.training.loop import TrainingTask
from pipeline.training.sampler import build_balanced_pool, order_epoch

MAX_TILES = 600
"""Tiles to look at, twice each; sources and classes in equal parts."""
BATCH_TILES = 32
FLAGGED_SHARE = 0.03
"""Part of the training tiles at or over the threshold. About one photo in a hundred of concrete from elsewhere is, and
nine in ten of photos of something else (docs/experiments.md)."""


class FittedDomain(NamedTuple):
    """The domain of a model."""

    domain: Domain
    threshold: float
    """From here on, a photo is unlike the training tiles."""


class RepresentativeImages:
    """Pictures of some training tiles: all as they are, then all as other cameras see them.

    Args:
        training: the tiles to choose from; clutter is not chosen, since what is no concrete must stay unlike it.
        tile_px: side of a picture.
        seed: of the choice and the changes.
        max_tiles: the number of tiles to choose, at most.
    """

    def __init__(self, training: LabelledTiles, tile_px: int, seed: int, max_tiles: int = MAX_TILES) -> None:
        self._tile_px = tile_px
        self._seed = seed
        concrete = training.subset(~training.is_clutter)
        self._pool = build_balanced_pool(concrete)
        self._order = order_epoch(self._pool.strata, min(max_tiles, len(concrete)), seed, epoch=0)

    @property
    def is_first_half(self) -> Tensor:
        """Shape: (n,), for each picture; see `split_in_halves`."""
        return torch.from_numpy(split_in_halves([self._pool.tiles.groups[index] for index in self._order])).repeat(2)

    def batches(self, on_progress: OnProgress) -> Iterator[Pixels]:
        """Yield them in batches, shape (n, tile_px, tile_px, 3), always in the same order."""
        reader = TileReader(self._pool.tiles.urls, self._pool.tiles.boxes)
        plan, done = split_into_batches(self._order, BATCH_TILES), 0
        for prepare in (prepare_for_scoring(self._tile_px), self._augment):
            for _, pixels in reader.batches(plan, prepare):
                yield pixels
                done += len(pixels)
                on_progress(done, 2 * len(self._order))

    def _augment(self, pixels: Pixels, index: int, _batch: int) -> Pixels:
        """Photograph a tile again, without the clutter of training: what is no concrete must stay unlike it."""
        cracked = self._pool.is_cracked(index)
        tile = Picture(pixels, without_mask(pixels.shape, cracked=bool(cracked)), cracked)
        random = augment.generator(self._seed, 0, index)
        return augment.for_training(tile, self._tile_px, random, CHANGES["field"]).pixels


@torch.inference_mode()
def fit_domain(
    task: TrainingTask, weights: Mapping[str, Tensor], on_progress: OnProgress, max_tiles: int = MAX_TILES
) -> FittedDomain:
    """Fit the domain score to the training tiles of a finished network.

    Args:
        task: the training that is finished.
        weights: of the network.
        on_progress: called after each batch.
        max_tiles: how many tiles to look at, at most.

    Raises:
        UsageError: a tile cannot be read.
    """
    backbone = task.backbone
    images = RepresentativeImages(task.training, backbone.tile_px, task.hyperparameters.seed, max_tiles)
    trained = backbones.build(backbone.name)
    trained.load_state_dict(network.body_of(weights))
    trained.eval().to(memory_format=torch.channels_last)
    inputs = (
        network.normalise(torch.from_numpy(pixels), backbone.mean, backbone.std)
        for pixels in images.batches(on_progress)
    )
    textures = torch.cat([network.apply_network(trained, batch).textures for batch in inputs])
    return FittedDomain(domain.fit(textures), domain.fit_threshold(textures, images.is_first_half, FLAGGED_SHARE))


def split_in_halves(groups: Sequence[str]) -> NDArray[np.bool_]:
    """Tell which tiles are in the first half; tiles of one photo stay together, unless there is only one photo."""
    photos = np.unique(groups, return_inverse=True)[1]
    is_first: NDArray[np.bool_] = (photos if photos.any() else np.arange(len(groups))) % 2 == 0
    return is_first
