"""What is written about a trained model: its card, and a README for people.

Knows results and settings; weights and files are `model`'s.
"""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version

import numpy as np

from pipeline import __version__
from pipeline.calibration import fit_temperature
from pipeline.card import About, Card, DataSource, Value
from pipeline.course import Best, Task
from pipeline.errors import UsageError
from pipeline.labelled import LabelledTiles
from pipeline.metrics import MEASURES, measure
from pipeline.recipe import TrainConfig

THRESHOLD = 0.5
"""Even odds: a photo's worst tile is looked at by people anyway, who sort by the score."""

LIMITS = (
    "These figures say how well it does on concrete, cracks and cameras like those of its data, and nothing about "
    "others. Thinner or wider cracks, other surfaces and other distances need `crackscan evaluate` on labelled tiles "
    "of your own before its scores are trusted. It does not measure cracks and does not replace an inspection."
)

_REPEATED = ("epochs", "head_epochs", "epoch_tiles", "batch_size", "learning_rate", "augment", "seed")
"""Training settings that have an option of their own."""

_SOFTWARE = ("ray", "safetensors", "timm", "torch", "torchvision")


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from."""

    config: TrainConfig
    data: tuple[DataSource, ...]
    run: str
    """Identifies data and settings: the same command has the same."""
    dropped: int
    """Training tiles left out because they repeat validation tiles."""


def make_card(task: Task, best: Best, epochs_done: int, provenance: Provenance) -> Card:
    """Describe the best epoch's model; the weights' SHA-256 is left to who writes them."""
    logits, labels = best.logits.numpy(), task.validation.labels
    calibration = fit_temperature(logits, labels)
    scores = 1 / (1 + np.exp(-logits / calibration.temperature))
    return Card(
        architecture=task.backbone.name,
        tile_px=task.backbone.tile_px,
        overlap=0.0,
        mean=task.backbone.mean,
        std=task.backbone.std,
        threshold=THRESHOLD,
        calibration=calibration,
        domain_threshold=None,
        metrics=asdict(measure(labels, scores, THRESHOLD)),
        data=provenance.data,
        training=_settings(task, provenance) | {"best_epoch": best.epoch, "epochs_done": epochs_done},
        software={name: version(name) for name in _SOFTWARE}
        | {"crackscan": __version__, "python": platform.python_version()},
        note=provenance.config.about.note,
        weights_sha256="",
    )


def _settings(task: Task, provenance: Provenance) -> dict[str, Value]:
    return asdict(task.config) | {
        "run": provenance.run,
        "command": command_of(provenance.config),
        "weights_from": task.backbone.weights_from,
        "repeats_dropped": provenance.dropped,
    }


def data_sources(training: LabelledTiles, validation: LabelledTiles, about: About) -> tuple[DataSource, ...]:
    """List the data with its licences.

    Raises:
        UsageError: there are neither one nor as many licences or attributions as data.
    """
    parts = [(part, role) for part, role in ((training, "training"), (validation, "validation"))]
    named = [(name, role, part) for part, role in parts for name in dict.fromkeys(part.sources)]
    licences = _one_each(about.licences, len(named), "--licence")
    attributions = _one_each(about.attributions, len(named), "--attribution")
    return tuple(
        _data_source(name, role, part, (licence, attribution))
        for (name, role, part), licence, attribution in zip(named, licences, attributions, strict=True)
    )


def readme(card: Card) -> str:
    """Tell people what the model is, in Markdown."""
    note = [f"> {card.note}", ""] if card.note else []
    rows = [f"| {name.replace('_', ' ')} | {_shown(card.metrics.get(name))} |" for name in MEASURES]
    sources = [line for source in card.data for line in _source_lines(source)]
    return "\n".join(
        [
            f"# Crack classifier {card.model_id}",
            "",
            *note,
            _purpose(card),
            "",
            "## How it was made",
            "",
            "```",
            str(card.training["command"]),
            "```",
            "",
            *sources,
            "",
            "## What it reached on the validation tiles",
            "",
            "| measure | value |",
            "|---|---|",
            *rows,
            "",
            LIMITS,
            "",
            "`card.json` holds the same and all settings for programs; `model.safetensors` holds the weights.",
            "",
        ]
    )


def _purpose(card: Card) -> str:
    return (
        f"Tells cracked concrete from sound concrete, tile by tile: {card.architecture}, {card.tile_px} x "
        f"{card.tile_px} pixels, started from {card.training['weights_from']}. A score is the probability of a "
        f"crack; from {card.threshold} on a tile counts as cracked."
    )


def _one_each(given: Sequence[str], count: int, option: str) -> list[str | None]:
    if len(given) not in {0, 1, count}:
        raise UsageError(
            f"{option} was given {len(given)} times; expected once for all data, or {count} times: for each of the "
            "training and then the validation data."
        )
    return list(given) if len(given) == count else [given[0] if given else None] * count


def _data_source(name: str, role: str, part: LabelledTiles, rights: tuple[str | None, str | None]) -> DataSource:
    own = np.array([source == name for source in part.sources])
    licence, attribution = rights
    return DataSource(
        name=place_name(name),
        role=role,
        tiles=int(own.sum()),
        cracked=int(part.labels[own].sum()),
        licence=licence,
        attribution=attribution,
    )


def command_of(config: TrainConfig) -> str:
    """Return the command that trains this model again, without places on the machine."""
    words = ["crackscan train", *map(place_name, config.data), *(f"--val {place_name(place)}" for place in config.val)]
    given: dict[str, object] = {"backbone": config.backbone, "weights": config.weights and place_name(config.weights)}
    given |= {name: getattr(config.training, name) for name in _REPEATED}
    given |= {"val_fraction": None if config.val else config.val_fraction}
    words += [f"--{name.replace('_', '-')} {value}" for name, value in given.items() if value is not None]
    return " ".join([*words, "--out MODEL_DIR"])


def place_name(place: str) -> str:
    """Name a folder or table by its last two parts: enough to know it by, nothing about the machine."""
    parts = [part for part in place.rstrip("/").split("/") if part not in {"", ".", ".."}]
    return "/".join(parts[-2:])


def _source_lines(source: DataSource) -> list[str]:
    rights = {"Licence": source.licence, "Source": source.attribution}
    return [
        f"* {source.role}: {source.name}, {source.tiles:,} tiles, {source.cracked:,} of them cracked",
        *(f"  {word}: {text}" for word, text in rights.items() if text is not None),
    ]


def _shown(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "not defined"
