"""A training run from labelled tiles to a model folder, put together with Ray Train.

The one page on which `labelled`, `split`, `backbones`, `course` and `model` meet; what each does is written there.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol

import pyarrow.fs
import ray
import ray.train
import torch
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from pipeline import backbones, cluster, history, labelled, model, network, storage, write_up
from pipeline.backbones import Backbone
from pipeline.card import Card
from pipeline.course import Course, EpochResult, Task
from pipeline.errors import CrackscanError, InterruptedRunError, UsageError
from pipeline.fit_worker import Board, work
from pipeline.interrupt import Interrupt, pumped
from pipeline.labelled import LabelledTiles
from pipeline.recipe import TrainConfig
from pipeline.split import HeldOut, SplitRule, held_out

FEWEST_TILES = 4
"""To a worker and step, where the number of workers is left to us: fewer cost more in messages than they save."""


class Watcher(Protocol):
    """Sees how a run goes, in the process that started it."""

    def on_comparison(self, done: int, total: int) -> None:
        """So many tiles were read to find repeats."""

    def on_split(self, parts: HeldOut) -> None:
        """It is settled what to train and to validate on."""

    def on_start(self, backbone: Backbone, workers: int) -> None:
        """Ray is there; its workers are being started."""

    def on_step(self, epoch: int, done: int, total: int) -> None:
        """A part of an epoch's steps is done."""

    def on_epoch(self, result: EpochResult) -> None:
        """An epoch is done, now or before the run was taken up again."""


@dataclass(frozen=True)
class FitResult:
    """A finished run."""

    folder: str
    """URL of the model folder."""
    card: Card
    already_there: bool
    """Whether the same run had been finished before."""


def train(config: TrainConfig, watcher: Watcher) -> FitResult:
    """Fine-tune a network and write its folder, or go on where the same run was stopped.

    Raises:
        UsageError: the data, the settings or the folder cannot be used.
        ModelError: the weights to start from cannot be used.
        InterruptedRunError: Ctrl-C or SIGTERM; the last epoch's checkpoint is kept.
        CrackscanError: the workers failed again and again.
    """
    folder = storage.canonical(config.out)
    tiles = labelled.read(config.data, config.classes)
    validation = labelled.read(config.val, config.classes) if config.val else None
    run = run_id(config, tiles, validation)
    finished = _finished(folder, run)
    if finished is not None:
        return FitResult(folder, finished, already_there=True)
    with torch.random.fork_rng():
        torch.manual_seed(config.training.seed)  # for what has no pre-trained weights
        backbone = backbones.load(config.backbone, config.weights)
    parts = _parts(config, tiles, validation, watcher)
    watcher.on_split(parts)
    data = write_up.data_sources(parts.training, parts.validation, config.about)
    task = Task(backbone, parts.training, parts.validation, config.training)
    with cluster.session(config.cluster):
        done = _fit(task, config, run, watcher)
    if done.best is None:
        raise CrackscanError(f"Run {run} ended without an epoch; remove {config.checkpoints} and start it again.")
    card = write_up.make_card(task, done.best, len(done.history), write_up.Provenance(config, data, run, parts.dropped))
    written = model.save_model(folder, network.encoded(done.best.weights), card, write_up.readme)
    _forget(config.checkpoints, run)
    return FitResult(folder, written, already_there=False)


def run_id(config: TrainConfig, tiles: LabelledTiles, validation: LabelledTiles | None) -> str:
    """Name a run by its data and settings: the same for any number of workers."""
    settings = [config.backbone, config.weights, config.val_fraction, asdict(config.training)]
    listed = [
        list(zip(part.urls, part.labels.tolist(), strict=True)) for part in (tiles, validation) if part is not None
    ]
    return "train-" + hashlib.sha256(json.dumps([settings, listed]).encode()).hexdigest()[:12]


