"""The engine in torch: from the pixels of tiles to crack scores and domain scores."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike, NDArray
from torch import Tensor

from pipeline.images.decode import Pixels
from pipeline.models.batching import Device
from pipeline.models.dense_head import join_logits, pool_places
from pipeline.models.domain import domain_of
from pipeline.models.model import Model
from pipeline.models.network import apply_network, crack_scores, normalise, scoring_network_of


class TorchEngine:
    """The network in torch, channels last.

    Args:
        model: the model.
        device: where it runs.
        half: computes convolutions in 16-bit floats, for GPUs; in 32-bit floats the engine is the reference for scores.
    """

    def __init__(self, model: Model, device: Device, *, half: bool = False) -> None:
        torch.set_num_threads(1)  # one actor per core; two threads in one process can be ten times slower than one
        torch.backends.cudnn.allow_tf32 = False  # the default would round a GPU's scores to ten bits
        self._device = torch.device(device)
        self._half = half
        self._places = model.card.places
        self._network = scoring_network_of(model).to(self._device).to(memory_format=torch.channels_last)
        self._mean, self._std = (torch.tensor(value, device=device) for value in (model.card.mean, model.card.std))
        self._calibration = model.card.calibration
        domain = domain_of(model)
        self._domain = None if domain is None else domain.to(self._device)
        self._graph: _RecordedGraph | None = None

    @torch.inference_mode()
    def __call__(self, tiles: Pixels) -> ArrayLike:
        """Score one batch; a GPU computes while the caller prepares the next one.

        Shape: (N, T, T, 3) → (N, 2), the columns of `batching`.
        """
        pixels = torch.from_numpy(tiles)
        if self._device.type == "cpu":
            scores: NDArray[np.float32] = self._score(pixels).numpy()
            return scores
        if self._graph is None or self._graph.shape != pixels.shape:
            self._graph = _RecordedGraph(self._score, pixels.shape, self._device)
        return self._graph(pixels)

    def _score(self, pixels: Tensor) -> Tensor:
        """Shape: (N, T, T, 3) uint8 → (N, 2) float32."""
        inputs = normalise(pixels, self._mean, self._std)
        with torch.autocast(self._device.type, torch.float16, enabled=self._half):
            output = apply_network(self._network.body, inputs, self._network.dense)
        logits = output.logits.float()
        if output.places is not None and self._places is not None:
            logits = join_logits(logits, pool_places(output.places.float()), self._places)
        crack = crack_scores(logits, self._calibration)
        domain = torch.full_like(crack, torch.nan) if self._domain is None else self._domain(output.textures.float())
        return torch.stack((crack, domain), dim=1)


class _RecordedGraph:
    """A CUDA graph of the computation for one batch size, recorded once.

    Launching it step by step would keep a CPU as busy as the GPU. After torch's notes on CUDA graphs.
    """

    def __init__(self, compute: Callable[[Tensor], Tensor], shape: torch.Size, device: torch.device) -> None:
        self.shape = shape
        self._pixels = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._pending: _PendingScores | None = None
        warm_up = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        warm_up.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(warm_up):
            for _ in range(3):  # libraries choose their kernels
                compute(self._pixels)
        torch.cuda.current_stream().wait_stream(warm_up)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._scores = compute(self._pixels)

    def __call__(self, pixels: Tensor) -> "_PendingScores":
        """Start a batch as soon as the previous one is done."""
        pinned = pixels.pin_memory()  # a GPU copies from there without the CPU
        if self._pending is not None:
            self._pending.wait()
        self._pixels.copy_(pinned, non_blocking=True)
        self._graph.replay()
        self._pending = _PendingScores(self._scores.clone())
        return self._pending


class _PendingScores:
    """Scores that a GPU still computes; converting them to an array waits for it."""

    def __init__(self, scores: Tensor) -> None:
        self._scores = scores
        self._computed = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # waits without a CPU
        self._computed.record()

    def wait(self) -> None:
        """Wait until the GPU has computed them."""
        self._computed.synchronize()

    def __array__(self, dtype: DTypeLike | None = None, *, copy: bool | None = None) -> NDArray[np.float32]:
        """Return the scores; numpy calls this."""
        self.wait()
        return np.asarray(self._scores.cpu().numpy(), dtype)
