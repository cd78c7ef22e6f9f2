"""What an engine is, and tiles in chunks of any size, scored in batches of one size.

Apart from the engines, since loading one takes seconds and most code that feeds one never loads it.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.images.decode import Pixels

Device = Literal["cpu", "cuda"]

BATCH_TILES = 8
"""Tiles that a network scores at once on a CPU: its intermediate results stay in the cache (docs/experiments.md)."""
CHUNK_TILES = 8
"""Tiles cut at once, for the same reason, whatever the batch that they go into."""

CRACK, DOMAIN = 0, 1
"""Columns of an engine's output: the calibrated probability of a crack, and how unlike the training tiles the tile is
(see `domain`; NaN if the model has no domain)."""

Engine = Callable[[Pixels], ArrayLike]
"""Scores tiles: shape (N, T, T, 3) → (N, 2) float32, in the columns above. When it returns, the caller may reuse the
array of tiles; a GPU may still compute the scores, and `np.asarray` of them waits until they are ready."""

TileMapper = Callable[[Pixels], NDArray[np.float32]]
"""Finds cracks in tiles: shape (N, T, T, 3) → (N, h, w), from 0 without any crack to 1 at the clearest place."""


def score_in_batches(engine: Engine, chunks: Iterable[Pixels], batch_tiles: int) -> Iterator[ArrayLike]:
    """Score tiles in batches of one size and fill up the last batch.

    A network computes a batch of another size in another order, and its scores differ by a billionth. In batches of one
    size the score of a tile does not depend on the other tiles, to the last bit. Copies no batch that is part of one
    chunk, and holds at most one batch of pixels.

    Shape: chunks (n, T, T, 3) → scores (batch_tiles, 2), in order.
    """
    batch, filled = None, 0
    for chunk in chunks:
        start = 0
        while start < len(chunk):
            if filled == 0 and len(chunk) - start >= batch_tiles:
                yield engine(chunk[start : start + batch_tiles])
                start += batch_tiles
                continue
            if batch is None:
                batch = np.zeros((batch_tiles, *chunk.shape[1:]), np.uint8)
            taken = min(batch_tiles - filled, len(chunk) - start)
            batch[filled : filled + taken] = chunk[start : start + taken]
            start, filled = start + taken, filled + taken
            if filled == batch_tiles:
                yield engine(batch)
                filled = 0
    if batch is not None and filled:
        yield np.asarray(engine(batch))[:filled]
