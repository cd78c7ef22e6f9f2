"""A model in torch: its network, ready to score, and its tensors as files store them.

Apart from `model`, so that code that only passes a model on need not load torch.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from pipeline.core.errors import ModelError, UsageError
from pipeline.models import backbones
from pipeline.models.card import Calibration
from pipeline.models.model import Model

DOMAIN_PREFIX = "domain."
"""Prefix of the tensors of `domain`, which are no part of the network."""

TEXTURE_STRIDES = (4, 8)
"""Strides in pixels of the feature maps whose statistics describe a picture's texture; deeper ones respond to cracks
and to nothing else (docs/experiments.md)."""
LEAST_SPREAD = 1e-3
"""Of a feature map over a picture; the spread of a flat picture is zero and has no logarithm."""


class NetworkOutput(NamedTuple):
    """The output of a network for N pictures."""

    logits: Tensor
    """Shape (N,)."""
    textures: Tensor
    """Mean, and logarithm of the spread, of each early feature map over the picture; shape (N, F)."""


def network_of(model: Model) -> nn.Module:
    """Build the network of a model, ready to score: (N, 3, H, W) normalised float → (N, 1) logits.

    Raises:
        ModelError: the weights do not fit the card's architecture, or are damaged.
    """
    try:
        network = backbones.build(model.card.architecture)
        network.load_state_dict(state_of(model))
    except (UsageError, RuntimeError) as error:
        raise ModelError(
            f"The weights at {model.url} do not fit their card's architecture {model.card.architecture}: {error}"
        ) from error
    return network.eval()


def state_of(model: Model) -> dict[str, Tensor]:
    """Return the network's tensors by name, float32.

    Raises:
        ModelError: the weights are damaged.
    """
    return {name: tensor for name, tensor in tensors_of(model).items() if not name.startswith(DOMAIN_PREFIX)}


def tensors_of(model: Model) -> dict[str, Tensor]:
    """Return all tensors of a model by name, float32.

    Raises:
        ModelError: the weights are damaged.
    """
    try:
        state = safetensors.torch.load(model.weights)
    except SafetensorError as error:
        raise ModelError(
            f"The weights at {model.url} are damaged: {error}. Copy the whole folder again, or train anew."
        ) from error
    return {name: _full_precision(tensor) for name, tensor in state.items()}


def encode_weights(state: Mapping[str, Tensor]) -> bytes:
    """Return tensors as a safetensors file, matrices in half precision."""
    return safetensors.torch.save({name: _half_precision(tensor) for name, tensor in state.items()})


def apply_network(network: nn.Module, inputs: Tensor) -> NetworkOutput:
    """Apply a network of timm and collect the textures on the way.

    Shape: (N, 3, H, W) normalised float.
    """
    deep, early = network.forward_intermediates(inputs, indices=_texture_stages(network))  # type: ignore[operator]
    textures = torch.cat([statistic for maps in early for statistic in _statistics(maps)], dim=1)
    return NetworkOutput(network.forward_head(deep)[:, 0], textures)  # type: ignore[operator]  # every timm network has both


def crack_scores(logits: Tensor, calibration: Calibration) -> Tensor:
    """Turn logits into probabilities of a crack."""
    return torch.sigmoid(logits / calibration.temperature + calibration.bias)


def normalise(pixels: Tensor, mean: tuple[float, ...] | Tensor, std: tuple[float, ...] | Tensor) -> Tensor:
    """Turn pixels into the network's input.

    Shape: (N, H, W, 3) uint8 → (N, 3, H, W) float32, channels last in memory.
    """
    scale = torch.as_tensor(std, device=pixels.device) * 255
    shift = torch.as_tensor(mean, device=pixels.device) * 255
    return ((pixels - shift) / scale).permute(0, 3, 1, 2)


def _texture_stages(network: nn.Module) -> list[int]:
    """Return the indices of the stages with these strides; the first stage for a transformer without them."""
    stages = cast("list[dict[str, Any]]", network.feature_info)
    return [number for number, stage in enumerate(stages) if stage["reduction"] in TEXTURE_STRIDES] or [0]


def _statistics(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Shape: (N, C, h, w) → (N, C) and (N, C)."""
    spreads, means = torch.std_mean(maps, dim=(2, 3), correction=0)
    return means, spreads.clamp(min=LEAST_SPREAD).log()


def _half_precision(tensor: Tensor) -> Tensor:
    """Return matrices in half precision; vectors stay: they are small, and batch norm's variances need the range."""
    stored = tensor.detach().cpu().contiguous()
    halved = stored.half() if stored.ndim > 1 and stored.is_floating_point() else stored
    return halved if bool(torch.isfinite(halved).all()) else stored


def _full_precision(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
