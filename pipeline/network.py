"""What torch makes of a model: the network, ready to score, and the weights as they are kept.

Apart from `model`, which who only passes a model on can read without loading torch.
"""

from collections.abc import Mapping

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from pipeline import backbones
from pipeline.card import Calibration
from pipeline.errors import ModelError, UsageError
from pipeline.model import Model


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
    try:
        state = safetensors.torch.load(model.weights)
    except SafetensorError as error:
        raise ModelError(
            f"The weights at {model.url} are damaged: {error}. Copy the whole folder again, or train anew."
        ) from error
    return {name: _full_precision(tensor) for name, tensor in state.items()}


def encoded(state: Mapping[str, Tensor]) -> bytes:
    """Return a network's tensors as they are kept: matrices in half precision, safetensors."""
    return safetensors.torch.save({name: _half_precision(tensor) for name, tensor in state.items()})


def crack_scores(logits: Tensor, calibration: Calibration) -> Tensor:
    """Turn logits into probabilities of a crack."""
    return torch.sigmoid(logits / calibration.temperature + calibration.bias)


def normalised(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Turn pixels into what the network expects.

    Shape: (N, H, W, 3) uint8 → (N, 3, H, W) float32, channels last in memory.
    """
    scale = torch.tensor(std, device=pixels.device) * 255
    shift = torch.tensor(mean, device=pixels.device) * 255
    return ((pixels - shift) / scale).permute(0, 3, 1, 2)


def _half_precision(tensor: Tensor) -> Tensor:
    """Halve the matrices for the disk; vectors stay: small, and batch norm's variances need the range."""
    stored = tensor.detach().cpu().contiguous()
    halved = stored.half() if stored.ndim > 1 and stored.is_floating_point() else stored
    return halved if bool(torch.isfinite(halved).all()) else stored


def _full_precision(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
