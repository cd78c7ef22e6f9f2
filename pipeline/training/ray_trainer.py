"""One fine-tuning on Ray Train: its workers, its checkpoints, and how far it is.

What is learnt from what is the task's; `fit` makes a model of it, `protocol` runs many side by side.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow.fs
import ray
import ray.train
import torch
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from pipeline import storage
from pipeline.cluster import session
from pipeline.cluster.shared_disk import check_shared
from pipeline.core.errors import CrackscanError, UsageError
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.models import backbones
from pipeline.models.backbones import Backbone
from pipeline.training.augment import CHANGES
from pipeline.training.config import TrainConfig
from pipeline.training.loop import BestEpoch, TrainingState, TrainingTask
from pipeline.training.progress import EpochResult, ProgressActor
from pipeline.training.worker import work

FEWEST_TILES = 4
"""To a worker and step, where the number of workers is left to us: fewer cost more in messages than they save."""


@dataclass(frozen=True)
class TrainingJob:
    """What Ray Train needs to know of a fine-tuning."""

    run: str
    """Names it; one of the same name goes on from its last checkpoint."""
    task: TrainingTask
    checkpoints: str
    """URL of the folder where checkpoints go, those of a run in a folder of its name."""
    scaling: ScalingConfig


class RayTraining:
    """A fine-tuning, about to run or running; needs a Ray that has been started."""

    def __init__(self, job: TrainingJob) -> None:
        self._job = job
        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}  # it must outlive the workers' machines
        self._board: Any = ray.remote(num_cpus=0, label_selector=here)(ProgressActor).remote()

    def progress(self) -> tuple[tuple[int, int, int] | None, list[EpochResult]]:
        """Return the last step (epoch, steps done, steps in all), None before the first, and the epochs done."""
        noted: tuple[tuple[int, int, int] | None, list[EpochResult]] = ray.get(self._board.read.remote())
        return noted

    def share_done(self) -> float:
        """Return how much of it is done, from 0 to 1."""
        step, epochs = self.progress()
        begun = step[1] / step[2] if step is not None and step[0] >= len(epochs) else 0.0
        return (len(epochs) + begun) / self._job.task.config.total_epochs

    def courses(self) -> Iterator[TrainingState]:
        """Train until it is done, and yield how it went, once; an iterator, for `interrupt.pumped`.

        Raises:
            CrackscanError: the workers failed again and again.
        """
        job = self._job
        trainer = TorchTrainer(
            work,  # type: ignore[arg-type]  # Train V2 takes what it returns
            train_loop_config={"task": job.task, "board": self._board},
            scaling_config=job.scaling,
            run_config=RunConfig(  # type: ignore[call-arg]  # of Train V2
                name=job.run,
                storage_path=storage.path_of(job.checkpoints),
                storage_filesystem=_arrow_filesystem(job.checkpoints),
                failure_config=FailureConfig(max_failures=2),
                checkpoint_config=CheckpointConfig(num_to_keep=2),
                worker_runtime_env={"env_vars": session.KEPT_MEMORY},
            ),
        )
        try:
            yield trainer.fit().return_value  # type: ignore[attr-defined]  # Train V2 has it
        except ray.train.TrainingFailedError as error:
            raise CrackscanError(
                f"Training failed three times: {_cause(error)}. Run the same command again to go on from the last "
                "epoch."
            ) from error


def best_of(course: TrainingState, job: TrainingJob) -> BestEpoch:
    """Return what is kept of a finished course.

    Raises:
        CrackscanError: no epoch was run.
    """
    if course.best is None:
        raise CrackscanError(f"Run {job.run} ended without an epoch; remove {job.checkpoints} and start it again.")
    return course.best


def run_id(config: TrainConfig, tiles: LabelledTiles, validation: LabelledTiles | None) -> str:
    """Name a run by its data, settings and recipe: the same for any number of workers."""
    recipe = repr(CHANGES.get(config.training.augment))
    settings = [config.backbone, config.weights, config.val_fraction, asdict(config.training), recipe]
    listed = [
        list(zip(part.names, part.labels.tolist(), strict=True)) for part in (tiles, validation) if part is not None
    ]
    return "train-" + hashlib.sha256(json.dumps([settings, listed]).encode()).hexdigest()[:12]


def starting_point(config: TrainConfig) -> Backbone:
    """Load the network that a run starts from; what has no pre-trained weights depends on its seed.

    Raises:
        UsageError: timm knows no such backbone, or the weights' file is missing.
        ModelError: the weights cannot be used.
    """
    with torch.random.fork_rng():
        torch.manual_seed(config.training.seed)
        return backbones.load(config.backbone, config.weights)


def resources() -> Mapping[str, float]:
    """Return what the Ray that was started has: CPUs, GPUs."""
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found


def scaling_config(config: TrainConfig, resources: Mapping[str, float]) -> tuple[int, ScalingConfig]:
    """Decide how many workers train, and on what; they fit the cluster, sharing CPUs where they must.

    Raises:
        UsageError: a GPU is asked for and there is none, or a batch is smaller than the number of workers.
    """
    cpus, gpus = resources.get("CPU", 1.0), resources.get("GPU", 0.0)
    use_gpu = config.device == "cuda" or (config.device == "auto" and gpus >= 1)
    if use_gpu and gpus < 1:
        raise UsageError("--device cuda was asked for, and Ray has no GPU. Use --device cpu.")
    batch_size = config.training.batch_size
    usual = min(int(gpus if use_gpu else cpus), batch_size // FEWEST_TILES)
    workers = config.workers or max(1, usual)
    if use_gpu and workers > gpus:
        raise UsageError(f"{workers} workers on GPUs were asked for, and Ray has {gpus:g}. Give fewer --workers.")
    if workers > batch_size:
        raise UsageError(f"{workers} workers cannot share a batch of {batch_size} tiles; give a larger --batch-size.")
    resources_per_worker = {"CPU": min(1.0, cpus / workers)} | ({"GPU": 1.0} if use_gpu else {})
    # On a cluster a machine may be lost for good: then with fewer workers.
    elastic = workers if workers == 1 or config.cluster.address is None else (1, workers)
    return workers, ScalingConfig(
        num_workers=elastic,  # type: ignore[arg-type]  # Train V2 takes a least and a most
        use_gpu=use_gpu,
        resources_per_worker=resources_per_worker,
    )


def check_reached(parts: Iterable[LabelledTiles], checkpoints: str) -> None:
    """Check that every machine of the cluster reaches what a run reads, and the place of its checkpoints.

    Raises:
        UsageError: one does not.
    """
    if checkpoints.startswith(storage.LOCAL):
        storage.local_path(checkpoints).mkdir(parents=True, exist_ok=True)
    check_shared([checkpoints, *{storage.parent(url) for part in parts for url in part.urls}])


def parallel_trials(scaling: ScalingConfig, resources: Mapping[str, float]) -> int:
    """Tell how many fine-tunings of one worker run side by side: one a GPU where they are used, else one a CPU."""
    return max(1, int(resources.get("GPU" if scaling.use_gpu else "CPU", 1.0)))


def remove_checkpoints(checkpoints: str, run: str) -> None:
    """Remove the checkpoints of a finished run, and their folder where nothing else is in it."""
    of_run = storage.join(checkpoints, run)
    if storage.exists(of_run):
        storage.filesystem_of(of_run).rm(storage.path_of(of_run), recursive=True)
    if checkpoints.startswith(storage.LOCAL):
        with contextlib.suppress(OSError):  # not empty, or not there
            storage.local_path(checkpoints).rmdir()


def _arrow_filesystem(url: str) -> pyarrow.fs.FileSystem:
    return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(storage.filesystem_of(url)))


def _cause(error: ray.train.TrainingFailedError) -> str:
    """Return the last line of what the first failed worker said: its error without the traceback."""
    failures = getattr(error, "worker_failures", {})
    return str(next(iter(failures.values()), error)).strip().splitlines()[-1]
