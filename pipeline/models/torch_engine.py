"""From the pixels of tiles to scores: the network, and what it knows of the training tiles.

An engine is a callable from tiles to scores; which photo a tile is from is the business of `scoring`.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike, NDArray
from torch import Tensor

from pipeline.models.batching import Device
from pipeline.models.domain import domain_of
from pipeline.models.model import Model
from pipeline.models.network import apply_network, crack_scores, network_of, normalise


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
        self._device = torch.device(device)
        self._half = half
        self._network = network_of(model).to(self._device).to(memory_format=torch.channels_last)
        self._mean, self._std = (torch.tensor(value, device=device) for value in (model.card.mean, model.card.std))
        self._calibration = model.card.calibration
        domain = domain_of(model)
        self._domain = None if domain is None else domain.to(self._device)
        self._recorded: _Recorded | None = None

    @torch.inference_mode()
    def __call__(self, tiles: NDArray[np.uint8]) -> ArrayLike:
        """Score one batch; a GPU computes while the caller makes the next one ready.

        Shape: (N, T, T, 3) → (N, 2), the columns of `batching`.
        """
        pixels = torch.from_numpy(tiles)
        if self._device.type == "cpu":
            scores: NDArray[np.float32] = self._scored(pixels).numpy()
            return scores
        if self._recorded is None or self._recorded.shape != pixels.shape:
            self._recorded = _Recorded(self._scored, pixels.shape, self._device)
        return self._recorded(pixels)

    def _scored(self, pixels: Tensor) -> Tensor:
        """Shape: (N, T, T, 3) uint8 → (N, 2) float32."""
        inputs = normalise(pixels, self._mean, self._std)
        with torch.autocast(self._device.type, torch.float16, enabled=self._half):
            found = apply_network(self._network, inputs)
        cracked = crack_scores(found.logits.float(), self._calibration)
        strange = torch.full_like(cracked, torch.nan) if self._domain is None else self._domain(found.textures.float())
        return torch.stack((cracked, strange), dim=1)


class _Recorded:
    """What a GPU computes for a batch of one size, recorded once: to launch it step by step keeps a CPU as busy as it.

    After torch's notes on CUDA graphs.
    """

    def __init__(self, compute: Callable[[Tensor], Tensor], shape: torch.Size, device: torch.device) -> None:
        self.shape = shape
        self._pixels = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._under_way: _UnderWay | None = None
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):  # libraries choose their kernels
                compute(self._pixels)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._scores = compute(self._pixels)

    def __call__(self, pixels: Tensor) -> "_UnderWay":
        """Begin with a batch, as soon as the one before is done."""
        pinned = pixels.pin_memory()  # from there a GPU fetches them by itself
        if self._under_way is not None:
            self._under_way.wait()
        self._pixels.copy_(pinned, non_blocking=True)
        self._graph.replay()
        self._under_way = _UnderWay(self._scores.clone())
        return self._under_way


class _UnderWay:
    """Scores that a GPU is computing; whoever makes an array of them waits for it."""

    def __init__(self, scores: Tensor) -> None:
        self._scores = scores
        self._computed = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # waits without a CPU
        self._computed.record()

    def wait(self) -> None:
        """Wait until they are computed."""
        self._computed.synchronize()

    def __array__(self, dtype: DTypeLike | None = None, *, copy: bool | None = None) -> NDArray[np.float32]:
        """Fetch them; what numpy calls."""
        self.wait()
        return np.asarray(self._scores.cpu().numpy(), dtype)
