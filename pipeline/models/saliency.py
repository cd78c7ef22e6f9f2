"""Where in a tile the network sees a crack: gradients within the network, drawn sharp by the tile's own dark lines.

A place of a layer matters as far as the crack's logit can change when what the layer holds there goes: at most by the
norm of its features times the norm of the logit's gradient there. Layers are combined by their geometric mean
(NormGrad, Rebuffi et al. 2020). That tells cracks from joints and shadows, 28 times along a side of 224 pixels; what is
darker than its surroundings tells, to the pixel, where the crack lies. How tiles make up a photo's map is `maps`'
business.
"""

from functools import partial
from math import isqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, pad

from pipeline.models.batching import Device
from pipeline.models.model import Model
from pipeline.models.network import network_of, normalise

FINEST_STRIDE = 8
"""Pixels from one place to the next in the first layer that counts; earlier ones tell edges, not cracks."""
LINE_SIGMAS_PX = (1.0, 12.0)
"""A line is darker in the finer blur than in the coarser: cracks of 1 to 20 pixels; stains and shadows are wider."""
LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue (ITU-R BT.601)."""
HIGHEST_PLACES, HIGHEST_LINES, HIGHEST = 0.98, 0.995, 0.999
"""Quantiles that count as the highest of a layer, of the dark lines and of a map: a single pore is not the measure."""


class SaliencyMapper:
    """Finds cracks in tiles with a model's network: a `maps.TileMapper`."""

    def __init__(self, model: Model, device: Device) -> None:
        torch.set_num_threads(1)  # as in the engine
        self._card = model.card
        self._device = torch.device(device)
        self._network = network_of(model).requires_grad_(requires_grad=False).to(self._device)
        self._network = self._network.to(memory_format=torch.channels_last)
        self._listener = Listener(self._network)

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Find the cracks of one batch.

        Shape: (N, T, T, 3) → (N, T, T), the highest places of each tile 1.
        """
        pixels = torch.from_numpy(tiles).to(self._device)
        logits = self._network(normalise(pixels, self._card.mean, self._card.std))
        sides = pixels.shape[1:3]
        layers = [interpolate(layer[:, None], sides, mode="bilinear")[:, 0] for layer in self._listener.weighed(logits)]
        matters = torch.stack(layers).log().mean(dim=0).exp()
        lines = up_to_one(dark_lines(pixels.float() @ torch.tensor(LUMA, device=self._device)), HIGHEST_LINES)
        maps: NDArray[np.float32] = up_to_one(matters * lines, HIGHEST).cpu().numpy()
        return maps


class Listener:
    """Listens to some layers of a timm network, and weighs the places in what it heard."""

    def __init__(self, network: nn.Module) -> None:
        self._channels = chosen_layers(network)
        self._heard: dict[str, Tensor] = {}
        for name in self._channels:
            network.get_submodule(name).register_forward_hook(partial(self._hear, name))

    def weighed(self, logits: Tensor) -> list[Tensor]:
        """Tell how far each place of each layer matters for the logits that were just computed.

        Shape: (N, 1) → (N, h, w) a layer, the highest places of each tile 1.
        """
        features = [self._heard[name] for name in self._channels]
        gradients = torch.autograd.grad(logits.sum(), features)
        norms = [
            in_places(feature.detach(), channels).norm(dim=1) * in_places(gradient, channels).norm(dim=1)
            for feature, gradient, channels in zip(features, gradients, self._channels.values(), strict=True)
        ]
        return [up_to_one(norm, HIGHEST_PLACES) for norm in norms]

    def _hear(self, name: str, _module: nn.Module, _inputs: Any, features: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        """Let gradients begin at the first layer: what comes before it costs no more than in scoring."""
        self._heard[name] = features if features.requires_grad else features.detach().requires_grad_()
        return self._heard[name].clone()  # some layers write into their input


def chosen_layers(network: nn.Module) -> dict[str, int]:
    """Return names and channels of the layers that count: one for each stride, from `FINEST_STRIDE` on."""
    of_stride: dict[int, tuple[str, int]] = {}
    for layer in network.feature_info:  # type: ignore[union-attr]  # every timm network has it
        of_stride.setdefault(layer["reduction"], (layer["module"], layer["num_chs"]))
    return dict(layer for stride, layer in of_stride.items() if stride >= FINEST_STRIDE)


def in_places(features: Tensor, channels: int) -> Tensor:
    """Bring what a layer gives into one order: channels, then places.

    Shape: (N, C, h, w), (N, h, w, C), or (N, tokens, C) of a square with or without tokens before it → (N, C, h, w).
    """
    if features.ndim == 3:
        side = isqrt(features.shape[1])
        features = features[:, -side * side :].reshape(-1, side, side, channels)
    return features if features.shape[1] == channels else features.movedim(-1, 1)


def dark_lines(grey: Tensor) -> Tensor:
    """Tell how much darker each pixel is than what lies around it.

    Shape: (N, H, W) → (N, H, W), 0 where it is not darker.
    """
    fine, coarse = (_blurred(grey, sigma_px) for sigma_px in LINE_SIGMAS_PX)
    return (coarse - fine).clamp_min(0)


def up_to_one(found: Tensor, highest: float) -> Tensor:
    """Scale each tile's map so that this quantile of it, and all above, is 1; zeros stay.

    Shape: (N, H, W) → (N, H, W), in [0, 1].
    """
    top = torch.quantile(found.flatten(1), highest, dim=1)[:, None, None]
    return (found / top.clamp_min(torch.finfo(found.dtype).tiny)).clamp_max(1)


def _blurred(grey: Tensor, sigma_px: float) -> Tensor:
    """Blur with a Gaussian; beyond the edges the tile is mirrored."""
    reach = min(round(3 * sigma_px), *(side - 1 for side in grey.shape[1:]))
    steps = torch.arange(-reach, reach + 1, device=grey.device)
    weights = torch.exp(-(steps**2) / (2 * sigma_px**2))
    row = (weights / weights.sum())[None, None, None]
    mirrored = pad(grey[:, None], (reach,) * 4, mode="reflect")
    return conv2d(conv2d(mirrored, row), row.mT)[:, 0]
