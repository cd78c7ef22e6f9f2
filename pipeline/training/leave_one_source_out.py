"""Runs the trials of a comparison by the leave-one-source-out protocol, with Ray Train.

Trials run side by side with one worker each, as many as there are CPUs or GPUs. Each writes a file when it is done; the
same command again runs only the trials that are missing. `trials` says what each trains and tests on,
`evaluation.trial_comparison` compares the results.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from typing import Protocol, TypeVar

from pipeline import storage
from pipeline.cluster import session
from pipeline.core.counts import count_of
from pipeline.core.errors import InterruptedRunError, UsageError
from pipeline.core.interrupt import POLL_S, Interrupt
from pipeline.dataset.targets import check_folder, has_mark, mark_of
from pipeline.evaluation import metrics, trial_comparison
from pipeline.evaluation.calibration import Sample, scores_of
from pipeline.evaluation.trial_comparison import Comparison
from pipeline.evaluation.trial_results import RESULTS, TrialResult, read_result, read_results
from pipeline.labels.downscaled import downscale_half
from pipeline.labels.labelled_tiles import LabelledTiles, compute_descriptors, read_labelled_tiles
from pipeline.labels.split import TrainValSplit
from pipeline.models import throughput
from pipeline.models.backbones import Backbone
from pipeline.models.card import Calibration
from pipeline.training import ray_trainer
from pipeline.training.loop import TrainingTask
from pipeline.training.ray_trainer import RayTraining, TrainingJob
from pipeline.training.trials import (
    LeaveOneSourceOutConfig,
    Trial,
    list_trials,
    shorten_place,
    shorten_tile_names,
    split_trial,
)

COMMAND = "models-compare"
"""This command in the marks of its files."""

DOWNSCALED_FOLDER = "far"
"""Below the comparison's folder: the test tiles that were made smaller."""

SETTLE_S = 2.0
"""Ray ends this process with code 1 if a thread calls it after it was shut down. Trainings call it in their first and
last moments, and are blocked in it in between."""

Result = TypeVar("Result")


class TrialCallbacks(Protocol):
    """Receives the progress of a comparison, in the process that started it."""

    def on_unlabelled(self, rows: int) -> None:
        """Receive the number of table rows that have no label yet and are left out."""

    def on_unused(self, tiles: LabelledTiles) -> None:
        """Receive tiles beside which there are pictures that no class name takes, or that cannot be decoded."""

    def on_plan(self, finished: int, waiting: int) -> None:
        """Receive the number of trials with a result and the number of those to run."""

    def on_descriptors(self, done: int, total: int) -> None:
        """Receive the number of tiles read to find repeats."""

    def on_start(self, side_by_side: int) -> None:
        """Receive the number of trials that Ray now runs at a time."""

    def on_progress(self, done: float) -> None:
        """Receive the number of trials done in this run; running ones count in part."""

    def on_trial(self, result: TrialResult) -> None:
        """Receive the result of a trial, whose file is written."""

    def on_speed(self) -> None:
        """Hear that all trials are done and the speed of the backbones is measured next."""


@dataclass(frozen=True)
class _Planned:
    """A trial with its run id and the place of its result."""

    trial: Trial
    run: str
    url: str


