"""The second look at a tile that may be cracked: its highest places, looked for in a larger picture, join its logit.

A hairline that is a pixel wide is easier to find in an enlarged tile. Few tiles of an archive need it, so it costs
little (docs/experiments.md).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.images.decode import Pixels, resize
from pipeline.models.card import Places

ENLARGED = 10 / 7
"""Side of the larger picture to the network's own: chosen on sources left out of training (docs/experiments.md)."""
SIDE_STEP_PX = 32
"""Stride of the deepest stage: a side of whole steps wastes no pixels."""

POOLED_SHARE = 0.01
"""Part of the places whose mean stands for the tile; a crack of 3 px across the picture fills as many."""

Pool = Callable[[Pixels], NDArray[np.float32]]
"""From pictures, shape (N, S, S, 3), to the mean logits of their highest places, shape (N,)."""


def choose_places(tile_px: int) -> Places:
    """Return how the places count in a new model whose network sees squares of this side."""
    return Places(side_px=round(tile_px * ENLARGED / SIDE_STEP_PX) * SIDE_STEP_PX)


def count_highest(places: int) -> int:
    """Return how many of the places of a picture are its highest ones, whose mean stands for it."""
    return max(1, round(POOLED_SHARE * places))


def join_places(logits: NDArray[np.float32], tiles: Pixels, places: Places, pool: Pool, at_once: int = 1) -> None:
    """Join the highest places to the logits of those tiles where they count, in place.

    Args:
        logits: of the network, shape (N,).
        tiles: shape (N, T, T, 3).
        places: of the model's card.
        pool: looks for the places.
        at_once: pictures that `pool` takes; always as many, so that a tile's neighbours do not change its score.
    """
    chosen = np.flatnonzero(logits >= places.from_logit)
    side_px = places.side_px or tiles.shape[1]
    for start in range(0, len(chosen), at_once):
        part = chosen[start : start + at_once]
        pictures = np.zeros((at_once, side_px, side_px, 3), np.uint8)
        for number, index in enumerate(part):
            pictures[number] = resize(tiles[index], side_px, side_px)
        logits[part] += np.float32(places.weight) * (pool(pictures)[: len(part)] - logits[part])
