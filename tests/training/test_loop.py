"""The training loop: the epoch it keeps, its end, and its resume."""

import io
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.models import backbones
from pipeline.training import loop
from pipeline.training.config import Hyperparameters
from pipeline.training.data_loader import Share
from pipeline.training.learner import State
from pipeline.training.loop import BestEpoch, TrainingState, TrainingTask
from pipeline.training.progress import EpochResult

SMALL = "test_efficientnet.r160_in1k"
"""The smallest network of timm: 0.4 million parameters."""

CONFIG = Hyperparameters(epochs=2, head_epochs=1, batch_size=8, learning_rate=1e-3, augment="plain")


class Recorder:
    """Records steps and states."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, int]] = []
        self.states: list[State] = []

    def on_step(self, epoch: int, done: int, total: int) -> None:
        """Record a step."""
        self.steps.append((epoch, done, total))

    def on_epoch(self, history: list[EpochResult], state: State) -> None:
        """Record a copy of the state, as a checkpoint is one."""
        assert asdict(history[-1]) == state["history"][-1]
        self.states.append(copy_state(state))


def copy_state(state: Any) -> Any:  # noqa: ANN401 - a tree of anything
    """Copy a state through the bytes of a checkpoint."""
    stored = io.BytesIO()
    torch.save(state, stored)
    stored.seek(0)
    return torch.load(stored, weights_only=True)


def tiles(folder: Path, count: int) -> LabelledTiles:
    """Write bright tiles labelled cracked and dark ones labelled sound."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 2 == 0
    for number, cracked in enumerate(labels):
        pixels = random.integers(0, 100, (32, 32, 3)) + 120 * cracked
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:03d}.png")
    urls = tuple(f"file://{folder}/{number:03d}.png" for number in range(count))
    return LabelledTiles(urls, labels, urls, ("tiles",) * count, (None,) * count)


@pytest.fixture
def task(tmp_path: Path) -> TrainingTask:
    """A small task."""
    listed = tiles(tmp_path, 28)
    torch.manual_seed(0)
    backbone = replace(backbones.load(SMALL, "none"), tile_px=32)
    return TrainingTask(backbone, listed.subset(range(18)), listed.subset(range(18, 28)), CONFIG)


def train(task: TrainingTask, resume: State | None = None) -> tuple[TrainingState, Recorder]:
    """Train in this process, from the same random weights every time."""
    torch.manual_seed(0)
    fresh = replace(task, backbone=replace(task.backbone, network=backbones.load(SMALL, "none").network))
    recorder = Recorder()
    return loop.run(fresh, Share(), torch.device("cpu"), resume, recorder), recorder


def test_a_run_does_every_step_of_every_epoch(task: TrainingTask) -> None:
    """18 tiles are two full batches, 10 validation tiles two more: an epoch has four steps, in order."""
    state, recorder = train(task)
    assert recorder.steps == [(epoch, step, 4) for epoch in range(3) for step in range(1, 5)]
    assert [result.phase for result in state.history] == ["head", "all", "all"]
    assert {result.tiles for result in state.history} == {16}


def test_the_same_seed_repeats_exactly(task: TrainingTask) -> None:
    """Two runs give the same weights to the last bit; another seed gives others."""
    first, again = train(task)[0].best, train(task)[0].best
    other = train(replace(task, hyperparameters=replace(CONFIG, seed=1)))[0].best
    assert first is not None
    assert again is not None
    assert other is not None
    assert all(torch.equal(first.weights[name], again.weights[name]) for name in first.weights)
    assert not torch.equal(first.weights["classifier.weight"], other.weights["classifier.weight"])


def test_an_interrupted_run_ends_like_one_that_was_not(task: TrainingTask) -> None:
    """A resume from the state of any epoch gives the same weights, logits and losses."""
    straight, recorder = train(task)
    for state in recorder.states:
        resumed, _ = train(task, copy_state(state))
        assert [result.loss for result in resumed.history] == [result.loss for result in straight.history]
        assert resumed.best is not None
        assert straight.best is not None
        assert torch.equal(resumed.best.logits, straight.best.logits)
        assert all(
            torch.equal(resumed.best.weights[name], straight.best.weights[name]) for name in resumed.best.weights
        )


def is_over(best_epoch: int, epochs: int, config: Hyperparameters) -> bool:
    """Tell whether a run is over whose best epoch is `best_epoch` and which has done `epochs`."""
    row = EpochResult(0, "all", 0.0, 1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    best = BestEpoch(best_epoch, {}, torch.zeros(1), (0.0, 0.0))
    return TrainingState([row] * epochs, best).is_over(config)


def test_a_checkpoint_has_the_keys_of_earlier_versions(task: TrainingTask) -> None:
    """A training that an earlier version began can continue."""
    _, recorder = train(task)
    state = recorder.states[-1]
    assert state.keys() == {"network", "average", "optimizer", "step", "history", "best"}
    assert state["best"].keys() == {"epoch", "weights", "logits", "rank"}
    assert state["history"][0].keys() == {field.name for field in fields(EpochResult)}


def test_a_run_ends_when_nothing_gets_better() -> None:
    """It ends after its last epoch, or after `patience` epochs of the second phase without a better one."""
    config = Hyperparameters(epochs=10, head_epochs=2, patience=3)
    assert not TrainingState().is_over(config)
    assert not is_over(best_epoch=0, epochs=5, config=config)
    assert is_over(best_epoch=0, epochs=6, config=config)
    assert not is_over(best_epoch=4, epochs=7, config=config)
    assert is_over(best_epoch=4, epochs=8, config=config)
    assert is_over(best_epoch=11, epochs=12, config=config)
