"""What is written about a model: who made the data, how to train it again, and nothing about the machine."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline import write_up
from pipeline.backbones import Backbone
from pipeline.card import About, Card
from pipeline.course import Best, Task
from pipeline.errors import UsageError
from pipeline.labelled import LabelledTiles
from pipeline.recipe import QUICK, TrainConfig
from pipeline.write_up import Provenance

CONFIG = TrainConfig(
    data=("/secret/home/tiles/train/",),
    out="/secret/home/model",
    val=("../tiles/val",),
    training=QUICK,
    about=About(("CC BY 4.0",), ("Somebody 2026",), "Interim."),
)


def tiles(source: str, cracked: int, sound: int) -> LabelledTiles:
    """Return tiles that exist in name only."""
    count = cracked + sound
    urls = tuple(f"file:///secret/{source}/{number}.jpg" for number in range(count))
    return LabelledTiles(urls, np.arange(count) < cracked, urls, (source,) * count)


def card() -> Card:
    """Describe a model that tells five of six validation tiles right."""
    training, validation = tiles(CONFIG.data[0], 3, 5), tiles(CONFIG.val[0], 2, 4)
    backbone = Backbone("small", torch.nn.Identity(), 160, (0.5,) * 3, (0.25,) * 3, "random")
    logits = torch.tensor([3.0, 2.0, -2.0, -3.0, -3.0, 1.0])
    data = write_up.data_sources(training, validation, CONFIG.about)
    best = Best(1, {}, logits, (1.0, -0.1))
    return write_up.make_card(
        Task(backbone, training, validation, QUICK), best, 3, Provenance(CONFIG, data, "train-1", 7)
    )


def test_the_card_holds_what_was_reached_and_how() -> None:
    """Metrics are the validation tiles', settings the run's, the tile and normalisation the backbone's."""
    written = card()
    assert written.metrics["accuracy"] == pytest.approx(5 / 6)
    assert (written.metrics["auc"], written.metrics["n"]) == (1.0, 6)
    assert (written.architecture, written.tile_px, written.mean) == ("small", 160, (0.5,) * 3)
    assert written.training["best_epoch"] == 1
    assert written.training["epochs"] == QUICK.epochs
    assert written.training["repeats_dropped"] == 7
    assert [(source.name, source.role, source.tiles, source.cracked) for source in written.data] == [
        ("tiles/train", "training", 8, 3),
        ("tiles/val", "validation", 6, 2),
    ]
    assert {source.licence for source in written.data} == {"CC BY 4.0"}


def test_nothing_is_said_about_the_machine() -> None:
    """Neither card nor README holds a path beyond the last two names."""
    text = card().to_json() + write_up.readme(card())
    assert "secret" not in text
    assert ".." not in text


def test_the_readme_says_what_people_need() -> None:
    """Note, command, data with its rights, figures and limits are there, a paragraph each."""
    text = write_up.readme(card())
    for words in ("> Interim.", "Licence: CC BY 4.0", "Source: Somebody 2026", "| auc | 1.0000 |", write_up.LIMITS):
        assert words in text
    assert "crackscan train tiles/train --val tiles/val --backbone" in text
    assert f"--epochs {QUICK.epochs} --head-epochs {QUICK.head_epochs} --epoch-tiles {QUICK.epoch_tiles}" in text


def test_the_command_says_how_tiles_were_held_out() -> None:
    """Without validation data of its own, the fraction is part of the command; with it, it is not."""
    assert "--val-fraction" not in write_up.command_of(CONFIG)
    assert "--val-fraction 0.3" in write_up.command_of(replace(CONFIG, val=(), val_fraction=0.3))


def test_rights_are_for_all_data_or_for_each() -> None:
    """One licence goes for all, two go to training and validation in order, three are too many."""
    parts = tiles("a", 1, 1), tiles("b", 1, 1)
    each = write_up.data_sources(*parts, About(licences=("MIT", "CC0")))
    assert [source.licence for source in each] == ["MIT", "CC0"]
    assert [source.attribution for source in each] == [None, None]
    with pytest.raises(UsageError, match=r"^--attribution was given 3 times; expected once for all data, or 2 times"):
        write_up.data_sources(*parts, About(attributions=("x", "y", "z")))


@pytest.mark.parametrize(
    ("place", "name"),
    [("s3://bucket/a/b/", "a/b"), ("tiles.csv", "tiles.csv"), ("/x/y/tiles.csv", "y/tiles.csv"), ("./a", "a")],
)
def test_a_place_is_named_by_its_last_parts(place: str, name: str) -> None:
    """Two names are enough to know a folder by."""
    assert write_up.place_name(place) == name
