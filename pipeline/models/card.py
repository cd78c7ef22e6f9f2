"""A model card: everything about a model but its weights, as `card.json`.

Knows neither torch nor disk; `model` reads and writes the folder.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeAlias

from pipeline.core.control_characters import dump_json
from pipeline.core.errors import ModelError

FORMAT_VERSION = 2
"""Of `card.json`; `parse` refuses newer ones. A card says 1 unless it has fields that move scores and that programs of
format 1 would overlook: `Places.side_px` and `Places.to_logit`."""

Value: TypeAlias = str | int | float | bool | None
"""A setting or a metric."""


@dataclass(frozen=True)
class Calibration:
    """Turns a logit into a probability: sigmoid(logit / temperature + bias)."""

    temperature: float = 1.0
    bias: float = 0.0


@dataclass(frozen=True)
class PhotoCalibration:
    """Turns what the tiles of a photo say into a probability, see `photo_score`."""

    evidence: float
    """Weight of the log likelihood ratio."""
    background: float
    """Weight of the logit that one tile in ten exceeds, times the logarithm of the number of tiles."""
    bias: float


@dataclass(frozen=True)
class Places:
    """How the places of a dense head count in the score of a tile."""

    weight: float = 1 / 2
    """Of the mean logit of the highest places; the rest is the weight of the network's own logit."""
    from_logit: float = -1.0
    """The network's logit from which on the places count; a tile below is sound, and nobody looks at its places."""
    to_logit: float | None = None
    """The network's logit up to which the places count; a tile there or over it is cracked. None: there is no bound."""
    side_px: int | None = None
    """The least side of the picture in which the places are looked for. None: the tile's own, as before 0.7.0."""


@dataclass(frozen=True)
class DataSource:
    """A set of tiles for the training, the validation or the calibration of a model."""

    name: str
    role: str
    """`training`, `clutter`, `validation` or `calibration`."""
    tiles: int
    cracked: int
    """How many of the tiles show a crack."""
    licence: str | None
    attribution: str | None


@dataclass(frozen=True)
class Quantised:
    """The same network in eight-bit integers, and its loss on held-out tiles."""

    sha256: str
    """Over `int8.xml`, then `int8.bin`; hexadecimal."""
    tiles: int
    """Held-out tiles of the comparison with 32-bit floats."""
    auc: float | None
    """None if the tiles are of one class."""
    auc_float: float | None
    """The same in 32-bit floats."""
    mean_shift: float
    """Mean absolute change of the crack scores."""
    greatest_shift: float
    mean_domain_shift: float | None
    """Mean absolute change of the domain scores; None if the model gives none."""
    nncf: str
    """Version of NNCF, which quantised it."""

    @property
    def auc_loss(self) -> float | None:
        """How much AUC it loses; negative if it gains."""
        return None if self.auc is None or self.auc_float is None else self.auc_float - self.auc


@dataclass(frozen=True)
class About:
    """What only people can say of a model."""

    licences: tuple[str, ...] = ()
    """Of the data: none, one for all, or one for each of the training data and then of the validation data."""
    attributions: tuple[str, ...] = ()
    """The makers of the data and how to cite them; as many as `licences` may be."""
    note: str | None = None
    """What people must know before they trust the model."""


