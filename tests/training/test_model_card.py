"""The card of a model: the makers of the data, the command to train it again, and nothing about the machine."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.core.errors import UsageError
from pipeline.evaluation.operating_point import OperatingPoint, OperatingTarget
from pipeline.labels.label_tables import ClassNames
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.models.backbones import Backbone
from pipeline.models.card import About, Calibration, Card, PhotoCalibration
from pipeline.training import model_card
from pipeline.training.config import QUICK, TrainConfig
from pipeline.training.loop import BestEpoch, TrainingTask
from pipeline.training.model_card import Provenance
from pipeline.training.model_readme import render_readme

CONFIG = TrainConfig(
    data=("/secret/home/tiles/train/",),
    out="/secret/home/model",
    val=("../tiles/val",),
    hyperparameters=QUICK,
    about=About(("CC BY 4.0",), ("Somebody 2026",), "Interim."),
)


def tiles(source: str, cracked: int, sound: int) -> LabelledTiles:
    """Return tiles that exist in name only."""
    count = cracked + sound
    urls = tuple(f"file:///secret/{source}/{number}.jpg" for number in range(count))
    return LabelledTiles(urls, np.arange(count) < cracked, urls, (source,) * count, (None,) * count)


EXPECTATION = OperatingPoint(
    Calibration(2.0),
    0.9,
    PhotoCalibration(1.5, -0.5, -0.75),
    {
        "left_out/data/uav/auc": 0.95,
        "left_out/data/uav/recall": 0.75,
        "left_out/deck/auc": 0.85,
        "left_out/deck/recall": 0.25,
        "left_out/recall": 0.5,
        "left_out/false_alarm_rate": 0.012,
        "left_out/base_rate": 0.03,
        "left_out/precision_at_base_rate": 0.5625,
    },
)


def card(point: OperatingPoint | None = None) -> Card:
    """Return the card of a model that is right about five of six validation tiles."""
    training, validation = tiles(CONFIG.data[0], 3, 5), tiles(CONFIG.val[0], 2, 4)
    backbone = Backbone("small", torch.nn.Identity(), 160, (0.5,) * 3, (0.25,) * 3, "random")
    logits = torch.tensor([3.0, 2.0, -2.0, -3.0, -3.0, 1.0])
    data = model_card.list_data_sources(training, validation, CONFIG)
    target = None if point is None else OperatingTarget("/secret/home/runs/compare", 0.02, 0.03)
    provenance = Provenance(CONFIG, data, "train-1", 7, 3, target)
    task = TrainingTask(backbone, training, validation, QUICK)
    return model_card.make_card(task, BestEpoch(1, {}, logits, (1.0, -0.1)), 1.5, provenance, point)


def test_the_card_holds_figures_and_settings() -> None:
    """Metrics are of the validation tiles, settings of the run, tile size and normalisation of the backbone."""
    written = card()
    assert written.metrics["accuracy"] == pytest.approx(5 / 6)
    assert (written.metrics["auc"], written.metrics["n"]) == (1.0, 6)
    assert (written.architecture, written.tile_px, written.mean) == ("small", 160, (0.5,) * 3)
    assert (written.training["best_epoch"], written.domain_threshold) == (1, 1.5)
    assert written.training["epochs"] == QUICK.epochs
    assert written.training["repeats_dropped"] == 7
    assert [(source.name, source.role, source.tiles, source.cracked) for source in written.data] == [
        ("tiles/train", "training", 8, 3),
        ("tiles/val", "validation", 6, 2),
    ]
    assert {source.licence for source in written.data} == {"CC BY 4.0"}


def test_trials_set_calibration_and_threshold() -> None:
    """Calibration and threshold come from the trials, and the validation tiles are measured with them."""
    written = card(EXPECTATION)
    assert (written.calibration, written.threshold) == (Calibration(2.0), 0.9)
    assert written.photo == EXPECTATION.photo
    assert card().photo is None
    assert (written.metrics["threshold"], written.metrics["recall"]) == (0.9, 0.0)
    assert written.metrics["left_out/deck/auc"] == 0.85
    assert "--calibrate-on runs/compare --false-alarms 0.02 --base-rate 0.03" in str(written.training["command"])
    assert card().threshold == model_card.THRESHOLD


def test_nothing_is_said_about_the_machine() -> None:
    """Neither card nor README holds more of a path than its last two names."""
    text = "".join(each.to_json() + render_readme(each) for each in (card(), card(EXPECTATION)))
    assert "secret" not in text
    assert ".." not in text


def test_the_command_has_the_names_of_classes() -> None:
    """Names other than the usual ones are options of the command, each of them, in quotes where a shell needs them."""
    assert "--positive" not in model_card.render_command(CONFIG)
    classes = ClassNames(positive=("CD", "cracked deck"), negative="UD")
    command = model_card.render_command(replace(CONFIG, classes=classes))
    assert "--positive CD --positive 'cracked deck' --negative UD" in command


def test_the_command_says_how_tiles_were_held_out() -> None:
    """The command has `--val-fraction` only without `--val`."""
    assert "--val-fraction" not in model_card.render_command(CONFIG)
    assert "--val-fraction 0.3" in model_card.render_command(replace(CONFIG, val=(), val_fraction=0.3))


def test_clutter_is_named_after_the_data() -> None:
    """In the card, with rights of its own, and in the command."""
    training = replace(tiles("a", 1, 3), sources=("a", "a", "plants", "plants"))
    rights = About(licences=("MIT", "CC0", "BY"))
    config = TrainConfig(data=("a",), clutter=("plants",), val=("b",), out="model", about=rights)
    found = model_card.list_data_sources(training, tiles("b", 1, 1), config)
    assert [(source.name, source.role, source.tiles, source.licence) for source in found] == [
        ("a", "training", 2, "MIT"),
        ("plants", "clutter", 2, "CC0"),
        ("b", "validation", 2, "BY"),
    ]
    assert "crackscan train a --clutter plants --val b" in model_card.render_command(config)


def test_rights_are_for_all_data_or_for_each() -> None:
    """One licence is for all data, or each DATA has its own, in the order of the command; other numbers are refused."""
    training = tiles("b", 1, 1)
    training = replace(training.subset([0, 1, 0, 1]), sources=("a", "a", "z", "z"))  # listed sorted, as `read` does
    config = TrainConfig(data=("z", "a"), val=("b",), out="model", about=About(licences=("MIT", "CC0", "BY")))
    each = model_card.list_data_sources(training, tiles("b", 1, 1), config)
    assert [(source.name, source.licence) for source in each] == [("z", "MIT"), ("a", "CC0"), ("b", "BY")]
    assert [source.attribution for source in each] == [None] * 3
    wrong = replace(config, about=About(attributions=("x", "y")))
    with pytest.raises(UsageError, match=r"^--attribution was given 2 times; expected once for all data, or 3 times"):
        model_card.list_data_sources(training, tiles("b", 1, 1), wrong)
