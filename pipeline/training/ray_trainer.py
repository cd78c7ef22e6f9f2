"""Hosts the training loop with Ray Train: workers, checkpoints, progress, and the name of a run.

`flow` makes a model of one training; `leave_one_source_out` runs many side by side.
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
from pipeline.core.counts import count_of
from pipeline.core.errors import CrackscanError, UsageError
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.models import backbones
from pipeline.models.backbones import Backbone
from pipeline.training.augment import CHANGES
from pipeline.training.config import TrainConfig
from pipeline.training.loop import BestEpoch, TrainingState, TrainingTask
from pipeline.training.progress import Progress, ProgressActor
from pipeline.training.worker import run_worker

MIN_TILES_PER_WORKER = 4
"""Tiles of a step, where crackscan chooses the number of workers: with fewer, messages cost more than they save."""


@dataclass(frozen=True)
class TrainingJob:
    """A training as Ray Train needs it."""

    run: str
    """Its name; a run continues from the last checkpoint of its name."""
    task: TrainingTask
    checkpoints: str
    """URL of the folder that holds a folder of checkpoints for each run."""
    scaling: ScalingConfig


class RayTraining:
    """One training on a Ray that has been started."""

    def __init__(self, job: TrainingJob) -> None:
        self._job = job
        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}  # it must outlive the workers' machines
        self._progress: Any = ray.remote(num_cpus=0, label_selector=here)(ProgressActor).remote()

    def progress(self) -> Progress:
        """Return the last step and the epochs that are done."""
        progress: Progress = ray.get(self._progress.read.remote())
        return progress

    def fraction_done(self) -> float:
        """Return how much of the training is done, from 0 to 1."""
        step, history = self.progress()
        begun = step.done / step.total if step is not None and step.epoch >= len(history) else 0.0
        return (len(history) + begun) / self._job.task.hyperparameters.total_epochs

    def run(self) -> Iterator[TrainingState]:
        """Train to the end, then yield the final state, once; an iterator, for `iterate_in_thread`.

        Raises:
            CrackscanError: the workers failed three times.
        """
        job = self._job
        trainer = TorchTrainer(
            run_worker,  # type: ignore[arg-type]  # Train V2 takes what it returns
            train_loop_config={"task": job.task, "progress": self._progress},
            scaling_config=job.scaling,
            run_config=RunConfig(  # type: ignore[call-arg]  # of Train V2
                name=job.run,
                storage_path=storage.path_of(job.checkpoints),
                storage_filesystem=_arrow_filesystem(job.checkpoints),
                failure_config=FailureConfig(max_failures=2),
                checkpoint_config=CheckpointConfig(num_to_keep=2),
                worker_runtime_env={"env_vars": session.MALLOC_ENV},
            ),
        )
        try:
            yield trainer.fit().return_value  # type: ignore[attr-defined]  # Train V2 has it
        except ray.train.TrainingFailedError as error:
            raise CrackscanError(
                f"Training failed three times: {_cause(error)}. Run the same command again to go on from the last "
                "epoch."
            ) from error


def best_epoch(state: TrainingState, job: TrainingJob) -> BestEpoch:
    """Return the epoch that a finished training keeps.

    Raises:
        CrackscanError: it ran no epoch.
    """
    if state.best is None:
        raise CrackscanError(f"Run {job.run} ended without an epoch; remove {job.checkpoints} and start it again.")
    return state.best


def compute_run_id(config: TrainConfig, tiles: LabelledTiles, validation: LabelledTiles | None) -> str:
    """Name a run by its data, settings and augmentation; the number of workers does not count."""
    change = repr(CHANGES.get(config.hyperparameters.augment))
    settings = [config.backbone, config.weights, config.val_fraction, asdict(config.hyperparameters), change]
    labels = [
        list(zip(part.names, part.labels.tolist(), part.is_clutter.tolist(), strict=True))
        for part in (tiles, validation)
        if part is not None
    ]
    return "train-" + hashlib.sha256(json.dumps([settings, labels]).encode()).hexdigest()[:12]


def load_backbone(config: TrainConfig) -> Backbone:
    """Load the network that a run starts from; the run's seed draws the weights that are not pre-trained.

    Raises:
        UsageError: timm knows no such backbone, or the file of weights is missing.
        ModelError: the weights cannot be used.
    """
    with torch.random.fork_rng():
        torch.manual_seed(config.hyperparameters.seed)
        return backbones.load(config.backbone, config.weights)


def cluster_resources() -> Mapping[str, float]:
    """Return the CPUs and GPUs of the Ray that was started."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return resources


