"""A training run from labelled tiles to a model folder, put together with Ray Train.

The one page on which `labelled`, `split`, `backbones`, `course` and `model` meet; what each does is written there.
"""

from dataclasses import dataclass
from functools import partial

from pipeline import storage
from pipeline.cluster import session
from pipeline.core.errors import CrackscanError, InterruptedRunError, UsageError
from pipeline.core.interrupt import Interrupt, iterate_in_thread
from pipeline.core.secrets import refuse_credentials
from pipeline.evaluation import operating_point
from pipeline.evaluation.operating_point import OperatingPoint, OperatingTarget
from pipeline.labels.labelled_tiles import LabelledTiles, compute_descriptors, read_labelled_tiles
from pipeline.labels.split import SplitRule, TrainValSplit, split
from pipeline.models import engines, model, network
from pipeline.models.backbones import Backbone
from pipeline.models.card import Card
from pipeline.models.model import Model
from pipeline.training import domain_fit, model_card, model_readme, ray_trainer, tracking  # fmt: skip
from pipeline.training.config import TrainConfig
from pipeline.training.loop import TrainingState, TrainingTask
from pipeline.training.progress import EpochResult
from pipeline.training.ray_trainer import RayTraining, TrainingJob
from pipeline.training.tracking import Tracking


class TrainCallbacks:
    """Sees how a run goes, in the process that started it; this one keeps it to itself."""

    def on_unlabelled(self, rows: int) -> None:
        """So many rows of tables have no label yet, and are left out."""

    def on_comparison(self, done: int, total: int) -> None:
        """So many tiles were read to find repeats."""

    def on_split(self, parts: TrainValSplit) -> None:
        """It is settled what to train and to validate on."""

    def on_start(self, backbone: Backbone, workers: int) -> None:
        """Ray is there; its workers are being started."""

    def on_step(self, epoch: int, done: int, total: int) -> None:
        """A part of an epoch's steps is done."""

    def on_epoch(self, result: EpochResult) -> None:
        """An epoch is done, now or before the run was taken up again."""

    def on_domain(self, done: int, total: int) -> None:
        """Training is done, and so many pictures were looked at to know what is unlike them."""

    def on_quantising(self, done: int, total: int) -> None:
        """The model is written, and so many pictures were looked at to quantise it."""

    def on_not_quantised(self, problem: str) -> None:
        """The model has no int8 network, and why."""

    def on_not_tracked(self, problem: str) -> None:
        """The run is done, the MLflow server lacks something of it, and why."""


@dataclass(frozen=True)
class FitResult:
    """A finished run."""

    folder: str
    """URL of the model folder."""
    card: Card
    already_there: bool
    """Whether the same run had been finished before."""


def train(config: TrainConfig, watcher: TrainCallbacks | None = None, use: OperatingTarget | None = None) -> FitResult:
    """Fine-tune a network and write its folder, or go on where the same run was stopped.

    Args:
        config: the run.
        watcher: is told how it goes.
        use: on which trials scores are calibrated and the threshold is chosen; None takes the validation tiles, and
            even odds.

    Raises:
        UsageError: the data, the settings or the folder cannot be used.
        ModelError: the weights to start from cannot be used.
        InterruptedRunError: Ctrl-C or SIGTERM; the last epoch's checkpoint is kept.
        CrackscanError: the workers failed again and again.
    """
    places = [("--out", config.out), ("--storage", config.storage), ("--weights", config.weights)]
    refuse_credentials([*places, ("--mlflow", config.mlflow)])
    folder, watcher = storage.canonical(config.out), watcher or TrainCallbacks()
    expectation = (
        operating_point.choose_operating_point(use, config.backbone, config.training.augment)
        if use is not None
        else None
    )
    tiles = read_labelled_tiles(config.data, config.classes)
    validation = read_labelled_tiles(config.val, config.classes) if config.val else None
    if unlabelled := tiles.unlabelled + (validation.unlabelled if validation is not None else 0):
        watcher.on_unlabelled(unlabelled)
    run = ray_trainer.run_id(config, tiles, validation)
    finished = _finished(folder, run, expectation)
    if finished is not None:
        return FitResult(folder, finished, already_there=True)
    backbone = ray_trainer.starting_point(config)
    parts = _parts(config, tiles, validation, watcher)
    watcher.on_split(parts)
    data = model_card.data_sources(parts.training, parts.validation, config)
    task = TrainingTask(backbone, parts.training, parts.validation, config.training)
    with tracking.track_run(config.mlflow, run, config.settings) as tracked:
        with session.ray_session(config.cluster):
            workers, scaling = ray_trainer.scaling_config(config, ray_trainer.resources())
            watcher.on_start(backbone, workers)
            job = TrainingJob(run, task, config.checkpoints, scaling)
            ray_trainer.check_reached((parts.training, parts.validation), config.checkpoints)
            done = _fit(job, _Shown(folder, watcher, tracked))
        best = ray_trainer.best_of(done, job)
        learnt = domain_fit.fit_domain(task, best.weights, watcher.on_domain)
        provenance = model_card.Provenance(config, data, run, parts.dropped, len(done.history), use)
        card = model_card.make_card(task, best, learnt.threshold, provenance, expectation)
        weights = network.encode_weights(best.weights | learnt.domain.tensors())
        written = model.save_model(folder, Model(folder, card, weights), model_readme.readme)
        ray_trainer.remove_checkpoints(config.checkpoints, run)
        card = _quantised(written, parts, watcher).card
        tracked.finish(folder, card)
    if tracked.problem is not None:
        watcher.on_not_tracked(tracked.problem)
    return FitResult(folder, card, already_there=False)


