"""How far a training run is: the results of its epochs, and the board where its first worker notes them.

The board is a process of its own on Ray, which knows no torch: loading it would take seconds from the workers.
"""

from dataclasses import dataclass
from typing import Literal

Phase = Literal["head", "all"]
"""What is trained: the last layer alone, or everything."""


@dataclass(frozen=True)
class EpochResult:
    """One row of the history."""

    epoch: int
    """0, 1, …"""
    phase: Phase
    learning_rate: float
    """At the end of the epoch."""
    tiles: int
    """Trained on."""
    loss: float
    """Mean over the training tiles, augmented, label smoothing and class weights included."""
    validation_loss: float
    average_precision: float
    auc: float
    seconds: float
    """Validation included."""
    tiles_per_s: float
    """Trained on in a second, validation left out."""


class ProgressActor:
    """Where the first worker notes how far it is, for the process that started the run."""

    def __init__(self) -> None:
        self._step: tuple[int, int, int] | None = None
        self._history: list[EpochResult] = []

    def write_step(self, epoch: int, done: int, total: int) -> None:
        """Note a part of an epoch."""
        self._step = epoch, done, total

    def write_history(self, history: list[EpochResult]) -> None:
        """Note the epochs that are done."""
        self._history = history

    def read(self) -> tuple[tuple[int, int, int] | None, list[EpochResult]]:
        """Return the last step (epoch, steps done, steps in all) and the epochs."""
        return self._step, self._history
