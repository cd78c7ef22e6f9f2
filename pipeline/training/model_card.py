"""Writes the card of a trained model: its figures, its data, and the command that makes it again; finds a finished one.

`models.model` writes the files, `model_readme` the words for people.
"""

import platform
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version

import numpy as np

from pipeline import __version__, storage
from pipeline.core.errors import UsageError
from pipeline.dataset.targets import check_folder
from pipeline.evaluation.calibration import Sample, fit_temperature, scores_of
from pipeline.evaluation.metrics import measure
from pipeline.evaluation.operating_point import OperatingPoint, OperatingTarget
from pipeline.labels.label_tables import ClassNames
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.models import model
from pipeline.models.card import Card, DataSource, Value
from pipeline.models.closer_look import choose_places
from pipeline.models.network import dense_stride_of
from pipeline.training import tracking
from pipeline.training.config import TrainConfig
from pipeline.training.loop import BestEpoch, TrainingTask
from pipeline.training.trials import shorten_place

THRESHOLD = 0.5
"""Even odds; people sort by the score and look at the worst tiles of a photo anyway."""

_COMMAND_OPTIONS = ("epochs", "head_epochs", "epoch_tiles", "batch_size", "learning_rate", "augment", "seed")
"""Hyperparameters that have an option of their own."""

_SOFTWARE = ("ray", "safetensors", "timm", "torch", "torchvision")


@dataclass(frozen=True)
class Provenance:
    """The origin of a model."""

    config: TrainConfig
    data: tuple[DataSource, ...]
    run: str
    """The run id: the same for the same data and settings."""
    dropped: int
    """Training tiles left out because they repeat validation tiles."""
    epochs_done: int
    target: OperatingTarget | None = None
    """The trials that calibrate the scores; None stands for the validation tiles."""


def make_card(
    task: TrainingTask,
    best: BestEpoch,
    domain_threshold: float,
    provenance: Provenance,
    operating_point: OperatingPoint | None = None,
) -> Card:
    """Describe a model; `save_model` adds the SHA-256 of the weights.

    Args:
        task: the finished training.
        best: the epoch to keep.
        domain_threshold: of the domain score.
        provenance: the origin of the model.
        operating_point: fitted to trials; None calibrates on the validation tiles, with even odds as threshold.
    """
    sample = Sample(best.logits.numpy(), task.validation.labels)
    if operating_point is None:
        operating_point = OperatingPoint(fit_temperature(*sample), THRESHOLD, None, {})
    scores = scores_of(sample, operating_point.calibration)
    return Card(
        architecture=task.backbone.name,
        tile_px=task.backbone.tile_px,
        overlap=0.0,
        mean=task.backbone.mean,
        std=task.backbone.std,
        threshold=operating_point.threshold,
        calibration=operating_point.calibration,
        domain_threshold=domain_threshold,
        metrics=asdict(measure(sample.labels, scores, operating_point.threshold)) | dict(operating_point.metrics),
        data=provenance.data,
        training=_settings(task, provenance) | {"best_epoch": best.epoch, "epochs_done": provenance.epochs_done},
        software={name: version(name) for name in _SOFTWARE}
        | {"crackscan": __version__, "python": platform.python_version()},
        note=provenance.config.about.note,
        weights_sha256="",
        dense_stride=(dense_stride := dense_stride_of(task.backbone.network, best.weights)),
        photo=operating_point.photo,
        places=None if dense_stride is None else choose_places(task.backbone.tile_px),
    )


def check_model_folder(folder: str) -> None:
    """Refuse a folder in which files of others would be replaced; that of an interrupted run has a history.

    Raises:
        UsageError: says what is there.
    """
    check_folder(folder)
    names = (model.WEIGHTS_FILE, model.README_FILE, *model.INT8_FILES, tracking.HISTORY_FILE)
    found = [url for url in (storage.join(folder, name) for name in names) if storage.exists(url)]
    is_model = storage.exists(storage.join(folder, model.CARD_FILE))  # `load_finished` looks whose it is
    if found and not is_model and not tracking.has_history(folder):
        raise UsageError(
            f"{found[0]} is there already, without a model card: no training wrote it, or --from was interrupted while "
            "it did. Remove it, or choose another --out."
        )


