"""What is written about a trained model: its card, and a README for people.

Knows results and settings; weights and files are `model`'s.
"""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version

import numpy as np

from pipeline import __version__
from pipeline.calibration import Sample, fit_temperature, scores_of
from pipeline.card import Card, DataSource, Value
from pipeline.course import Best, Task
from pipeline.errors import UsageError
from pipeline.labelled import LabelledTiles
from pipeline.metrics import MEASURES, measure
from pipeline.recipe import TrainConfig
from pipeline.trials import place_name
from pipeline.unseen import OVERALL, PREFIX, Expectation, FieldUse

THRESHOLD = 0.5
"""Even odds: a photo's worst tile is looked at by people anyway, who sort by the score."""

LIMITS = (
    "These figures say how well it does on concrete, cracks and cameras like those of its data, and nothing about "
    "others. Thinner or wider cracks, other surfaces and other distances need `crackscan evaluate` on labelled tiles "
    "of your own before its scores are trusted. It does not measure cracks and does not replace an inspection."
)

LEFT_OUT = (
    "Networks were trained by the same recipe on all sources but one and tested on that one, each in turn. The "
    "calibration error after, recall and false alarms are those of a calibration and a threshold fitted to the other "
    "sources alone."
)

EVEN_ODDS = (
    "A score is the probability of a crack at even odds: as many cracked tiles as sound ones. Where a share b of the "
    "tiles is cracked, a score s stands for the probability s b / (s b + (1 - s) (1 - b))."
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
    epochs_done: int
    use: FieldUse | None = None
    """On which trials its scores were calibrated; None where on the validation tiles."""


def make_card(
    task: Task,
    best: Best,
    domain_threshold: float,
    provenance: Provenance,
    expectation: Expectation | None = None,
) -> Card:
    """Describe a model; the weights' SHA-256 is left to who writes them.

    Args:
        task: what was learnt.
        best: the epoch that is kept.
        domain_threshold: of the domain score.
        provenance: where it comes from.
        expectation: what trials have shown; None calibrates on the validation tiles and takes even odds as threshold.
    """
    sample = Sample(best.logits.numpy(), task.validation.labels)
    if expectation is None:
        expectation = Expectation(fit_temperature(*sample), THRESHOLD, {})
    scores = scores_of(sample, expectation.calibration)
    return Card(
        architecture=task.backbone.name,
        tile_px=task.backbone.tile_px,
        overlap=0.0,
        mean=task.backbone.mean,
        std=task.backbone.std,
        threshold=expectation.threshold,
        calibration=expectation.calibration,
        domain_threshold=domain_threshold,
        metrics=asdict(measure(sample.labels, scores, expectation.threshold)) | dict(expectation.metrics),
        data=provenance.data,
        training=_settings(task, provenance) | {"best_epoch": best.epoch, "epochs_done": provenance.epochs_done},
        software={name: version(name) for name in _SOFTWARE}
        | {"crackscan": __version__, "python": platform.python_version()},
        note=provenance.config.about.note,
        weights_sha256="",
    )


def _settings(task: Task, provenance: Provenance) -> dict[str, Value]:
    return asdict(task.config) | {
        "run": provenance.run,
        "command": command_of(provenance.config, provenance.use),
        "weights_from": task.backbone.weights_from,
        "repeats_dropped": provenance.dropped,
    }


def data_sources(training: LabelledTiles, validation: LabelledTiles, config: TrainConfig) -> tuple[DataSource, ...]:
    """List the data with its licences, in the order of the command.

    Raises:
        UsageError: there are neither one nor as many licences or attributions as data.
    """
    parts = ((training, "training", config.data), (validation, "validation", config.val or config.data))
    named = [(name, role, part) for part, role, given in parts for name in given if name in part.sources]
    licences = _one_each(config.about.licences, len(named), "--licence")
    attributions = _one_each(config.about.attributions, len(named), "--attribution")
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
            *_left_out(card),
            LIMITS,
            "",
            *_quantised(card),
            "`card.json` holds the same and all settings for programs; `model.safetensors` holds the weights.",
            "",
        ]
    )


def _left_out(card: Card) -> list[str]:
    """Tell what trials have shown, where there are any: a table of a row for each left-out source."""
    found = [name.removeprefix(PREFIX).split("/") for name in card.metrics if name.startswith(PREFIX)]
    sources = dict.fromkeys("/".join(parts[:-1]) for parts in found if len(parts) > 1)
    if not sources:
        return []
    names = list(dict.fromkeys(parts[-1] for parts in found if len(parts) > 1))
    rows = [[source, *(_shown(card.metrics.get(f"{PREFIX}{source}/{name}")) for name in names)] for source in sources]
    overall = [f"{name.replace('_', ' ')} {_shown(card.metrics.get(f'{PREFIX}{name}'))}" for name in OVERALL]
    return [
        "## What it reached on sources it was not trained on",
        "",
        LEFT_OUT,
        "",
        f"| left out | {' | '.join(name.replace('_', ' ') for name in names)} |",
        f"|---|{'---|' * len(names)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        f"In the mean: {', '.join(overall)}.",
        "",
        EVEN_ODDS,
        "",
    ]


def _quantised(card: Card) -> list[str]:
    """Tell what the int8 network costs, where there is one."""
    int8 = card.int8
    if int8 is None:
        return []
    return [
        "## In eight-bit integers",
        "",
        "`int8.xml` and `int8.bin` hold the network quantised for CPUs.",
        f"On {int8.tiles:,} held-out tiles its AUC is {_shown(int8.auc)}, in 32-bit floats {_shown(int8.auc_float)};",
        f"crack scores move by {int8.mean_shift:.4f} in the mean and {int8.greatest_shift:.2f} at most.",
        "",
    ]


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


def command_of(config: TrainConfig, use: FieldUse | None = None) -> str:
    """Return the command that trains this model again, without places on the machine."""
    words = ["crackscan train", *map(place_name, config.data), *(f"--val {place_name(place)}" for place in config.val)]
    given: dict[str, object] = {"backbone": config.backbone, "weights": config.weights and place_name(config.weights)}
    given |= {name: getattr(config.training, name) for name in _REPEATED}
    given |= {"val_fraction": None if config.val else config.val_fraction}
    if use is not None:
        given |= {"calibrate_on": place_name(use.trials), "false_alarms": use.false_alarm_rate}
        given |= {"base_rate": use.base_rate}
    words += [f"--{name.replace('_', '-')} {value}" for name, value in given.items() if value is not None]
    return " ".join([*words, "--out MODEL_DIR"])


def _source_lines(source: DataSource) -> list[str]:
    rights = {"Licence": source.licence, "Source": source.attribution}
    return [
        f"* {source.role}: {source.name}, {source.tiles:,} tiles, {source.cracked:,} of them cracked",
        *(f"  {word}: {text}" for word, text in rights.items() if text is not None),
    ]


def _shown(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "not defined"