def run_trials(config: LeaveOneSourceOutConfig, callbacks: TrialCallbacks) -> Comparison:
    """Run the trials that have no result yet, and write the comparison of all of them.

    Raises:
        UsageError: the data or the settings cannot be used.
        ModelError: the weights to start from cannot be used.
        InterruptedRunError: Ctrl-C or SIGTERM; results and checkpoints stay.
        CrackscanError: the worker of a trial failed three times.
    """
    _check_folder(storage.canonical(config.out))
    tiles = read_labelled_tiles(config.data, config.classes, config.clutter)
    if tiles.unlabelled:
        callbacks.on_unlabelled(tiles.unlabelled)
    if tiles.has_unused:
        callbacks.on_unused(tiles)
    _check_both_classes(tiles, config)
    out = storage.canonical(config.out)
    planned = [_plan_trial(trial, config, tiles, out) for trial in list_trials(config)]
    results = {each.run: read_result(each.url) for each in planned if storage.exists(each.url)}
    waiting = [each for each in planned if each.run not in results]
    callbacks.on_plan(len(results), len(waiting))
    if waiting:
        inputs = _TrialInputs(config, tiles, waiting, callbacks)
        with session.ray_session(config.cluster):
            results |= {result.run: result for result in _run_on_ray(waiting, inputs, callbacks)}
    callbacks.on_speed()
    comparison = trial_comparison.summarise(
        out, [results[each.run] for each in planned], throughput.tiles_per_s(config.backbones)
    )
    trial_comparison.write_comparison(comparison)
    return comparison


def _check_folder(out: str) -> None:
    """Refuse a folder in which files of others would be replaced; that of a comparison has trials, or far tiles first.

    Raises:
        UsageError: says what is there.
    """
    check_folder(out)
    trials = storage.join(out, RESULTS)
    if storage.exists(trials) and storage.list_files(trials):
        next(read_results(out), None)  # raises if a file is no result of a trial
        return
    far = storage.join(out, DOWNSCALED_FOLDER)
    found = [url for url in (storage.join(out, name) for name in trial_comparison.FILES) if storage.exists(url)]
    for file in storage.list_files(far) if storage.exists(far) else []:
        if not has_mark(COMMAND, b"tEXtSoftware\0")(file.url, storage.read_bytes(file.url)):
            found.append(file.url)
        break  # all of them are ours, or none
    if found:
        raise UsageError(f"{found[0]} is there already, and no comparison wrote it. Choose another --out.")


def _check_both_classes(tiles: LabelledTiles, config: LeaveOneSourceOutConfig) -> None:
    """Check before the work that every source can be tested on.

    Raises:
        UsageError: a source has one class only, or no tiles that are not another's as well.
    """
    for source in config.data:
        own = [bool(label) for label, of in zip(tiles.labels, tiles.sources, strict=True) if of == source]
        if not 0 < sum(own) < len(own):
            raise UsageError(
                f"{source} cannot be left out and tested on: of its {count_of(len(own), 'tile')} that no other DATA "
                f"holds, {sum(own)} are cracked. Both classes are needed."
            )


def _plan_trial(trial: Trial, config: LeaveOneSourceOutConfig, tiles: LabelledTiles, out: str) -> _Planned:
    is_test = [source == trial.left_out for source in tiles.sources]
    training = tiles.subset([not test for test in is_test])
    run = ray_trainer.compute_run_id(trial.config(config), training, tiles.subset(is_test))
    return _Planned(trial, run, storage.join(out, RESULTS, trial.file_name(run)))


class _TrialInputs:
    """The inputs that trials share, made once: backbones, and splits without repeats."""

    def __init__(
        self, config: LeaveOneSourceOutConfig, tiles: LabelledTiles, waiting: list[_Planned], callbacks: TrialCallbacks
    ) -> None:
        self._config = config
        trials = [each.trial for each in waiting]
        self._backbones: dict[tuple[str, int], Backbone] = {
            (trial.backbone, trial.hyperparameters.seed): ray_trainer.load_backbone(trial.config(config))
            for trial in trials
        }
        descriptors = compute_descriptors(tiles, callbacks.on_descriptors)
        self.parts: dict[str, TrainValSplit] = {}
        for source in dict.fromkeys(trial.left_out for trial in trials):
            parts = split_trial(tiles, descriptors, source)
            folder = storage.join(storage.canonical(config.out), DOWNSCALED_FOLDER, shorten_place(source))
            self.parts[source] = replace(parts, validation=downscale_half(parts.validation, folder, mark_of(COMMAND)))

    def job(self, planned: _Planned) -> TrainingJob:
        """Return a trial as Ray Train needs it."""
        trial, parts = planned.trial, self.parts[planned.trial.left_out]
        config = trial.config(self._config)
        backbone = self._backbones[trial.backbone, trial.hyperparameters.seed]
        _, scaling = ray_trainer.choose_scaling(config, ray_trainer.cluster_resources())
        task = TrainingTask(backbone, parts.training, parts.validation, trial.hyperparameters)
        return TrainingJob(planned.run, task, config.checkpoints, scaling)


