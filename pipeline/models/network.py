"""A model in torch: its network, with its dense head if it has one, and its tensors as files store them.

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
from pipeline.models.dense_head import LEAST_STAGES, MOST_STAGES, DenseHead
from pipeline.models.dense_head import PREFIX as DENSE_PREFIX
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
    places: Tensor | None = None
    """As in `DenseOutput`."""


class DenseOutput(NamedTuple):
    """The output of a network with a dense head for N pictures."""

    logits: Tensor
    """Shape (N,)."""
    places: Tensor | None
    """Logit of a crack at each place, shape (N, h, w); None without a dense head."""


class CrackNetwork(nn.Module):
    """A network of timm, and a dense head on its stages or none: (N, 3, H, W) normalised float → `DenseOutput`."""

    def __init__(self, body: nn.Module, dense: DenseHead | None) -> None:
        super().__init__()
        self.body = body
        self.dense = dense

    def forward(self, inputs: Tensor) -> DenseOutput:
        """Find cracks."""
        if self.dense is None:
            return DenseOutput(self.body(inputs)[:, 0], None)
        deep, stages = self.body.forward_intermediates(inputs)  # type: ignore[operator]  # every timm network has it
        logits = self.body.forward_head(deep)[:, 0]  # type: ignore[operator]
        return DenseOutput(logits, self.dense(stages[-self.dense.stages :]))

    def tensors(self) -> dict[str, Tensor]:
        """Return its tensors under the names of a model file."""
        dense = {} if self.dense is None else self.dense.state_dict()
        return self.body.state_dict() | {DENSE_PREFIX + name: tensor for name, tensor in dense.items()}


def attach_dense_head(body: nn.Module) -> CrackNetwork:
    """Put a new dense head on a network of timm; one without stages that halve, such as a transformer, gets none."""
    stages = cast("list[dict[str, Any]]", getattr(body, "feature_info", []))
    halving = 1
    while halving < len(stages) and stages[-halving - 1]["reduction"] * 2 == stages[-halving]["reduction"]:
        halving += 1
    if halving < LEAST_STAGES:
        return CrackNetwork(body, None)
    return CrackNetwork(body, DenseHead([stage["num_chs"] for stage in stages[-halving:][-MOST_STAGES:]]))


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


def crack_network_of(model: Model) -> CrackNetwork:
    """Build the network of a model with its dense head, ready to use.

    Raises:
        ModelError: the weights do not fit the card's architecture, are damaged, or lack the dense head.
    """
    network = attach_dense_head(network_of(model))
    tensors = tensors_of(model)
    dense = {name.removeprefix(DENSE_PREFIX): part for name, part in tensors.items() if name.startswith(DENSE_PREFIX)}
    if network.dense is None or network.dense.state_dict().keys() != dense.keys():
        raise ModelError(
            f"The weights at {model.url} have no dense head of {model.card.architecture}, and the card says that they "
            "do. Copy the whole folder again, or train anew."
        )
    network.dense.load_state_dict(dense)
    return network.eval()


def scoring_network_of(model: Model) -> CrackNetwork:
    """Build what scores tiles: the network of a model, with its dense head where the places count.

    Raises:
        ModelError: as `crack_network_of`.
    """
    return CrackNetwork(network_of(model), None) if model.card.places is None else crack_network_of(model)


def dense_stride_of(body: nn.Module, tensors: Mapping[str, Tensor]) -> int | None:
    """Return the stride of a trained dense head; None if the tensors of a model hold none."""
    if not any(name.startswith(DENSE_PREFIX) for name in tensors):
        return None
    dense = attach_dense_head(body).dense
    stages = cast("list[dict[str, Any]]", body.feature_info)
    return None if dense is None else int(stages[-dense.stages]["reduction"])


def body_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return those of a model's tensors that belong to the network of timm."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith((DOMAIN_PREFIX, DENSE_PREFIX))}


def state_of(model: Model) -> dict[str, Tensor]:
    """Return the tensors of the network without its dense head, by name, float32.

    Raises:
        ModelError: the weights are damaged.
    """
    return body_of(tensors_of(model))


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


def apply_network(network: nn.Module, inputs: Tensor, dense: DenseHead | None = None) -> NetworkOutput:
    """Apply a network of timm and collect the textures on the way; with a dense head, its places, too.

    Shape: (N, 3, H, W) normalised float.
    """
    chosen = _texture_stages(network)
    deep, stages = network.forward_intermediates(inputs, indices=chosen if dense is None else None)  # type: ignore[operator]
    early = stages if dense is None else [stages[number] for number in chosen]
    textures = torch.cat([statistic for maps in early for statistic in _statistics(maps)], dim=1)
    places = None if dense is None else dense(stages[-dense.stages :])
    return NetworkOutput(network.forward_head(deep)[:, 0], textures, places)  # type: ignore[operator]  # every timm network has both


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
