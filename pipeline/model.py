"""A model on disk: a folder of `model.safetensors`, `card.json` and a `README.md` for people.

Needs no torch: what the weights mean is `network`'s business, what the card says is `card`'s.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import card, storage
from pipeline.card import Card
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
    weights: bytes
    """The file of the network's tensors, for `network`; its SHA-256 is the card's."""

    @property
    def model_id(self) -> str:
        """Changes with anything that moves a score."""
        return self.card.model_id


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
    return Model(folder, found, data)


def save_model(folder_url: str, weights: bytes, written: Card, readme: Callable[[Card], str]) -> Card:
    """Write a model folder, the card last, so that a folder with a card is whole.

    Args:
        folder_url: where; an older model there is replaced.
        weights: the network's tensors, as `network.encoded`.
        written: the card, whose SHA-256 of the weights is filled in here.
        readme: tells people what the card says.

    Returns:
        The card with the SHA-256 of the weights, as written.
    """
    folder = storage.canonical(folder_url)
    storage.remove(storage.join(folder, CARD_FILE))
    final = replace(written, weights_sha256=hashlib.sha256(weights).hexdigest())
    storage.write_whole(storage.join(folder, WEIGHTS_FILE), weights)
    storage.write_whole(storage.join(folder, README_FILE), readme(final).encode())
    storage.write_whole(storage.join(folder, CARD_FILE), final.to_json().encode())
    return final
