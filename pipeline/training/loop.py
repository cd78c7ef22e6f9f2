"""The course of a fine-tuning run: epoch after epoch, which was best, when to stop, and how to go on after a stop.

What one epoch does to the network is `training`'s; where the states are kept is the caller's.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.models.backbones import Backbone
from pipeline.training import augment
from pipeline.training.augment import CHANGES, Pixels
from pipeline.training.config import Hyperparameters
from pipeline.training.data_loader import Share, TileReader, in_batches
from pipeline.training.learner import Learner, State, Validation, gather_parts, validate
from pipeline.training.progress import EpochResult
from pipeline.training.sampler import Deck, alike, balanced, epoch_order


@dataclass(frozen=True)
class TrainingTask:
    """What is to be learnt, from what."""

    backbone: Backbone
    training: LabelledTiles
    validation: LabelledTiles
    config: Hyperparameters


class LoopCallbacks(Protocol):
    """Hears how a run goes; what it is told is the same in every worker."""

    def on_step(self, epoch: int, done: int, total: int) -> None:
        """A part of an epoch's steps, training and validation, is done."""

    def on_epoch(self, history: list[EpochResult], state: State) -> None:
        """Another epoch is done; with `state` the run can go on from here."""


@dataclass(frozen=True)
class BestEpoch:
    """What is kept of one epoch: the best, or where nothing is chosen, the last."""

    epoch: int
    weights: dict[str, Tensor]
    """The moving average of the weights."""
    logits: Tensor
    """Of the validation tiles, shape (n,)."""
    rank: tuple[float, float]
    """See `Validation.rank`."""


@dataclass
class TrainingState:
    """How far a run has come."""

    history: list[EpochResult] = field(default_factory=list)
    best: BestEpoch | None = None

    def add(self, result: EpochResult, validation: Validation, learner: Learner, patience: int | None) -> None:
        """Take in an epoch, and keep its weights where it is the best, or where the last counts."""
        self.history.append(result)
        if self.best is None or patience is None or validation.rank > self.best.rank:
            logits = torch.from_numpy(validation.logits)
            self.best = BestEpoch(result.epoch, learner.averaged_weights(), logits, validation.rank)

    def is_over(self, config: Hyperparameters) -> bool:
        """Tell whether all epochs are done, or too many of the second phase have brought nothing better."""
        if self.best is None:
            return False
        since_best = len(self.history) - 1 - max(self.best.epoch, config.head_epochs)
        has_stalled = config.patience is not None and since_best >= config.patience
        return len(self.history) >= config.total_epochs or has_stalled

    def state(self) -> State:
        """Return what `restored` reads."""
        return {"history": [asdict(result) for result in self.history], "best": self.best and dict(vars(self.best))}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> "TrainingState":
        """Read what `state` returned."""
        return cls([EpochResult(**row) for row in state["history"]], BestEpoch(**state["best"]))


def run(
    task: TrainingTask, share: Share, device: torch.device, resume: State | None, listener: LoopCallbacks
) -> TrainingState:
    """Fine-tune from the start, or from where a state was taken.

    Every worker of a run calls this with its own share; they meet in torch.distributed.
    """
    torch.use_deterministic_algorithms(mode=True, warn_only=device.type == "cuda")
    # Filling every new tensor costs a third of the speed, and no layer here reads what it has not written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a property set late
    deck = balanced(task.training) if task.config.augment == "field" else alike(task.training)
    learner = Learner(task.backbone, deck, task.config.fitted(len(task.training)), device)
    course = TrainingState()
    if resume is not None:
        learner.restore(resume)
        course = TrainingState.restored(resume)
    epochs = _Epochs(task, deck, share, learner, listener)
    while not course.is_over(task.config):
        course.add(*epochs.run(len(course.history)), learner, task.config.patience)
        listener.on_epoch(course.history, learner.state() | course.state())
    return course


class _Epochs:
    """Runs epochs of one worker: training on its part of every batch, then validation on its part of the tiles."""

    def __init__(self, task: TrainingTask, deck: Deck, share: Share, learner: Learner, listener: LoopCallbacks) -> None:
        self._task = task
        self._deck = deck
        self._config = task.config.fitted(len(task.training))
        self._share = share
        self._learner = learner
        self._listener = listener
        self._training = TileReader(deck.tiles.urls, deck.tiles.boxes)
        self._validation = TileReader(task.validation.urls, task.validation.boxes)
        self._held_out = in_batches(share.take(np.arange(len(task.validation))), self._config.batch_size)

    def run(self, epoch: int) -> tuple[EpochResult, Validation]:
        started_s = time.perf_counter()
        loss = self._train(epoch)
        trained_s = time.perf_counter() - started_s
        validation = self._validate(epoch)
        tiles = self._config.steps * self._config.batch_size
        result = EpochResult(
            epoch=epoch,
            phase=self._config.phase(epoch),
            learning_rate=self._config.learning_rate_at(epoch, 1),
            tiles=tiles,
            loss=loss,
            validation_loss=validation.loss,
            average_precision=validation.average_precision,
            auc=validation.auc,
            seconds=time.perf_counter() - started_s,
            tiles_per_s=tiles / trained_s,
        )
        return result, validation

    def _train(self, epoch: int) -> float:
        """Train one epoch and return the mean loss over all workers' tiles."""
        config = self._config
        order = epoch_order(self._deck.strata, config.steps * config.batch_size, config.seed, epoch)
        plan = [self._share.take(batch) for batch in in_batches(order, config.batch_size)]
        losses: list[float] = []
        for loss in self._learner.train_epoch(epoch, self._training.batches(plan, partial(self._augmented, epoch))):
            losses.append(loss)
            self._tell(epoch, len(losses))
        return sum(gather_parts(sum(losses))) / len(order)

    def _validate(self, epoch: int) -> Validation:
        scored = []
        for part in self._learner.score(self._validation.batches(self._held_out, self._resized)):
            scored.append(part)
            self._tell(epoch, self._config.steps + len(scored))
        return validate(scored, self._task.validation.labels)

    def _tell(self, epoch: int, done: int) -> None:
        self._listener.on_step(epoch, done, self._config.steps + len(self._held_out))

    def _augmented(self, epoch: int, pixels: Pixels, index: int, step: int) -> Pixels:
        tile_px = self._task.backbone.tile_px
        if self._config.augment == "none":
            return augment.for_scoring(pixels, tile_px)
        change = CHANGES[self._config.augment]
        side_px = augment.side_px(tile_px, change, self._config.seed, epoch, step)
        random = augment.generator(self._config.seed, epoch, index)
        cracked = None if index >= self._deck.drawn_from else bool(self._deck.tiles.labels[index])
        return augment.for_training(pixels, side_px, random, change, cracked=cracked)

    def _resized(self, pixels: Pixels, _index: int, _step: int) -> Pixels:
        return augment.for_scoring(pixels, self._task.backbone.tile_px)