def _finished(folder: str, run: str) -> Card | None:
    """Return the card where this run is done already.

    Raises:
        UsageError: the folder holds another model.
    """
    if not storage.exists(storage.join(folder, model.CARD_FILE)):
        return None
    found = model.load_card(folder)
    if found.training.get("run") != run:
        raise UsageError(
            f"{folder} holds the model of another run ({found.training.get('run')}, model {found.model_id}); this "
            f"command is run {run}. Choose another --out, or remove that folder."
        )
    return found


def _parts(config: TrainConfig, tiles: LabelledTiles, validation: LabelledTiles | None, watcher: Watcher) -> HeldOut:
    look = partial(labelled.fingerprints, on_progress=watcher.on_comparison)
    return held_out(tiles, validation, SplitRule(config.val_fraction, config.training.seed), look)


def _fit(task: Task, config: TrainConfig, run: str, watcher: Watcher) -> Course:
    """Train on Ray, telling the watcher how it goes.

    Raises:
        InterruptedRunError: Ctrl-C or SIGTERM.
        CrackscanError: the workers failed again and again.
    """
    workers, scaling = scaling_config(config, ray.cluster_resources())  # type: ignore[no-untyped-call]
    watcher.on_start(task.backbone, workers)
    board: Any = ray.remote(num_cpus=0)(Board).remote()
    trainer = TorchTrainer(
        work,  # type: ignore[arg-type]  # Train V2 takes what it returns
        train_loop_config={"task": task, "board": board},
        scaling_config=scaling,
        run_config=RunConfig(  # type: ignore[call-arg]  # of Train V2
            name=run,
            storage_path=storage.path_of(config.checkpoints),
            storage_filesystem=_arrow_filesystem(config.checkpoints),
            failure_config=FailureConfig(max_failures=2),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
            worker_runtime_env={"env_vars": cluster.KEPT_MEMORY},
        ),
    )
    shown = _Shown(storage.canonical(config.out), watcher)
    with Interrupt() as interrupt:
        for result in pumped(_fitted(trainer)):
            shown.update(*ray.get(board.read.remote()))
            if result is not None:
                done: Course = result.return_value  # type: ignore[attr-defined]  # Train V2 has it
                return done
            if interrupt.asked:
                break
    raise InterruptedRunError("Interrupted after the last full epoch; run the same command again to go on.")


def _fitted(trainer: TorchTrainer) -> Iterator[ray.train.Result]:
    try:
        yield trainer.fit()
    except ray.train.TrainingFailedError as error:
        raise CrackscanError(
            f"Training failed three times: {_cause(error)}. Run the same command again to go on from the last epoch."
        ) from error


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
    return workers, ScalingConfig(num_workers=workers, use_gpu=use_gpu, resources_per_worker=resources_per_worker)


class _Shown:
    """Shows the watcher what is new on the board, and keeps the history beside the model."""

    def __init__(self, folder: str, watcher: Watcher) -> None:
        self._folder = folder
        self._watcher = watcher
        self._epochs = 0

    def update(self, step: tuple[int, int, int] | None, epochs: list[EpochResult]) -> None:
        if len(epochs) > self._epochs:
            history.write(self._folder, epochs)
            for result in epochs[self._epochs :]:
                self._watcher.on_epoch(result)
            self._epochs = len(epochs)
        if step is not None and step[0] >= self._epochs:
            self._watcher.on_step(*step)


def _arrow_filesystem(url: str) -> pyarrow.fs.FileSystem:
    return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(storage.filesystem_of(url)))


def _cause(error: ray.train.TrainingFailedError) -> str:
    """Return the last line of what the first failed worker said: its error without the traceback."""
    failures = getattr(error, "worker_failures", {})
    return str(next(iter(failures.values()), error)).strip().splitlines()[-1]


def _forget(checkpoints: str, run: str) -> None:
    """Remove the checkpoints of a finished run, and their folder where nothing else is in it."""
    of_run = storage.join(checkpoints, run)
    if storage.exists(of_run):
        storage.filesystem_of(of_run).rm(storage.path_of(of_run), recursive=True)
    if checkpoints.startswith(storage.LOCAL):
        with contextlib.suppress(OSError):  # not empty, or not there
            storage.local_path(checkpoints).rmdir()