@dataclass(frozen=True)
class Card:
    """What scoring needs to know about a model, and what people should know."""

    architecture: str
    """Timm's name of the model."""
    tile_px: int
    """Side of the square that the network sees, in pixels."""
    overlap: float
    """Part of a tile that the next one shares; the user may choose another."""
    mean: tuple[float, float, float]
    """Per channel, of pixels scaled to [0, 1]."""
    std: tuple[float, float, float]
    threshold: float
    """A tile at or over this score counts as cracked."""
    calibration: Calibration
    domain_threshold: float | None
    """A photo at or over this domain score is unlike the training data; None if the model gives no domain score."""
    metrics: Mapping[str, Value]
    """On the validation tiles."""
    data: tuple[DataSource, ...]
    training: Mapping[str, Value]
    """The settings of the run."""
    software: Mapping[str, str]
    """Versions by package."""
    note: str | None
    """What people must know before they trust the model."""
    weights_sha256: str
    """SHA-256 of `model.safetensors`, hexadecimal."""
    int8: Quantised | None = None
    """None if the model was not quantised."""
    dense_stride: int | None = None
    """Pixels from one place of the dense head to the next; None if the model has none, and knows whole tiles only."""
    places: Places | None = None
    """None if the network alone scores a tile."""
    photo: PhotoCalibration | None = None
    """None if a photo has the score of its worst tile."""

    @property
    def model_id(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of the weights and of all fields that move a score."""
        scoring = {
            "architecture": self.architecture,
            "tile_px": self.tile_px,
            "mean": self.mean,
            "std": self.std,
            "calibration": asdict(self.calibration),
            "weights_sha256": self.weights_sha256,
        } | ({} if self.places is None else {"places": _without_none(self.places)})
        scoring |= {} if self.photo is None else {"photo": asdict(self.photo)}
        return hashlib.sha256(json.dumps(scoring, sort_keys=True).encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """Return the content of `card.json`."""
        version = 1 if self.places is None or _ADDED_PLACES.items() <= asdict(self.places).items() else FORMAT_VERSION
        return dump_json({"format_version": version, **asdict(self)}, indent=2) + "\n"


def _without_none(places: Places) -> dict[str, Value]:
    """Leave out what older cards lack, so that their models keep their ids."""
    return {name: value for name, value in asdict(places).items() if value is not None}


def parse(text: str | bytes, where: str) -> Card:
    """Read a card.

    Args:
        text: the content of `card.json`.
        where: its address, for messages.

    Raises:
        ModelError: the text is no JSON object, a field is missing or has the wrong type, or the format is newer than
            this program's.
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
    values = _check_fields(found, where)
    values["calibration"] = Calibration(**_check_section(values["calibration"], Calibration, where))
    values["data"] = tuple(DataSource(**_check_section(source, DataSource, where)) for source in values["data"])
    if isinstance(values["places"], dict):
        values["places"] = _ADDED_PLACES | values["places"]
    for name, section in (("int8", Quantised), ("places", Places), ("photo", PhotoCalibration)):
        if values[name] is not None:
            values[name] = section(**_check_section(values[name], section, where))
    values["mean"], values["std"] = (_check_triple(values, name, where) for name in ("mean", "std"))
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
    "dense_stride": (int, type(None)),
    "places": (dict, type(None)),
    "photo": (dict, type(None)),
}
"""JSON types of the fields; a test checks that every field is here."""
_ADDED_PLACES: dict[str, Value] = {"side_px": None, "to_logit": None}
"""Fields that `Places` of older cards lack, and their values then."""
_ADDED = {"int8": None, "dense_stride": None, "places": None, "photo": None}
"""Fields that older cards of this format lack, and their values then."""


def _check_fields(found: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields of a card, without those that a later program added within the same format."""
    found = _ADDED | dict(found)
    for name, types in _TYPES.items():
        if name not in found:
            raise ModelError(f"{where} has no field {name}; the card is incomplete.")
        if not isinstance(found[name], types) or (isinstance(found[name], bool)):
            expected = " or ".join("null" if kind is type(None) else kind.__name__ for kind in types)
            raise ModelError(f"{where}: {name} is {found[name]!r}; expected {expected}.")
    return {name: found[name] for name in _TYPES}


_Section = type[Calibration | DataSource | PhotoCalibration | Places | Quantised]


def _check_section(found: object, section: _Section, where: str) -> dict[str, Any]:
    names = {field.name for field in fields(section)}
    if not isinstance(found, dict) or not names <= found.keys():
        raise ModelError(
            f"{where}: {found!r} is no {section.__name__}; expected the fields {', '.join(sorted(names))}."
        )
    return {name: found[name] for name in names}


def _check_triple(values: Mapping[str, Any], name: str, where: str) -> tuple[float, float, float]:
    found = values[name]
    if len(found) != 3 or not all(isinstance(value, _NUMBER) for value in found):
        raise ModelError(f"{where}: {name} is {found!r}; expected three numbers, one a channel.")
    return float(found[0]), float(found[1]), float(found[2])
