"""A comparison of backbones and recipes by the leave-one-source-out protocol, put together with Ray Train.

The trials run side by side, a worker each, as many as there are CPUs or GPUs. Each leaves a file when it is done; the
same command again runs only what is missing. What is compared is `trials`', what came out `comparison`'s.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

from pipeline import storage
from pipeline.cluster import session
from pipeline.core.errors import InterruptedRunError, UsageError
from pipeline.core.interrupt import Interrupt, iterate_in_thread
from pipeline.evaluation import metrics, trial_comparison
from pipeline.evaluation.calibration import Sample, scores_of
from pipeline.evaluation.trial_comparison import Comparison
from pipeline.evaluation.trial_results import RESULTS, TrialResult, read_result
from pipeline.labels.downscaled import downscale_half
from pipeline.labels.labelled_tiles import LabelledTiles, compute_descriptors, read_labelled_tiles
from pipeline.labels.split import TrainValSplit
from pipeline.models import throughput
from pipeline.models.backbones import Backbone
from pipeline.models.card import Calibration
from pipeline.training import ray_trainer
from pipeline.training.loop import TrainingTask
from pipeline.training.ray_trainer import RayTraining, TrainingJob
from pipeline.training.trials import LeaveOneSourceOutConfig, Trial, parts_of, place_name, tile_names, trials_of

FAR = "far"
"""Folder of the tiles that are tested on as seen from afar, in the comparison's."""

Done = TypeVar("Done")


class TrialCallbacks(Protocol):
    """Sees how a comparison goes, in the process that started it."""

    def on_unlabelled(self, rows: int) -> None:
        """So many rows of tables have no label yet, and are left out."""

    def on_plan(self, finished: int, waiting: int) -> None:
        """So many trials were run before, so many are to be run now."""

    def on_fingerprints(self, done: int, total: int) -> None:
        """So many tiles were read to find repeats."""

    def on_start(self, side_by_side: int) -> None:
        """Ray is there; so many trials run at a time."""

    def on_progress(self, done: float) -> None:
        """So many of the waiting trials are done; those that run count by how far they are."""

    def on_trial(self, result: TrialResult) -> None:
        """A trial is done, and its file written."""

    def on_speed(self) -> None:
        """All trials are done; the backbones' speed is being measured."""


@dataclass(frozen=True)
class _Planned:
    """A trial that is to be run."""

    trial: Trial
    run: str
    url: str
    """Of its result."""


def run_trials(config: LeaveOneSourceOutConfig, watcher: TrialCallbacks) -> Comparison:
    """Run the trials that have no result yet, and write down what all of them say.

    Raises:
        UsageError: the data or the settings cannot be used.
        ModelError: the weights to start from cannot be used.
        InterruptedRunError: Ctrl-C or SIGTERM; results and checkpoints are kept.
        CrackscanError: a trial's worker failed again and again.
    """
    tiles = read_labelled_tiles(config.data, config.classes)
    if tiles.unlabelled:
        watcher.on_unlabelled(tiles.unlabelled)
    _check_both_classes(tiles, config)
    out = storage.canonical(config.out)
    planned = [_planned(trial, config, tiles, out) for trial in trials_of(config)]
    results = {each.run: read_result(each.url) for each in planned if storage.exists(each.url)}
    waiting = [each for each in planned if each.run not in results]
    watcher.on_plan(len(results), len(waiting))
    if waiting:
        prepared = _Prepared(config, tiles, waiting, watcher)
        with session.ray_session(config.cluster):
            results |= {result.run: result for result in _run(waiting, prepared, watcher)}
    watcher.on_speed()
    found = trial_comparison.summarise(
        out, [results[each.run] for each in planned], throughput.tiles_per_s(config.backbones)
    )
    trial_comparison.write_comparison(found)
    return found


def _check_both_classes(tiles: LabelledTiles, config: LeaveOneSourceOutConfig) -> None:
    """Find out before the work whether every source can be tested on.

    Raises:
        UsageError: a source has one class only, or no tiles that are not another's as well.
    """
    for source in config.data:
        own = [bool(label) for label, of in zip(tiles.labels, tiles.sources, strict=True) if of == source]
        if not 0 < sum(own) < len(own):
            raise UsageError(
                f"{source} cannot be left out and tested on: of its {len(own)} tiles that no other DATA holds, "
                f"{sum(own)} are cracked. Both classes are needed."
            )


def _planned(trial: Trial, config: LeaveOneSourceOutConfig, tiles: LabelledTiles, out: str) -> _Planned:
    is_test = [source == trial.left_out for source in tiles.sources]
    training = tiles.subset([not test for test in is_test])
    run = ray_trainer.run_id(trial.config(config), training, tiles.subset(is_test))
    return _Planned(trial, run, storage.join(out, RESULTS, trial.file_name(run)))


