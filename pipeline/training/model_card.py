"""What a trained model's card says: what was reached, on what, and how it can be made again.

Knows results and settings; weights and files are `model`'s, words for people `model_readme`'s.
"""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version

import numpy as np

from pipeline import __version__
from pipeline.core.errors import UsageError
from pipeline.evaluation.calibration import Sample, fit_temperature, scores_of
from pipeline.evaluation.metrics import measure
from pipeline.evaluation.operating_point import OperatingPoint, OperatingTarget
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.models.card import Card, DataSource, Value
from pipeline.training.config import TrainConfig
from pipeline.training.loop import BestEpoch, TrainingTask
from pipeline.training.trials import place_name

THRESHOLD = 0.5
"""Even odds: a photo's worst tile is looked at by people anyway, who sort by the score."""

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
    use: OperatingTarget | None = None
    """On which trials its scores were calibrated; None where on the validation tiles."""


def make_card(
    task: TrainingTask,
    best: BestEpoch,
    domain_threshold: float,
    provenance: Provenance,
    expectation: OperatingPoint | None = None,
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
        expectation = OperatingPoint(fit_temperature(*sample), THRESHOLD, {})
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


def _settings(task: TrainingTask, provenance: Provenance) -> dict[str, Value]:
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


def command_of(config: TrainConfig, use: OperatingTarget | None = None) -> str:
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
