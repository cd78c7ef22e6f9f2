"""The second look at a tile that may be cracked: its highest places, looked for in a larger picture, join its logit.

A hairline that is a pixel wide is easier to find in an enlarged tile. Few tiles of an archive need it, so it costs
little (docs/experiments.md).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.images.decode import Pixels, resize
from pipeline.models.card import Places

ENLARGED = 10 / 7
"""Side of the larger picture to the network's own: chosen on sources left out of training (docs/experiments.md)."""
SIDE_STEP_PX = 32
"""Stride of the deepest stage: a side of whole steps wastes no pixels."""

SURE = 3.0
"""Logit from which on a tile is cracked without a second look: none would change the ranking (docs/experiments.md)."""
POOLED_SHARE = 0.01
"""Part of the places whose mean stands for the tile; a crack of 3 px across the picture fills as many."""

Pool = Callable[[Pixels], NDArray[np.float32]]
"""From pictures, shape (N, S, S, 3), to the mean logits of their highest places, shape (N,)."""


def choose_places(tile_px: int) -> Places:
    """Return how the places count in a new model whose network sees squares of this side."""
    return Places(to_logit=SURE, side_px=round(tile_px * ENLARGED / SIDE_STEP_PX) * SIDE_STEP_PX)


def count_highest(places: int) -> int:
    """Return how many of the places of a picture are its highest ones, whose mean stands for it."""
    return max(1, round(POOLED_SHARE * places))


def picture_side(places: Places, tile_px: int) -> int:
    """Return the side of the picture in which places are looked for; a tile of a larger side keeps its own."""
    return max(places.side_px or 0, tile_px)


def enlarge_tiles(tiles: Pixels, places: Places | None) -> Pixels:
    """Return the pictures in which the places of tiles are looked for.

    Args:
        tiles: shape (N, T, T, 3).
        places: of the model's card; None enlarges nothing.

    Shape: (N, S, S, 3).
    """
    if places is None or places.side_px is None:
        return tiles
    side_px = picture_side(places, tiles.shape[1])
    return np.stack([resize(tile, side_px, side_px) for tile in tiles])


def is_doubtful(logits: Any, places: Places) -> Any:  # noqa: ANN401 - what numpy and torch have in common
    """Tell of which tiles the places count.

    Args:
        logits: of the network, an array of numpy or torch, shape (N,).
        places: of the model's card.

    Shape: (N,), bool.
    """
    counts = logits >= places.from_logit
    return counts if places.to_logit is None else counts & (logits < places.to_logit)


def join_places(logits: NDArray[np.float32], tiles: Pixels, places: Places, pool: Pool, at_once: int = 1) -> None:
    """Join the highest places to the logits of those tiles where they count, in place.

    Args:
        logits: of the network, shape (N,).
        tiles: shape (N, T, T, 3).
        places: of the model's card.
        pool: looks for the places.
        at_once: pictures that `pool` takes; always as many, so that a tile's neighbours do not change its score.
    """
    chosen = np.flatnonzero(is_doubtful(logits, places))
    for start in range(0, len(chosen), at_once):
        part = chosen[start : start + at_once]
        filled = np.resize(part, at_once)  # repeats them
        pooled = pool(enlarge_tiles(tiles[filled], places))[: len(part)]
        logits[part] += np.float32(places.weight) * (pooled - logits[part])
