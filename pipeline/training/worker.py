"""What runs in each of Ray Train's workers, and how it tells the process that started it how far it is.

The training itself is `course`'s; `fit` starts the workers.
"""

import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
from ray.train import Checkpoint

from pipeline.training import loop
from pipeline.training.data_loader import Share
from pipeline.training.learner import State
from pipeline.training.loop import TrainingState
from pipeline.training.progress import EpochResult

CHECKPOINT_FILE = "state.pt"

STEP_MESSAGE_S = 0.5
"""A worker tells how far it is this often at most."""


class _Reporter:
    """Tells the board and Ray Train how a worker's run goes; Ray keeps the first worker's state as the checkpoint."""

    def __init__(self, board: Any, rank: int) -> None:  # noqa: ANN401 - Ray's actor handle has no type
        self._board = board
        self._rank = rank
        self._told_s = 0.0

    def on_step(self, epoch: int, done: int, total: int) -> None:
        if self._rank == 0 and time.monotonic() - self._told_s > STEP_MESSAGE_S:
            self._told_s = time.monotonic()
            self._board.write_step.remote(epoch, done, total)

    def on_epoch(self, epochs: list[EpochResult], state: State) -> None:
        metrics = asdict(epochs[-1])
        if self._rank != 0:
            ray.train.report(metrics)
            return
        with tempfile.TemporaryDirectory() as folder:
            torch.save(state, Path(folder) / CHECKPOINT_FILE)
            ray.train.report(metrics, checkpoint=Checkpoint.from_directory(folder))
        ray.get(self._board.write_history.remote(epochs))


def work(job: dict[str, Any]) -> TrainingState:
    """Train in one of Ray Train's workers."""
    context = ray.train.get_context()
    share = Share(context.get_world_rank(), context.get_world_size())
    device = ray.train.torch.get_device()
    if device.type == "cpu":
        torch.set_num_threads(1)  # a worker has one core; spinning threads of two workers stop each other
    state = _checkpointed()
    if state is not None and share.rank == 0:
        ray.get(job["board"].write_history.remote(TrainingState.restored(state).history))
    return loop.run(job["task"], share, device, state, _Reporter(job["board"], share.rank))


def _checkpointed() -> State | None:
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        state: State = torch.load(Path(folder) / CHECKPOINT_FILE, map_location="cpu", weights_only=True)
    return state
