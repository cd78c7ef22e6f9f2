"""The progress of a training run: the result of an epoch, the callbacks of `train`, and the actor between them.

The actor is a process of its own and loads no torch, which would take seconds from the workers.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from pipeline.labels.labelled_tiles import LabelledTiles
    from pipeline.labels.split import TrainValSplit
    from pipeline.models.backbones import Backbone


Phase = Literal["head", "all"]
"""Which layers are trained: the last one, or all."""


@dataclass(frozen=True)
class EpochResult:
    """One row of the history."""

    epoch: int
    """0, 1, …"""
    phase: Phase
    learning_rate: float
    """At the end of the epoch."""
    tiles: int
    """Number of training tiles."""
    loss: float
    """Mean over the augmented training tiles, with label smoothing and class weights."""
    validation_loss: float
    average_precision: float
    auc: float
    seconds: float
    """Includes validation."""
    tiles_per_s: float
    """Training tiles per second, without the time of validation."""


class TrainCallbacks:
    """Receives the progress of `train` in the process that called it; by default, each method does nothing.

    `adaptation` calls those that have to do with tiles.
    """

    def on_unlabelled(self, rows: int) -> None:
        """Receive the number of table rows that have no label yet and are left out."""

    def on_unused(self, tiles: "LabelledTiles") -> None:
        """Receive tiles beside which there are pictures that no class name takes, or that cannot be decoded."""

    def on_descriptors(self, done: int, total: int) -> None:
        """Receive the number of tiles read to find repeats."""

    def on_split(self, parts: "TrainValSplit") -> None:
        """Receive the tiles for training and those for validation."""

    def on_start(self, backbone: "Backbone", workers: int) -> None:
        """Receive the backbone and the number of workers that Ray now starts."""

    def on_step(self, epoch: int, done: int, total: int) -> None:
        """Receive the number of steps done in an epoch, training and validation."""

    def on_epoch(self, result: EpochResult) -> None:
        """Receive the result of an epoch; a continued run repeats those before the interruption first."""

    def on_views(self, done: int, total: int) -> None:
        """Receive the number of tiles that an old model has seen, to adapt its last layer, and their total."""

    def on_domain(self, done: int, total: int) -> None:
        """Receive the number of pictures seen to fit the domain, once training is done."""

    def on_quantising(self, done: int, total: int) -> None:
        """Receive the number of pictures seen to quantise the written model."""

    def on_not_quantised(self, problem: str) -> None:
        """Receive the reason why the model has no int8 network."""

    def on_not_tracked(self, problem: str) -> None:
        """Receive the reason why the MLflow server lacks a part of the finished run."""


class Step(NamedTuple):
    """A step of an epoch, training and validation."""

    epoch: int
    done: int
    total: int


class Progress(NamedTuple):
    """How far a run is."""

    step: Step | None
    """The last step; None before the first."""
    history: list[EpochResult]
    """The epochs that are done."""


class ProgressActor:
    """Carries the progress from the first worker to the process that started the run."""

    def __init__(self) -> None:
        self._progress = Progress(None, [])

    def write_step(self, epoch: int, done: int, total: int) -> None:
        """Replace the last step."""
        self._progress = self._progress._replace(step=Step(epoch, done, total))

    def write_history(self, history: list[EpochResult]) -> None:
        """Replace the epochs that are done."""
        self._progress = self._progress._replace(history=history)

    def read(self) -> Progress:
        """Return the last step and the epochs."""
        return self._progress
