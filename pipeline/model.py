"""A model on disk: a folder of `model.safetensors`, `card.json` and a `README.md` for people.

Weights are never unpickled. Where the weights first come from is `backbones`' business, what the card says is `card`'s.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from pipeline import backbones, card, storage
from pipeline.card import Calibration, Card
from pipeline.errors import ModelError, UsageError

WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "card.json"
README_FILE = "README.md"

SHIPPED_MODEL = storage.LOCAL + str(Path(__file__).resolve().with_name("shipped_model"))
"""URL of the model that comes with the package."""


@dataclass(frozen=True)
class Model:
    """A model read from its folder."""

    url: str
    card: Card
    state: Mapping[str, Tensor]
    """The network's tensors by name, float32."""

    @property
    def model_id(self) -> str:
        """Changes with anything that moves a score."""
        return self.card.model_id

    def network(self) -> nn.Module:
        """Build the network, ready to score: (N, 3, H, W) normalised float → (N, 1) logits.

        Raises:
            ModelError: the weights do not fit the card's architecture.
        """
        try:
            network = backbones.build(self.card.architecture)
            network.load_state_dict(dict(self.state))
        except (UsageError, RuntimeError) as error:
            raise ModelError(
                f"The weights at {self.url} do not fit their card's architecture {self.card.architecture}: {error}"
            ) from error
        return network.eval()


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


def load_card(folder_url: str) -> Card:
    """Read the card of a model folder.

    Raises:
        UsageError: there is no model.
        ModelError: the card cannot be used.
    """
    url = storage.join(storage.canonical(folder_url), CARD_FILE)
    if not storage.exists(url):
        raise UsageError(
            f"No model at {folder_url}; expected a folder with {CARD_FILE}, as `crackscan train` writes it."
        )
    return card.parse(storage.read_bytes(url), url)


def load_model(folder_url: str) -> Model:
    """Read a model folder and check that its weights are the card's.

    Raises:
        UsageError: there is no model.
        ModelError: the card cannot be used, or the weights are missing or damaged.
    """
    found = load_card(folder_url)
    folder = storage.canonical(folder_url)
    url = storage.join(folder, WEIGHTS_FILE)
    if not storage.exists(url):
        raise ModelError(f"{folder} has a card and no {WEIGHTS_FILE}; copy the whole folder again, or train anew.")
    data = storage.read_bytes(url)
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != found.weights_sha256:
        raise ModelError(
            f"{url} is damaged: its SHA-256 begins with {sha256[:12]}, the card says {found.weights_sha256[:12]}. "
            "Copy the whole folder again, or train anew."
        )
    try:
        state = safetensors.torch.load(data)
    except SafetensorError as error:
        raise ModelError(f"{url} is damaged: {error}. Copy the whole folder again, or train anew.") from error
    return Model(folder, found, {name: _full_precision(tensor) for name, tensor in state.items()})


def save_model(folder_url: str, state: Mapping[str, Tensor], written: Card, readme: Callable[[Card], str]) -> Card:
    """Write a model folder, the card last, so that a folder with a card is whole.

    Args:
        folder_url: where; an older model there is replaced.
        state: the network's tensors by name.
        written: the card, whose SHA-256 of the weights is filled in here.
        readme: tells people what the card says.

    Returns:
        The card with the SHA-256 of the weights, as written.
    """
    folder = storage.canonical(folder_url)
    storage.remove(storage.join(folder, CARD_FILE))
    weights = safetensors.torch.save({name: _half_precision(tensor) for name, tensor in state.items()})
    final = replace(written, weights_sha256=hashlib.sha256(weights).hexdigest())
    storage.write_whole(storage.join(folder, WEIGHTS_FILE), weights)
    storage.write_whole(storage.join(folder, README_FILE), readme(final).encode())
    storage.write_whole(storage.join(folder, CARD_FILE), final.to_json().encode())
    return final


def _half_precision(tensor: Tensor) -> Tensor:
    """Halve the matrices for the disk; vectors stay: small, and batch norm's variances need the range."""
    stored = tensor.detach().cpu().contiguous()
    halved = stored.half() if stored.ndim > 1 and stored.is_floating_point() else stored
    return halved if bool(torch.isfinite(halved).all()) else stored


def _full_precision(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
