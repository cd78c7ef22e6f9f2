"""What a network sees in labelled tiles: the numbers that its last layer weighs, in each tile and in changed views."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.core.progress import OnProgress
from pipeline.images.decode import Pixels
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.models.card import Card
from pipeline.models.closer_look import enlarge_tiles
from pipeline.models.dense_head import pool_places
from pipeline.models.network import CrackNetwork, normalise
from pipeline.training import augment
from pipeline.training.augment import CHANGES, Picture
from pipeline.training.crack_targets import without_mask
from pipeline.training.data_loader import TileReader, split_into_batches

CHANGED_VIEWS = 4
"""Of each tile, beside the tile as it is."""
BATCH_TILES = 8
"""Tiles whose views the network sees at once."""


class TileViews(NamedTuple):
    """What the network sees in n tiles, V views of each; the first is the tile as `score` sees it."""

    features: Tensor
    """What the last layer weighs, shape (n, V, F)."""
    pooled: Tensor | None
    """The highest places of the dense head as in `pool_places`, shape (n, V); None where places do not count."""

    def subset(self, mask: Tensor) -> "TileViews":
        """Return those of the tiles where a mask is True. Shape: (n,)."""
        return TileViews(self.features[mask], None if self.pooled is None else self.pooled[mask])

    def unchanged(self) -> "TileViews":
        """Return the tiles as they are: their first view."""
        return TileViews(self.features[:, :1], None if self.pooled is None else self.pooled[:, :1])


def describe_tiles(
    network: CrackNetwork, card: Card, tiles: LabelledTiles, seed: int, on_progress: OnProgress
) -> TileViews:
    """Show tiles to a network.

    Args:
        network: without gradients, ready to score.
        card: its own.
        tiles: n labelled tiles.
        seed: of the changes.
        on_progress: takes the number of tiles done and their total.

    Raises:
        UsageError: a tile cannot be read.
    """
    found: list[TileViews] = []
    for done, pixels in _read_views(tiles, card.tile_px, seed):
        found.append(_describe(network, card, pixels))
        on_progress(done, len(tiles))
    pooled = [each.pooled for each in found if each.pooled is not None]
    return TileViews(torch.cat([each.features for each in found]), torch.cat(pooled) if pooled else None)


def _read_views(tiles: LabelledTiles, tile_px: int, seed: int) -> Iterator[tuple[int, Pixels]]:
    """Yield the number of tiles read, and views, shape (m, V, T, T, 3)."""
    reader = TileReader(tiles.urls, tiles.boxes)

    def make_views(pixels: Pixels, index: int, _batch: int) -> Pixels:
        cracked = bool(tiles.labels[index])
        tile = Picture(pixels, without_mask(pixels.shape, cracked=cracked), cracked)
        changed = [
            augment.for_training(tile, tile_px, augment.generator(seed, view, index), CHANGES["plain"]).pixels
            for view in range(CHANGED_VIEWS)
        ]
        return np.stack([augment.for_scoring(pixels, tile_px), *changed])

    done = 0
    for indices, views in reader.batches(split_into_batches(np.arange(len(tiles)), BATCH_TILES), make_views):
        done += len(indices)
        yield done, views


@torch.inference_mode()
def _describe(network: CrackNetwork, card: Card, views: Pixels) -> TileViews:
    """Shape: (m, V, T, T, 3) → m tiles of V views."""
    shape, pictures = views.shape[:2], views.reshape(-1, *views.shape[2:])
    body = network.body
    inputs = normalise(torch.from_numpy(pictures), card.mean, card.std)
    features = body.forward_head(body.forward_features(inputs), pre_logits=True)  # type: ignore[operator]  # every timm network has both
    if card.places is None:
        return TileViews(features.reshape(*shape, -1), None)
    larger = torch.from_numpy(enlarge_tiles(pictures, card.places))
    places = network(normalise(larger, card.mean, card.std)).places
    pooled = pool_places(places)
    return TileViews(features.reshape(*shape, -1), pooled.reshape(shape))
