"""From the pixels of tiles to crack scores: the network, and batches that are always full.

An engine is a callable from tiles to scores; which photo a tile is from is the business of `scoring`.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.model import Model, crack_scores, normalised

Device = Literal["cpu", "cuda"]

Engine = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Tiles, shape (N, T, T, 3) uint8, to calibrated probabilities of a crack, shape (N,) float32."""


class TorchEngine:
    """The network in torch, 32-bit floats, channels last: the reference for scores, on any device."""

    def __init__(self, model: Model, device: Device) -> None:
        torch.set_num_threads(1)  # one actor a core; two threads in one process can be ten times slower than one
        torch.backends.cudnn.allow_tf32 = False  # the default would round a GPU's scores to ten bits
        self._card = model.card
        self._device = torch.device(device)
        self._network = model.network().to(self._device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score one batch.

        Shape: (N, T, T, 3) → (N,).
        """
        pixels = torch.from_numpy(tiles).to(self._device, non_blocking=True)
        logits = self._network(normalised(pixels, self._card.mean, self._card.std))[:, 0]  # (N, 1) → (N,)
        scores: NDArray[np.float32] = crack_scores(logits, self._card.calibration).cpu().numpy()
        return scores


def score_in_batches(
    engine: Engine, chunks: Iterable[NDArray[np.uint8]], batch_tiles: int
) -> Iterator[NDArray[np.float32]]:
    """Score tiles that come in chunks of any size in batches of one size; only the last may be smaller.

    Shape: chunks (n, T, T, 3) → scores (batch_tiles,), in order; at most one batch of pixels is kept.
    """
    batch, filled = None, 0
    for chunk in chunks:
        start = 0
        while start < len(chunk):
            if batch is None:
                batch = np.empty((batch_tiles, *chunk.shape[1:]), np.uint8)
            taken = min(batch_tiles - filled, len(chunk) - start)
            batch[filled : filled + taken] = chunk[start : start + taken]
            start, filled = start + taken, filled + taken
            if filled == batch_tiles:
                yield engine(batch)
                filled = 0
    if batch is not None and filled:
        yield engine(batch[:filled])
