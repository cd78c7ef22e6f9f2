"""What torch makes of a model: the network, ready to score, and the weights as they are kept.

Apart from `model`, which who only passes a model on can read without loading torch.
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
"""Tensors under such names are no network's: what `domain` knows of the training tiles."""

TEXTURE_STRIDES = (4, 8)
"""Pixels to a step in the maps whose statistics are a picture's texture; deeper ones have learnt to tell cracks, and
nothing else (docs/experiments.md)."""
LEAST_SPREAD = 1e-3
"""Of a map over a picture; a flat picture has none, and no logarithm."""


class Answer(NamedTuple):
    """What a network makes of N pictures."""

    logits: Tensor
    """Shape (N,)."""
    textures: Tensor
    """Mean, and logarithm of the spread, of each early map over the picture; shape (N, F)."""


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
        ModelError: they are damaged.
    """
    return {name: tensor for name, tensor in tensors_of(model).items() if not name.startswith(DOMAIN_PREFIX)}


def tensors_of(model: Model) -> dict[str, Tensor]:
    """Return all tensors of a model by name, float32.

    Raises:
        ModelError: they are damaged.
    """
    try:
        state = safetensors.torch.load(model.weights)
    except SafetensorError as error:
        raise ModelError(
            f"The weights at {model.url} are damaged: {error}. Copy the whole folder again, or train anew."
        ) from error
    return {name: _full_precision(tensor) for name, tensor in state.items()}


def encode_weights(state: Mapping[str, Tensor]) -> bytes:
    """Return tensors as they are kept: matrices in half precision, safetensors."""
    return safetensors.torch.save({name: _half_precision(tensor) for name, tensor in state.items()})


def apply_network(network: nn.Module, inputs: Tensor) -> Answer:
    """Apply a network of timm, looking at the textures that it sees on its way.

    Shape: (N, 3, H, W) normalised float.
    """
    deep, early = network.forward_intermediates(inputs, indices=_texture_stages(network))  # type: ignore[operator]
    textures = torch.cat([statistic for maps in early for statistic in _statistics(maps)], dim=1)
    return Answer(network.forward_head(deep)[:, 0], textures)  # type: ignore[operator]  # every timm network has both


def crack_scores(logits: Tensor, calibration: Calibration) -> Tensor:
    """Turn logits into probabilities of a crack."""
    return torch.sigmoid(logits / calibration.temperature + calibration.bias)


def normalise(pixels: Tensor, mean: tuple[float, ...] | Tensor, std: tuple[float, ...] | Tensor) -> Tensor:
    """Turn pixels into what the network expects.

    Shape: (N, H, W, 3) uint8 → (N, 3, H, W) float32, channels last in memory.
    """
    scale = torch.as_tensor(std, device=pixels.device) * 255
    shift = torch.as_tensor(mean, device=pixels.device) * 255
    return ((pixels - shift) / scale).permute(0, 3, 1, 2)


def _texture_stages(network: nn.Module) -> list[int]:
    """Number the stages of these strides; a transformer that has none gives its first."""
    stages = cast("list[dict[str, Any]]", network.feature_info)
    return [number for number, stage in enumerate(stages) if stage["reduction"] in TEXTURE_STRIDES] or [0]


def _statistics(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Shape: (N, C, h, w) → (N, C) and (N, C)."""
    spreads, means = torch.std_mean(maps, dim=(2, 3), correction=0)
    return means, spreads.clamp(min=LEAST_SPREAD).log()


def _half_precision(tensor: Tensor) -> Tensor:
    """Halve the matrices for the disk; vectors stay: small, and batch norm's variances need the range."""
    stored = tensor.detach().cpu().contiguous()
    halved = stored.half() if stored.ndim > 1 and stored.is_floating_point() else stored
    return halved if bool(torch.isfinite(halved).all()) else stored


def _full_precision(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