def load_finished(folder: str, run: str, point: OperatingPoint | None = None) -> Card | None:
    """Return the card of this run if it is finished.

    Raises:
        UsageError: the folder holds the model of another run, or of this one with another calibration.
    """
    if not storage.exists(storage.join(folder, model.CARD_FILE)):
        return None
    card = model.load_card(folder)
    if card.training.get("run") != run:
        raise UsageError(
            f"{folder} holds the model of another run ({card.training.get('run')}, model {card.model_id}); this "
            f"command is run {run}. Choose another --out, or remove that folder."
        )
    if point is not None and (card.calibration, card.threshold) != (point.calibration, point.threshold):
        raise UsageError(
            f"{folder} holds the model of this run, calibrated otherwise (model {card.model_id}). Choose another "
            "--out, or remove that folder."
        )
    return card


def _settings(task: TrainingTask, provenance: Provenance) -> dict[str, Value]:
    return asdict(task.hyperparameters) | {
        "run": provenance.run,
        "command": render_command(provenance.config, provenance.target),
        "weights_from": task.backbone.weights_from,
        "repeats_dropped": provenance.dropped,
    }


def list_data_sources(
    training: LabelledTiles, validation: LabelledTiles, config: TrainConfig
) -> tuple[DataSource, ...]:
    """List the data with its licences, in the order of the command.

    Raises:
        UsageError: the number of licences or attributions is neither one nor that of the data.
    """
    parts = (
        (training, "training", config.data),
        (training, "clutter", config.clutter),
        (validation, "validation", config.val or (*config.data, *config.clutter)),
    )
    named = [(name, role, part) for part, role, given in parts for name in given if name in part.sources]
    licences = _one_for_each(config.about.licences, len(named), "--licence")
    attributions = _one_for_each(config.about.attributions, len(named), "--attribution")
    return tuple(
        _data_source(name, role, part, (licence, attribution))
        for (name, role, part), licence, attribution in zip(named, licences, attributions, strict=True)
    )


def _one_for_each(given: Sequence[str], count: int, option: str) -> list[str | None]:
    if len(given) not in {0, 1, count}:
        raise UsageError(
            f"{option} was given {len(given)} times; expected once for all data, or {count} times: for each of the "
            "training data, the clutter and then the validation data."
        )
    return list(given) if len(given) == count else [given[0] if given else None] * count


def _data_source(name: str, role: str, part: LabelledTiles, rights: tuple[str | None, str | None]) -> DataSource:
    own = np.array([source == name for source in part.sources])
    licence, attribution = rights
    return DataSource(
        name=shorten_place(name),
        role=role,
        tiles=int(own.sum()),
        cracked=int(part.labels[own].sum()),
        licence=licence,
        attribution=attribution,
    )


def name_data(config: TrainConfig) -> list[str]:
    """Return the words of a command that name its data and classes, with short names for places on the machine."""
    words = [
        *map(shorten_place, config.data),
        *(f"--clutter {shorten_place(place)}" for place in config.clutter),
        *(f"--val {shorten_place(place)}" for place in config.val),
    ]
    if config.classes != ClassNames():
        words += [f"--positive {shlex.quote(name)}" for name in config.classes.positives]
        words += [f"--negative {shlex.quote(name)}" for name in config.classes.negatives]
    return words


def render_command(config: TrainConfig, target: OperatingTarget | None = None) -> str:
    """Return the command that trains this model again, with short names for places on the machine."""
    words = ["crackscan train", *name_data(config)]
    given: dict[str, object] = {
        "backbone": config.backbone,
        "weights": config.weights and shorten_place(config.weights),
    }
    given |= {name: getattr(config.hyperparameters, name) for name in _COMMAND_OPTIONS}
    given |= {"val_fraction": None if config.val else config.val_fraction}
    if target is not None:
        given |= {"calibrate_on": shorten_place(target.trials), "false_alarms": target.false_alarm_rate}
        given |= {"base_rate": target.base_rate}
    words += [f"--{name.replace('_', '-')} {value}" for name, value in given.items() if value is not None]
    words += [] if config.hyperparameters.dense else ["--no-dense"]
    return " ".join([*words, "--out MODEL_DIR"])
