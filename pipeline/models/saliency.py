"""Where in a tile the network sees a crack: gradients within the network, sharpened by the tile's own dark lines.

The weight of a place in a layer is how much the crack's logit can change if the layer loses its features there: at most
the norm of the features times the norm of the logit's gradient. The geometric mean combines the layers (NormGrad,
Rebuffi et al. 2020). That tells cracks from joints and shadows, at 28 places along a side of 224 pixels. Which pixels
are darker than their surroundings then gives the crack to the pixel. `crack_maps` joins tiles to the map of a photo.
"""

from functools import partial
from math import isqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, pad

from pipeline.images.decode import Pixels
from pipeline.models.batching import Device
from pipeline.models.model import Model
from pipeline.models.network import network_of, normalise

FINEST_STRIDE = 8
"""Pixels from one place to the next in the first layer used; earlier layers respond to edges, not to cracks."""
LINE_SIGMAS_PX = (1.0, 12.0)
"""A line is darker in the finer blur than in the coarser: cracks of 1 to 20 pixels; stains and shadows are wider."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""
HIGHEST_PLACES, HIGHEST_LINES, HIGHEST = 0.98, 0.995, 0.999
"""Quantiles that stand for the maximum of a layer, of the dark lines and of a map, so that a single pore does not set
the scale."""


class SaliencyMapper:
    """Finds cracks in tiles with a model's network: a `crack_maps.TileMapper`."""

    def __init__(self, model: Model, device: Device) -> None:
        torch.set_num_threads(1)  # as in the engine
        self._card = model.card
        self._device = torch.device(device)
        self._network = network_of(model).requires_grad_(requires_grad=False).to(self._device)
        self._network = self._network.to(memory_format=torch.channels_last)
        self._recorder = FeatureRecorder(self._network)

    def __call__(self, tiles: Pixels) -> NDArray[np.float32]:
        """Find the cracks of one batch.

        Shape: (N, T, T, 3) → (N, T, T), 1 at the highest places of each tile.
        """
        pixels = torch.from_numpy(tiles).to(self._device)
        logits = self._network(normalise(pixels, self._card.mean, self._card.std))
        sides = pixels.shape[1:3]
        layers = [interpolate(layer[:, None], sides, mode="bilinear")[:, 0] for layer in self._recorder.weigh(logits)]
        weights = torch.stack(layers).log().mean(dim=0).exp()
        lines = scale_to_one(find_dark_lines(pixels.float() @ torch.tensor(LUMA, device=self._device)), HIGHEST_LINES)
        maps: NDArray[np.float32] = scale_to_one(weights * lines, HIGHEST).cpu().numpy()
        return maps


class FeatureRecorder:
    """Records the features of some layers of a timm network and weighs their places."""

    def __init__(self, network: nn.Module) -> None:
        self._channels = choose_layers(network)
        self._features: dict[str, Tensor] = {}
        for name in self._channels:
            network.get_submodule(name).register_forward_hook(partial(self._record, name))

    def weigh(self, logits: Tensor) -> list[Tensor]:
        """Return the weight of each place of each layer for the logits that the network computed last.

        Shape: (N, 1) → (N, h, w) per layer, 1 at the highest places of each tile.
        """
        features = [self._features[name] for name in self._channels]
        gradients = torch.autograd.grad(logits.sum(), features)
        norms = [
            to_channels_first(layer.detach(), channels).norm(dim=1) * to_channels_first(gradient, channels).norm(dim=1)
            for layer, gradient, channels in zip(features, gradients, self._channels.values(), strict=True)
        ]
        return [scale_to_one(norm, HIGHEST_PLACES) for norm in norms]

    def _record(self, name: str, _module: nn.Module, _inputs: Any, features: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        """Start gradients at the first layer, so that earlier layers cost no more than in scoring."""
        self._features[name] = features if features.requires_grad else features.detach().requires_grad_()
        return self._features[name].clone()  # some layers write into their input


def choose_layers(network: nn.Module) -> dict[str, int]:
    """Return names and channels of the layers to use: one for each stride from `FINEST_STRIDE` on."""
    of_stride: dict[int, tuple[str, int]] = {}
    for layer in network.feature_info:  # type: ignore[union-attr]  # every timm network has it
        of_stride.setdefault(layer["reduction"], (layer["module"], layer["num_chs"]))
    return dict(layer for stride, layer in of_stride.items() if stride >= FINEST_STRIDE)


def to_channels_first(features: Tensor, channels: int) -> Tensor:
    """Bring the features of a layer into one order: channels, then places.

    Shape: (N, C, h, w), (N, h, w, C), or (N, tokens, C) of a square with or without other tokens first → (N, C, h, w).
    """
    if features.ndim == 3:
        side = isqrt(features.shape[1])
        features = features[:, -side * side :].reshape(-1, side, side, channels)
    return features if features.shape[1] == channels else features.movedim(-1, 1)


def find_dark_lines(grey: Tensor) -> Tensor:
    """Return how much darker each pixel is than its surroundings.

    Shape: (N, H, W) → (N, H, W), 0 where a pixel is not darker.
    """
    fine, coarse = (_blur(grey, sigma_px) for sigma_px in LINE_SIGMAS_PX)
    return (coarse - fine).clamp_min(0)


def scale_to_one(found: Tensor, highest: float) -> Tensor:
    """Scale each tile's map so that this quantile of it and everything above is 1; zeros stay.

    Shape: (N, H, W) → (N, H, W), in [0, 1].
    """
    top = torch.quantile(found.flatten(1), highest, dim=1)[:, None, None]
    return (found / top.clamp_min(torch.finfo(found.dtype).tiny)).clamp_max(1)


def _blur(grey: Tensor, sigma_px: float) -> Tensor:
    """Blur with a Gaussian, with the tile mirrored beyond its edges."""
    reach = min(round(3 * sigma_px), *(side - 1 for side in grey.shape[1:]))
    steps = torch.arange(-reach, reach + 1, device=grey.device)
    weights = torch.exp(-(steps**2) / (2 * sigma_px**2))
    row = (weights / weights.sum())[None, None, None]
    mirrored = pad(grey[:, None], (reach,) * 4, mode="reflect")
    return conv2d(conv2d(mirrored, row), row.mT)[:, 0]