class _Prepared:
    """What trials have in common, made once: networks to start from, and parts without repeats."""

    def __init__(
        self, config: LeaveOneSourceOutConfig, tiles: LabelledTiles, waiting: list[_Planned], watcher: TrialCallbacks
    ) -> None:
        self._config = config
        self._watcher = watcher
        trials = [each.trial for each in waiting]
        self.backbones: dict[tuple[str, int], Backbone] = {
            (trial.backbone, trial.training.seed): ray_trainer.starting_point(trial.config(config)) for trial in trials
        }
        prints = compute_descriptors(tiles, watcher.on_fingerprints)
        self.parts: dict[str, TrainValSplit] = {}
        for source in dict.fromkeys(trial.left_out for trial in trials):
            parts = parts_of(tiles, prints, source)
            folder = storage.join(storage.canonical(config.out), FAR, place_name(source))
            self.parts[source] = replace(parts, validation=downscale_half(parts.validation, folder))

    def job(self, planned: _Planned) -> TrainingJob:
        """Return what Ray Train is to do for a trial."""
        trial, parts = planned.trial, self.parts[planned.trial.left_out]
        config = trial.config(self._config)
        backbone = self.backbones[trial.backbone, trial.training.seed]
        _, scaling = ray_trainer.scaling_config(config, ray_trainer.resources())
        task = TrainingTask(backbone, parts.training, parts.validation, trial.training)
        return TrainingJob(planned.run, task, config.checkpoints, scaling)


def _run(waiting: list[_Planned], prepared: _Prepared, watcher: TrialCallbacks) -> Iterator[TrialResult]:
    """Run trials side by side and yield their results, telling the watcher how it goes.

    Raises:
        UsageError: a machine of the cluster does not reach the tiles or the checkpoints.
        InterruptedRunError: Ctrl-C or SIGTERM.
        CrackscanError: a trial's worker failed again and again.
    """
    first = prepared.job(waiting[0])
    halves = (half for parts in prepared.parts.values() for half in (parts.training, parts.validation))
    ray_trainer.check_reached(halves, first.checkpoints)
    at_once = ray_trainer.parallel_trials(first.scaling, ray_trainer.resources())
    watcher.on_start(min(at_once, len(waiting)))
    running: dict[str, RayTraining] = {}
    jobs: deque[Callable[[], TrialResult]] = deque(
        partial(_finished, planned, prepared, running) for planned in waiting
    )
    done = 0
    try:
        with Interrupt() as interrupt, iterate_in_thread(side_by_side(jobs, at_once), end_s=0) as results:
            for result in results:
                if result is not None:
                    done += 1
                    watcher.on_trial(result)
                    yield result
                watcher.on_progress(done + sum(fitting.share_done() for fitting in list(running.values())))
                if interrupt.asked:
                    raise InterruptedRunError(
                        f"Interrupted after {done} of {len(waiting)} trials; run the same command again to go on."
                    )
    finally:
        jobs.clear()  # Ray goes; what has not begun must not begin


def _finished(planned: _Planned, prepared: _Prepared, running: dict[str, RayTraining]) -> TrialResult:
    """Run one trial to its end, and leave its file."""
    job = prepared.job(planned)
    running[planned.run] = fitting = RayTraining(job)
    course = next(fitting.courses())
    trial, parts = planned.trial, prepared.parts[planned.trial.left_out]
    sample = Sample(ray_trainer.best_of(course, job).logits.numpy(), parts.validation.labels)
    result = TrialResult(
        run=planned.run,
        backbone=trial.backbone,
        augment=trial.training.augment,
        seed=trial.training.seed,
        left_out=place_name(trial.left_out),
        training=asdict(trial.training),
        training_tiles=len(parts.training),
        repeats_dropped=parts.dropped,
        seconds=sum(epoch.seconds for epoch in course.history),
        tiles=tile_names(parts.validation),
        sample=sample,
    )
    measured = metrics.measure(sample.labels, scores_of(sample, Calibration()))
    storage.write_whole(planned.url, result.to_json(asdict(measured)).encode())
    ray_trainer.remove_checkpoints(job.checkpoints, job.run)
    del running[planned.run]
    return result


def side_by_side(jobs: deque[Callable[[], Done]], at_once: int) -> Iterator[Done]:
    """Do jobs in threads and yield what they return, in the order in which they end.

    The threads take jobs from the left until there are none. They are daemons: a job that is given up does not keep the
    process from ending.

    Raises:
        BaseException: what a job raises is raised here; the others go on.
    """
    ended: queue.SimpleQueue[Done | BaseException] = queue.SimpleQueue()

    def work() -> None:
        while True:
            try:
                job = jobs.popleft()
            except IndexError:
                return
            try:
                ended.put(job())
            except BaseException as error:  # noqa: BLE001 - handed over whole to the consumer
                ended.put(error)

    total = len(jobs)
    for _ in range(at_once):
        threading.Thread(target=work, daemon=True, name="trial").start()
    for _ in range(total):
        result = ended.get()
        if isinstance(result, BaseException):
            raise result
        yield result
