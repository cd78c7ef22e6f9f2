"""The engine in torch: from the pixels of tiles to crack scores and domain scores."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike, NDArray
from torch import Tensor

from pipeline.images.decode import Pixels
from pipeline.models.batching import CRACK, Device
from pipeline.models.closer_look import join_places
from pipeline.models.dense_head import join_logits, pool_places
from pipeline.models.domain import domain_of
from pipeline.models.model import Model
from pipeline.models.network import apply_network, crack_scores, normalise, scoring_network_of

CLOSER_AT_ONCE = 16
"""Tiles that a GPU looks at closely in one go."""


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
        self._closer_graph: _RecordedGraph | None = None

    @torch.inference_mode()
    def __call__(self, tiles: Pixels) -> ArrayLike:
        """Score one batch; a GPU computes while the caller prepares the next one.

        Shape: (N, T, T, 3) → (N, 2), the columns of `batching`.
        """
        pixels = torch.from_numpy(tiles)
        if self._device.type == "cpu":
            found = self._compute(pixels).numpy()
            return self._look_closer(found, tiles) if self._looks_closer else found
        if self._graph is None or self._graph.shape != pixels.shape:
            self._graph = _RecordedGraph(self._compute, pixels.shape, self._device)
        if not self._looks_closer:
            return self._graph(pixels)
        return _CloserScores(self._graph(pixels), tiles.copy(), self._look_closer)

    @property
    def _looks_closer(self) -> bool:
        return self._places is not None and self._places.side_px is not None

    def _compute(self, pixels: Tensor) -> Tensor:
        """Compute the scores of tiles; where a closer look follows, logits in place of crack scores.

        Shape: (N, T, T, 3) uint8 → (N, 2) float32.
        """
        dense = None if self._looks_closer else self._network.dense
        inputs = normalise(pixels, self._mean, self._std)
        with torch.autocast(self._device.type, torch.float16, enabled=self._half):
            output = apply_network(self._network.body, inputs, dense)
        crack = output.logits.float()
        if output.places is not None and self._places is not None:
            crack = join_logits(crack, pool_places(output.places.float()), self._places)
        if not self._looks_closer:
            crack = crack_scores(crack, self._calibration)
        domain = torch.full_like(crack, torch.nan) if self._domain is None else self._domain(output.textures.float())
        return torch.stack((crack, domain), dim=1)

    @torch.inference_mode()
    def _look_closer(self, found: NDArray[np.float32], tiles: Pixels) -> NDArray[np.float32]:
        """Turn the logits of tiles into crack scores, with the places where they count. Shape: (N, 2) → (N, 2)."""
        assert self._places is not None  # noqa: S101 - for mypy; `_looks_closer` says so
        logits = found[:, CRACK].copy()
        join_places(logits, tiles, self._places, self._pool, 1 if self._device.type == "cpu" else CLOSER_AT_ONCE)
        found[:, CRACK] = crack_scores(torch.from_numpy(logits), self._calibration).numpy()
        return found

    def _pool(self, pictures: Pixels) -> NDArray[np.float32]:
        """Return the mean logits of the highest places. Shape: (N, S, S, 3) → (N,)."""
        pixels = torch.from_numpy(pictures)
        if self._device.type == "cpu":
            return self._pool_places(pixels).numpy()
        if self._closer_graph is None:
            self._closer_graph = _RecordedGraph(self._pool_places, pixels.shape, self._device)
        return np.asarray(self._closer_graph(pixels))

    def _pool_places(self, pixels: Tensor) -> Tensor:
        inputs = normalise(pixels, self._mean, self._std)
        with torch.autocast(self._device.type, torch.float16, enabled=self._half):
            places = self._network(inputs).places
        return pool_places(places.float())


class _CloserScores:
    """Scores that still want a closer look at some tiles, which begins when somebody asks for them."""

    def __init__(
        self,
        found: "_PendingScores",
        tiles: Pixels,
        look_closer: Callable[[NDArray[np.float32], Pixels], NDArray[np.float32]],
    ) -> None:
        self._found, self._tiles, self._look_closer = found, tiles, look_closer

    def __array__(self, dtype: DTypeLike | None = None, *, copy: bool | None = None) -> NDArray[np.float32]:
        """Look closer and return the scores; numpy calls this, once."""
        return np.asarray(self._look_closer(np.array(self._found), self._tiles), dtype)


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