def choose_scaling(config: TrainConfig, resources: Mapping[str, float]) -> tuple[int, ScalingConfig]:
    """Choose the number of workers and their resources; they fit the cluster, and share CPUs if they must.

    Raises:
        UsageError: there is no GPU for `device="cuda"`, or a batch has fewer tiles than there are workers.
    """
    cpus, gpus = resources.get("CPU", 1.0), resources.get("GPU", 0.0)
    use_gpu = config.device == "cuda" or (config.device == "auto" and gpus >= 1)
    if use_gpu and gpus < 1:
        raise UsageError("--device cuda was asked for, and Ray has no GPU. Use --device cpu.")
    batch_size = config.hyperparameters.batch_size
    default = min(int(gpus if use_gpu else cpus), batch_size // MIN_TILES_PER_WORKER)
    workers = config.workers or max(1, default)
    if use_gpu and workers > gpus:
        raise UsageError(
            f"{count_of(workers, 'worker on a GPU was', 'workers on GPUs were')} asked for, and Ray has {gpus:g}. "
            "Give fewer --workers."
        )
    if workers > batch_size:
        raise UsageError(
            f"{count_of(workers, 'worker')} cannot share a batch of "
            f"{count_of(batch_size, 'tile')}; give a larger --batch-size."
        )
    resources_per_worker = {"CPU": min(1.0, cpus / workers)} | ({"GPU": 1.0} if use_gpu else {})
    # A cluster may lose a machine for good; training then continues with fewer workers.
    elastic = workers if workers == 1 or config.cluster.address is None else (1, workers)
    return workers, ScalingConfig(
        num_workers=elastic,  # type: ignore[arg-type]  # Train V2 takes a least and a most
        use_gpu=use_gpu,
        resources_per_worker=resources_per_worker,
    )


def check_reachable(parts: Iterable[LabelledTiles], checkpoints: str) -> None:
    """Check that every machine of the cluster reaches the tiles, their masks and the folder of the checkpoints.

    Raises:
        UsageError: one does not.
    """
    if checkpoints.startswith(storage.LOCAL):
        storage.local_path(checkpoints).mkdir(parents=True, exist_ok=True)
    files = (url for part in parts for url in (*part.urls, *part.mask_of.values()))
    check_shared([checkpoints, *{storage.parent(url) for url in files}])


def count_parallel_trials(scaling: ScalingConfig, resources: Mapping[str, float]) -> int:
    """Return how many trainings of one worker run side by side: one for each GPU in use, else one for each CPU."""
    return max(1, int(resources.get("GPU" if scaling.use_gpu else "CPU", 1.0)))


def remove_checkpoints(checkpoints: str, run: str) -> None:
    """Remove the checkpoints of a finished run, and their folder if nothing else is in it."""
    of_run = storage.join(checkpoints, run)
    if storage.exists(of_run):
        storage.filesystem_of(of_run).rm(storage.path_of(of_run), recursive=True)
    if checkpoints.startswith(storage.LOCAL):
        with contextlib.suppress(OSError):  # not empty, or not there
            storage.local_path(checkpoints).rmdir()


def _arrow_filesystem(url: str) -> pyarrow.fs.FileSystem:
    return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(storage.filesystem_of(url)))


def _cause(error: ray.train.TrainingFailedError) -> str:
    """Return the last line of the first failed worker's message: its error without the traceback."""
    failures = getattr(error, "worker_failures", {})
    return str(next(iter(failures.values()), error)).strip().splitlines()[-1]
