"""From the pixels of tiles to scores: the network, and what it knows of the training tiles.

An engine is a callable from tiles to scores; which photo a tile is from is the business of `scoring`.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.batching import Device
from pipeline.domain import domain_of
from pipeline.model import Model
from pipeline.network import answer, crack_scores, network_of, normalised


class TorchEngine:
    """The network in torch, channels last.

    Args:
        model: the model.
        device: where it runs.
        half: whether convolutions are of 16-bit floats, for GPUs; in 32-bit ones it is the reference for scores.
    """

    def __init__(self, model: Model, device: Device, *, half: bool = False) -> None:
        torch.set_num_threads(1)  # one actor a core; two threads in one process can be ten times slower than one
        torch.backends.cudnn.allow_tf32 = False  # the default would round a GPU's scores to ten bits
        self._card = model.card
        self._device = torch.device(device)
        self._half = half
        self._network = network_of(model).to(self._device).to(memory_format=torch.channels_last)
        domain = domain_of(model)
        self._domain = None if domain is None else domain.to(self._device)

    @torch.inference_mode()
    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score one batch.

        Shape: (N, T, T, 3) → (N, 2), the columns of `batching`.
        """
        inputs = normalised(self._there(tiles), self._card.mean, self._card.std)
        with torch.autocast(self._device.type, torch.float16, enabled=self._half):
            found = answer(self._network, inputs)
        cracked = crack_scores(found.logits.float(), self._card.calibration)
        strange = torch.full_like(cracked, torch.nan) if self._domain is None else self._domain(found.textures.float())
        scores: NDArray[np.float32] = torch.stack((cracked, strange), dim=1).cpu().numpy()
        return scores

    def _there(self, tiles: NDArray[np.uint8]) -> Tensor:
        """Send pixels to the device; from pinned memory a GPU fetches them by itself."""
        pixels = torch.from_numpy(tiles)
        return pixels if self._device.type == "cpu" else pixels.pin_memory().to(self._device, non_blocking=True)