def _run_on_ray(waiting: list[_Planned], inputs: _TrialInputs, callbacks: TrialCallbacks) -> Iterator[TrialResult]:
    """Run trials side by side, report the progress, and yield the results.

    Raises:
        UsageError: a machine of the cluster does not reach the tiles or the checkpoints.
        InterruptedRunError: Ctrl-C or SIGTERM.
        CrackscanError: the worker of a trial failed three times.
    """
    first = inputs.job(waiting[0])
    halves = (half for parts in inputs.parts.values() for half in (parts.training, parts.validation))
    ray_trainer.check_reachable(halves, first.checkpoints)
    at_once = ray_trainer.count_parallel_trials(first.scaling, ray_trainer.cluster_resources())
    callbacks.on_start(min(at_once, len(waiting)))
    running: dict[str, RayTraining] = {}
    jobs = [partial(_run_trial, planned, inputs, running) for planned in waiting]
    done = 0
    with Interrupt() as interrupt, closing(run_side_by_side(jobs, at_once)) as results:
        for result in results:
            if result is not None:
                done += 1
                callbacks.on_trial(result)
                yield result
            callbacks.on_progress(done + sum(training.fraction_done() for training in list(running.values())))
            if interrupt.requested:
                raise InterruptedRunError(
                    f"Interrupted after {done} of {count_of(len(waiting), 'trial')}; "
                    "run the same command again to go on."
                )


def _run_trial(planned: _Planned, inputs: _TrialInputs, running: dict[str, RayTraining]) -> TrialResult:
    """Run one trial to its end and write its file."""
    job = inputs.job(planned)
    running[planned.run] = training = RayTraining(job)
    state = next(training.run())
    trial, parts = planned.trial, inputs.parts[planned.trial.left_out]
    sample = Sample(ray_trainer.best_epoch(state, job).logits.numpy(), parts.validation.labels)
    result = TrialResult(
        run=planned.run,
        backbone=trial.backbone,
        augment=trial.hyperparameters.augment,
        seed=trial.hyperparameters.seed,
        left_out=shorten_place(trial.left_out),
        training=asdict(trial.hyperparameters),
        training_tiles=len(parts.training),
        repeats_dropped=parts.dropped,
        seconds=sum(epoch.seconds for epoch in state.history),
        tiles=shorten_tile_names(parts.validation),
        sample=sample,
    )
    measured = metrics.measure(sample.labels, scores_of(sample, Calibration()))
    storage.write_whole(planned.url, result.to_json(asdict(measured)).encode())
    ray_trainer.remove_checkpoints(job.checkpoints, job.run)
    del running[planned.run]
    return result


def run_side_by_side(jobs: Iterable[Callable[[], Result]], at_once: int) -> Generator[Result | None]:
    """Run jobs in threads; yield each result when its job ends, and None whenever none has ended for a moment.

    Raises the error of a job. When the consumer leaves early, no further job starts, and those that run have `SETTLE_S`
    to end.
    """
    waiting = iter(jobs)
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="trial")
    pending = {pool.submit(job) for job in islice(waiting, at_once)}
    try:
        while pending:
            ended, pending = wait(pending, POLL_S, FIRST_COMPLETED)
            for future in ended:
                yield future.result()
            pending |= {pool.submit(job) for job in islice(waiting, len(ended))}
            if not ended:
                yield None
    finally:
        wait(pending, SETTLE_S)
        pool.shutdown(wait=False)
