"""A model's card: all there is to know of a model besides its weights, as `card.json` and as words for people.

Knows neither torch nor disk; reading and writing the folder is `model`'s.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeAlias

from pipeline.core.errors import ModelError

FORMAT_VERSION = 1
"""Of `card.json`; a card of a newer one is refused."""

Value: TypeAlias = str | int | float | bool | None
"""What settings and metrics are made of."""


@dataclass(frozen=True)
class Calibration:
    """From a logit to a probability: sigmoid(logit / temperature + bias)."""

    temperature: float = 1.0
    bias: float = 0.0


@dataclass(frozen=True)
class DataSource:
    """A set of tiles that a model was trained or validated on."""

    name: str
    role: str
    """`training` or `validation`."""
    tiles: int
    cracked: int
    """How many of the tiles show a crack."""
    licence: str | None
    attribution: str | None


@dataclass(frozen=True)
class Quantised:
    """The same network in eight-bit integers, and what they cost on held-out tiles."""

    sha256: str
    """Over `int8.xml`, then `int8.bin`; hexadecimal."""
    tiles: int
    """Held-out tiles on which it was compared with 32-bit floats."""
    auc: float | None
    """None where they are of one class."""
    auc_float: float | None
    """The same in 32-bit floats."""
    mean_shift: float
    """How far crack scores move in the mean, either way."""
    greatest_shift: float
    mean_domain_shift: float | None
    """How far domain scores move in the mean, either way; None where the model gives none."""
    nncf: str
    """Version of what made it."""

    @property
    def auc_loss(self) -> float | None:
        """How much AUC it loses; negative where it gains."""
        return None if self.auc is None or self.auc_float is None else self.auc_float - self.auc


@dataclass(frozen=True)
class About:
    """What only people can say of a model."""

    licences: tuple[str, ...] = ()
    """Of the data: none, one for all, or one for each of the training and then the validation data."""
    attributions: tuple[str, ...] = ()
    """Who made the data, and how to cite them; as many as `licences` may be."""
    note: str | None = None
    """What people must know before they trust the model."""


@dataclass(frozen=True)
class Card:
    """What scoring needs to know of a model, and what people should."""

    architecture: str
    """A model name of timm."""
    tile_px: int
    """Side of the square that the network sees, pixels."""
    overlap: float
    """Share of a tile that it has in common with the next, unless the user asks for another."""
    mean: tuple[float, float, float]
    """Per channel, of pixels scaled to [0, 1]."""
    std: tuple[float, float, float]
    threshold: float
    """A tile at or over this score counts as cracked."""
    calibration: Calibration
    domain_threshold: float | None
    """A photo at or over this domain score is unlike the training data; None where the model gives no such score."""
    metrics: Mapping[str, Value]
    """On the validation tiles."""
    data: tuple[DataSource, ...]
    training: Mapping[str, Value]
    """The settings of the run."""
    software: Mapping[str, str]
    """Versions by package."""
    note: str | None
    """What people must know before they trust it."""
    weights_sha256: str
    """SHA-256 of `model.safetensors`, hexadecimal."""
    int8: Quantised | None = None
    """None where the model was not quantised."""

    @property
    def model_id(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 over the weights and everything here that moves a score."""
        scoring = {
            "architecture": self.architecture,
            "tile_px": self.tile_px,
            "mean": self.mean,
            "std": self.std,
            "calibration": asdict(self.calibration),
            "weights_sha256": self.weights_sha256,
        }
        return hashlib.sha256(json.dumps(scoring, sort_keys=True).encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """Write the card as `card.json` holds it."""
        return json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"


def parse(text: str | bytes, where: str) -> Card:
    """Read a card.

    Args:
        text: the content of `card.json`.
        where: its address, for messages.

    Raises:
        ModelError: no JSON object, a field is missing or of the wrong type, or the format is newer than this program.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ModelError(f"{where} is damaged: it is not JSON ({error}).") from error
    version = found.get("format_version") if isinstance(found, dict) else None
    if not isinstance(version, int):
        raise ModelError(f"{where} is no model card; expected a JSON object with format_version.")
    if version > FORMAT_VERSION:
        raise ModelError(
            f"{where} has format {version}; this crackscan reads up to {FORMAT_VERSION}. Upgrade crackscan."
        )
    values = _checked(found, where)
    values["calibration"] = Calibration(**_section(values["calibration"], Calibration, where))
    values["data"] = tuple(DataSource(**_section(source, DataSource, where)) for source in values["data"])
    if values["int8"] is not None:
        values["int8"] = Quantised(**_section(values["int8"], Quantised, where))
    values["mean"], values["std"] = (_triple(values, name, where) for name in ("mean", "std"))
    return Card(**values)


_NUMBER = (int, float)
_TYPES: dict[str, tuple[type, ...]] = {
    "architecture": (str,),
    "tile_px": (int,),
    "overlap": _NUMBER,
    "mean": (list,),
    "std": (list,),
    "threshold": _NUMBER,
    "calibration": (dict,),
    "domain_threshold": (*_NUMBER, type(None)),
    "metrics": (dict,),
    "data": (list,),
    "training": (dict,),
    "software": (dict,),
    "note": (str, type(None)),
    "weights_sha256": (str,),
    "int8": (dict, type(None)),
}
"""JSON types of the fields; a test holds that every field stands here."""
_ADDED = {"int8": None}
"""What older cards of this format lack, and what that means."""


def _checked(found: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Take the fields of a card; what a later program added within the same format is left out."""
    found = _ADDED | dict(found)
    for name, types in _TYPES.items():
        if name not in found:
            raise ModelError(f"{where} has no field {name}; the card is incomplete.")
        if not isinstance(found[name], types) or (isinstance(found[name], bool)):
            expected = " or ".join("null" if kind is type(None) else kind.__name__ for kind in types)
            raise ModelError(f"{where}: {name} is {found[name]!r}; expected {expected}.")
    return {name: found[name] for name in _TYPES}


def _section(found: object, section: type[Calibration | DataSource | Quantised], where: str) -> dict[str, Any]:
    names = {field.name for field in fields(section)}
    if not isinstance(found, dict) or not names <= found.keys():
        raise ModelError(
            f"{where}: {found!r} is no {section.__name__}; expected the fields {', '.join(sorted(names))}."
        )
    return {name: found[name] for name in names}


def _triple(values: Mapping[str, Any], name: str, where: str) -> tuple[float, float, float]:
    found = values[name]
    if len(found) != 3 or not all(isinstance(value, _NUMBER) for value in found):
        raise ModelError(f"{where}: {name} is {found!r}; expected three numbers, one a channel.")
    return float(found[0]), float(found[1]), float(found[2])
