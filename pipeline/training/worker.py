"""What each Ray Train worker runs: the loop, resumed from its checkpoint, with reports to Ray and the driver."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
from ray.train import Checkpoint

from pipeline.core.scratch import temporary_folder
from pipeline.training import loop
from pipeline.training.data_loader import Share
from pipeline.training.learner import State
from pipeline.training.loop import TrainingState
from pipeline.training.progress import EpochResult

CHECKPOINT_FILE = "state.pt"

STEP_REPORT_S = 0.5
"""Shortest time between two reports of steps."""


class _RayCallbacks:
    """Reports to Ray Train and the progress actor; only the first worker writes checkpoints and progress."""

    def __init__(self, progress: Any, rank: int) -> None:  # noqa: ANN401 - Ray's actor handle has no type
        self._progress = progress
        self._rank = rank
        self._reported_s = 0.0

    def on_step(self, epoch: int, done: int, total: int) -> None:
        if self._rank == 0 and time.monotonic() - self._reported_s > STEP_REPORT_S:
            self._reported_s = time.monotonic()
            self._progress.write_step.remote(epoch, done, total)

    def on_epoch(self, history: list[EpochResult], state: State) -> None:
        metrics = asdict(history[-1])
        if self._rank != 0:
            ray.train.report(metrics)
            return
        with temporary_folder() as folder:
            checkpoint = folder / "checkpoint"
            checkpoint.mkdir()
            torch.save(state, checkpoint / CHECKPOINT_FILE)
            ray.train.report(metrics, checkpoint=Checkpoint.from_directory(str(checkpoint)))
        ray.get(self._progress.write_history.remote(history))


def run_worker(job: dict[str, Any]) -> TrainingState:
    """Train in one of Ray Train's workers: `job` holds the `task` and the `progress` actor."""
    context = ray.train.get_context()
    share = Share(context.get_world_rank(), context.get_world_size())
    device = ray.train.torch.get_device()
    if device.type == "cpu":
        torch.set_num_threads(1)  # a worker has one core; spinning threads of two workers stop each other
    state = _load_checkpoint()
    if state is not None and share.rank == 0:
        ray.get(job["progress"].write_history.remote(TrainingState.restore(state).history))
    return loop.run(job["task"], share, device, state, _RayCallbacks(job["progress"], share.rank))


def _load_checkpoint() -> State | None:
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        state: State = torch.load(Path(folder) / CHECKPOINT_FILE, map_location="cpu", weights_only=True)
    return state
