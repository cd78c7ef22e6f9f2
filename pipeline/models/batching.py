"""Tiles that come in chunks of any size, scored in batches of one size.

What an engine is stands here, apart from the engines: loading one takes seconds, and most who feed it need not.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Device = Literal["cpu", "cuda"]

BATCH_TILES = 8
"""Tiles a network sees at once on a CPU: what lies between its layers stays in the cache (docs/experiments.md)."""
CHUNK_TILES = 8
"""Tiles cut at a time, for the same reason, whatever the batch they go into."""

CRACK, DOMAIN = 0, 1
"""Columns of an engine's answer: the calibrated probability of a crack, and how unlike the training tiles it is (see
`domain`; NaN where the model was not told)."""

Engine = Callable[[NDArray[np.uint8]], ArrayLike]
"""Tiles, shape (N, T, T, 3) uint8, to scores, shape (N, 2) float32, in the columns above. It is done with the tiles
when it returns; the scores may be under way still, and are there as soon as somebody makes an array of them."""


def score_in_batches(engine: Engine, chunks: Iterable[NDArray[np.uint8]], batch_tiles: int) -> Iterator[ArrayLike]:
    """Score tiles that come in chunks of any size in batches of one size; the last is filled up.

    A network computes a batch of another size in another order, and its scores differ by a billionth. In batches of one
    size a tile's score does not depend on its company, to the last bit. A batch that lies in one chunk is not copied.

    Shape: chunks (n, T, T, 3) → scores (batch_tiles, 2), in order; at most one batch of pixels is kept.
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
