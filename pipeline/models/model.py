"""A model on disk: a folder with `model.safetensors`, `card.json` and a `README.md` for people.

A quantised model also has `int8.xml` and `int8.bin`. This module needs no torch; `network` reads the weights.
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
"""Writes the README of a card."""

SHIPPED_MODEL = storage.LOCAL + str(Path(__file__).resolve().with_name("shipped"))
"""URL of the model that comes with the package."""

SHIPPED = "shipped"
"""Its name wherever a model is named; a folder of that name is `./shipped`."""


class Int8(NamedTuple):
    """The network in eight-bit integers, as OpenVINO stores it."""

    graph: bytes
    constants: bytes

    @property
    def sha256(self) -> str:
        """Of both, hexadecimal."""
        return hashlib.sha256(self.graph + self.constants).hexdigest()


@dataclass(frozen=True)
class Model:
    """A model as its folder holds it."""

    url: str
    card: Card
    weights: bytes
    """The content of `model.safetensors`; the card has its SHA-256."""
    int8: Int8 | None = None
    """None if the model was not quantised; the card has its SHA-256."""

    @property
    def model_id(self) -> str:
        """Changes with everything that moves a score."""
        return self.card.model_id


def find_model(name: str | None) -> str:
    """Return the canonical URL of a model by what the user calls it.

    Args:
        name: path or URL of a model folder, or `shipped`; None for the shipped model, too.
    """
    return SHIPPED_MODEL if name in {None, SHIPPED} else storage.canonical(str(name))


def load_card(folder_url: str) -> Card:
    """Read the card of a model, by its folder or as `find_model` takes it.

    Raises:
        UsageError: there is no model.
        ModelError: the card is damaged, incomplete or too new.
    """
    url = storage.join(find_model(folder_url), CARD_FILE)
    if not storage.exists(url):
        raise UsageError(
            f"No model at {folder_url}; expected a folder with {CARD_FILE}, as `crackscan train` writes it."
        )
    return card.parse(storage.read_bytes(url), url)


def load_model(folder_url: str) -> Model:
    """Read a model, by its folder or as `find_model` takes it, and check its weights against the card.

    Raises:
        UsageError: there is no model.
        ModelError: the card is damaged, incomplete or too new, or the weights are missing or damaged.
    """
    found = load_card(folder_url)
    folder = find_model(folder_url)
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
    return Model(folder, found, data, None if found.int8 is None else _load_int8(folder, found.int8))


def _load_int8(folder: str, expected: Quantised) -> Int8:
    """Read a quantised network and check it against the card."""
    urls = [storage.join(folder, name) for name in INT8_FILES]
    missing = [url for url in urls if not storage.exists(url)]
    found = None if missing else Int8(*map(storage.read_bytes, urls))
    if found is None or found.sha256 != expected.sha256:
        problem = f"no {storage.name(missing[0])}, which" if missing else f"other {' and '.join(INT8_FILES)} than"
        raise ModelError(
            f"{folder} has {problem} the card describes. Copy the whole folder again, or run `crackscan models "
            "quantise`."
        )
    return found


def save_model(folder_url: str, model: Model, readme: Readme) -> Model:
    """Write a model folder, the card last, so that a folder with a card is complete.

    Args:
        folder_url: where to write; replaces an older model there.
        model: what to write; this fills in the card's SHA-256 of the weights.
        readme: writes the README.

    Returns:
        The model as written.
    """
    folder = storage.canonical(folder_url)
    storage.remove(storage.join(folder, CARD_FILE))
    storage.write_whole(storage.join(folder, WEIGHTS_FILE), model.weights)
    sha256 = hashlib.sha256(model.weights).hexdigest()
    written = replace(model, url=folder, card=replace(model.card, weights_sha256=sha256))
    _write_rest(written, readme)
    return written


def add_int8(model: Model, int8: Int8, cost: Quantised, readme: Readme) -> Model:
    """Write a quantised network into the folder of its model, which is a valid model at every moment.

    Args:
        model: as read from its folder.
        int8: the network.
        cost: what the card is to say about it.
        readme: writes the README.

    Returns:
        The model as written.
    """
    plain = replace(model.card, int8=None)
    storage.write_whole(storage.join(model.url, CARD_FILE), plain.to_json().encode())
    written = replace(model, int8=int8, card=replace(model.card, int8=cost))
    _write_rest(written, readme)
    return written


def _write_rest(model: Model, readme: Readme) -> None:
    """Write everything but the weights, the card last."""
    for name, data in zip(INT8_FILES, model.int8 or (None, None), strict=True):
        url = storage.join(model.url, name)
        if data is None:
            storage.remove(url)
        else:
            storage.write_whole(url, data)
    storage.write_whole(storage.join(model.url, README_FILE), readme(model.card).encode())
    storage.write_whole(storage.join(model.url, CARD_FILE), model.card.to_json().encode())
