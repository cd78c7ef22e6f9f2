"""The training loop: epoch after epoch, with the best weights, an early end, and resume after an interruption.

`learner` trains the network within an epoch; `worker` keeps the states that this loop hands over.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.models.backbones import Backbone
from pipeline.training.config import Hyperparameters
from pipeline.training.data_loader import Share, TileReader, TrainingPictures, prepare_for_scoring, split_into_batches
from pipeline.training.learner import Learner, State, Validation, gather_parts, validate
from pipeline.training.progress import EpochResult
from pipeline.training.sampler import TilePool, build_balanced_pool, build_uniform_pool, order_epoch


@dataclass(frozen=True)
class TrainingTask:
    """A network to train, with its tiles and settings."""

    backbone: Backbone
    training: LabelledTiles
    validation: LabelledTiles
    hyperparameters: Hyperparameters


class LoopCallbacks(Protocol):
    """Receives the progress of the loop, the same in every worker."""

    def on_step(self, epoch: int, done: int, total: int) -> None:
        """Receive the number of steps done in an epoch, training and validation."""

    def on_epoch(self, history: list[EpochResult], state: State) -> None:
        """Receive all epochs so far, and the state from which `run` can continue."""


@dataclass(frozen=True)
class BestEpoch:
    """The epoch whose weights are kept: the best, or without `patience` the last."""

    epoch: int
    weights: dict[str, Tensor]
    """The moving average of the weights."""
    logits: Tensor
    """Of the validation tiles, shape (n,)."""
    rank: tuple[float, float]
    """See `Validation.rank`."""


@dataclass
class TrainingState:
    """The epochs so far and the one to keep."""

    history: list[EpochResult] = field(default_factory=list)
    best: BestEpoch | None = None

    def add(self, result: EpochResult, validation: Validation, learner: Learner, patience: int | None) -> None:
        """Add an epoch, and keep its weights if it is the best or if the last epoch counts."""
        self.history.append(result)
        if self.best is None or patience is None or validation.rank > self.best.rank:
            logits = torch.from_numpy(validation.logits)
            self.best = BestEpoch(result.epoch, learner.averaged_weights(), logits, validation.rank)

    def is_over(self, config: Hyperparameters) -> bool:
        """Tell whether all epochs are done, or `patience` epochs of the second phase brought nothing better."""
        if self.best is None:
            return False
        since_best = len(self.history) - 1 - max(self.best.epoch, config.head_epochs)
        has_stalled = config.patience is not None and since_best >= config.patience
        return len(self.history) >= config.total_epochs or has_stalled

    def state(self) -> State:
        """Return what `restore` reads."""
        return {"history": [asdict(result) for result in self.history], "best": self.best and dict(vars(self.best))}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "TrainingState":
        """Read what `state` returned."""
        return cls([EpochResult(**row) for row in state["history"]], BestEpoch(**state["best"]))


def run(
    task: TrainingTask, share: Share, device: torch.device, resume: State | None, callbacks: LoopCallbacks
) -> TrainingState:
    """Train from the start, or from a state that `callbacks` received.

    Every worker of a run calls this with its own share; they meet in torch.distributed.
    """
    torch.use_deterministic_algorithms(mode=True, warn_only=device.type == "cuda")
    # Filling every new tensor costs a third of the speed, and no layer here reads what it has not written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a property set late
    config = task.hyperparameters
    pool = build_balanced_pool(task.training) if config.augment == "field" else build_uniform_pool(task.training)
    learner = Learner(task.backbone, pool, config.fit_to(len(task.training)), device)
    state = TrainingState()
    if resume is not None:
        learner.restore(resume)
        state = TrainingState.restore(resume)
    epochs = _Epochs(task, pool, share, learner, callbacks)
    while not state.is_over(config):
        state.add(*epochs.run(len(state.history)), learner, config.patience)
        callbacks.on_epoch(state.history, learner.state() | state.state())
    return state


class _Epochs:
    """Runs epochs of one worker: trains on its part of every batch, then validates on its part of the tiles."""

    def __init__(
        self, task: TrainingTask, pool: TilePool, share: Share, learner: Learner, callbacks: LoopCallbacks
    ) -> None:
        self._task = task
        self._pool = pool
        self._config = task.hyperparameters.fit_to(len(task.training))
        self._share = share
        self._learner = learner
        self._callbacks = callbacks
        self._pictures = TrainingPictures(pool, task.backbone.tile_px, self._config.augment, self._config.seed)
        self._validation = TileReader(task.validation.urls, task.validation.boxes)
        own = share.take(np.arange(len(task.validation)))
        self._validation_batches = split_into_batches(own, self._config.batch_size)

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
        order = order_epoch(self._pool.strata, config.steps * config.batch_size, config.seed, epoch)
        plan = [self._share.take(batch) for batch in split_into_batches(order, config.batch_size)]
        losses: list[float] = []
        for loss in self._learner.train_epoch(epoch, self._pictures.batches(plan, epoch)):
            losses.append(loss)
            self._report_step(epoch, len(losses))
        return sum(gather_parts(sum(losses))) / len(order)

    def _validate(self, epoch: int) -> Validation:
        prepare = prepare_for_scoring(self._task.backbone.tile_px)
        scored = []
        for part in self._learner.score(self._validation.batches(self._validation_batches, prepare)):
            scored.append(part)
            self._report_step(epoch, self._config.steps + len(scored))
        return validate(scored, self._task.validation.labels)

    def _report_step(self, epoch: int, done: int) -> None:
        self._callbacks.on_step(epoch, done, self._config.steps + len(self._validation_batches))