def _quantised(written: Model, parts: TrainValSplit, watcher: TrainCallbacks) -> Model:
    """Give a finished model its int8 network; where that is not to be had, it is whole without."""
    problem = engines.probe_openvino().problem
    if problem is None:
        from pipeline.training import quantise

        try:
            int8, cost = quantise.quantise(written, parts, watcher.on_quantising)
        except CrackscanError as error:
            problem = str(error)
        else:
            return model.add_int8(written, int8, cost, model_readme.readme)
    watcher.on_not_quantised(problem)
    return written


def _finished(folder: str, run: str, expectation: OperatingPoint | None) -> Card | None:
    """Return the card where this run is done already.

    Raises:
        UsageError: the folder holds another model, or this one for another use.
    """
    if not storage.exists(storage.join(folder, model.CARD_FILE)):
        return None
    found = model.load_card(folder)
    if found.training.get("run") != run:
        raise UsageError(
            f"{folder} holds the model of another run ({found.training.get('run')}, model {found.model_id}); this "
            f"command is run {run}. Choose another --out, or remove that folder."
        )
    if expectation is not None and (found.calibration, found.threshold) != (
        expectation.calibration,
        expectation.threshold,
    ):
        raise UsageError(
            f"{folder} holds the model of this run, calibrated otherwise (model {found.model_id}). Choose another "
            "--out, or remove that folder."
        )
    return found


def _parts(
    config: TrainConfig, tiles: LabelledTiles, validation: LabelledTiles | None, watcher: TrainCallbacks
) -> TrainValSplit:
    look = partial(compute_descriptors, on_progress=watcher.on_comparison)
    return split(tiles, validation, SplitRule(config.val_fraction, config.training.seed), look)


def _fit(job: TrainingJob, shown: "_Shown") -> TrainingState:
    """Train on Ray, showing how it goes.

    Raises:
        InterruptedRunError: Ctrl-C or SIGTERM.
        CrackscanError: the workers failed again and again.
    """
    fitting = RayTraining(job)
    with Interrupt() as interrupt, iterate_in_thread(fitting.courses(), end_s=0) as courses:
        for course in courses:
            shown.update(*fitting.progress())
            if course is not None:
                return course
            if interrupt.asked:
                break
    raise InterruptedRunError("Interrupted after the last full epoch; run the same command again to go on.")


class _Shown:
    """Shows the watcher what is new on the board, and keeps the history beside the model and on a server."""

    def __init__(self, folder: str, watcher: TrainCallbacks, tracked: Tracking) -> None:
        self._folder = folder
        self._watcher = watcher
        self._tracked = tracked
        self._epochs = 0

    def update(self, step: tuple[int, int, int] | None, epochs: list[EpochResult]) -> None:
        if len(epochs) > self._epochs:
            tracking.write_history(self._folder, epochs)
            self._tracked.note(epochs)
            for result in epochs[self._epochs :]:
                self._watcher.on_epoch(result)
            self._epochs = len(epochs)
        if step is not None and step[0] >= self._epochs:
            self._watcher.on_step(*step)
