"""A model on disk: a folder of `model.safetensors`, `card.json` and a `README.md` for people.

Where it was quantised, `int8.xml` and `int8.bin` are beside them.

Needs no torch: what the weights mean is `network`'s business, what the card says is `card`'s.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pipeline import storage
from pipeline.core.errors import ModelError, UsageError
from pipeline.models import card
from pipeline.models.card import Card, Quantised

WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "card.json"
README_FILE = "README.md"
INT8_FILES = ("int8.xml", "int8.bin")
"""An OpenVINO graph and its constants."""

Readme = Callable[[Card], str]

SHIPPED_MODEL = storage.LOCAL + str(Path(__file__).resolve().with_name("shipped"))
"""URL of the model that comes with the package."""


class Int8(NamedTuple):
    """The network in eight-bit integers, as OpenVINO keeps it."""

    graph: bytes
    constants: bytes

    @property
    def sha256(self) -> str:
        """Over both, hexadecimal."""
        return hashlib.sha256(self.graph + self.constants).hexdigest()


@dataclass(frozen=True)
class Model:
    """A model read from its folder."""

    url: str
    card: Card
    weights: bytes
    """The file of the network's tensors, for `network`; its SHA-256 is the card's."""
    int8: Int8 | None = None
    """None where the model was not quantised; its SHA-256 is the card's."""

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
    return Model(folder, found, data, None if found.int8 is None else _int8(folder, found.int8))


def _int8(folder: str, told: Quantised) -> Int8:
    """Read a quantised network and check that it is the card's."""
    urls = [storage.join(folder, name) for name in INT8_FILES]
    missing = [url for url in urls if not storage.exists(url)]
    found = None if missing else Int8(*map(storage.read_bytes, urls))
    if found is None or found.sha256 != told.sha256:
        problem = f"no {storage.name(missing[0])}, which" if missing else f"other {' and '.join(INT8_FILES)} than"
        raise ModelError(
            f"{folder} has {problem} the card tells of. Copy the whole folder again, or run `crackscan models "
            "quantise`."
        )
    return found


def save_model(folder_url: str, model: Model, readme: Readme) -> Model:
    """Write a model folder, the card last, so that a folder with a card is whole.

    Args:
        folder_url: where; an older model there is replaced.
        model: what to write; the card's SHA-256 of its weights is filled in here.
        readme: tells people what the card says.

    Returns:
        The model as written.
    """
    folder = storage.canonical(folder_url)
    storage.remove(storage.join(folder, CARD_FILE))
    storage.write_whole(storage.join(folder, WEIGHTS_FILE), model.weights)
    sha256 = hashlib.sha256(model.weights).hexdigest()
    written = replace(model, url=folder, card=replace(model.card, weights_sha256=sha256))
    _finish(written, readme)
    return written


def add_int8(model: Model, int8: Int8, cost: Quantised, readme: Readme) -> Model:
    """Put a quantised network into the folder of its model; whenever it is killed, the folder is a model.

    Args:
        model: as read from its folder.
        int8: the network.
        cost: what the card is to say of it.
        readme: tells people what the card says.

    Returns:
        The model as written.
    """
    plain = replace(model.card, int8=None)
    storage.write_whole(storage.join(model.url, CARD_FILE), plain.to_json().encode())
    written = replace(model, int8=int8, card=replace(model.card, int8=cost))
    _finish(written, readme)
    return written


def _finish(model: Model, readme: Readme) -> None:
    """Write what stands beside the weights, the card last."""
    for name, data in zip(INT8_FILES, model.int8 or (None, None), strict=True):
        url = storage.join(model.url, name)
        if data is None:
            storage.remove(url)
        else:
            storage.write_whole(url, data)
    storage.write_whole(storage.join(model.url, README_FILE), readme(model.card).encode())
    storage.write_whole(storage.join(model.url, CARD_FILE), model.card.to_json().encode())
