"""labelled tiles → split → augment → learner → model.

The training flow on one page. `train` reads and splits the tiles, trains with `ray_trainer`, whose workers run `loop`
(with `augment` and `learner`), fits the domain score, writes the model card and the model, and adds an int8 network.
"""

from dataclasses import dataclass
from functools import partial

from pipeline import storage
from pipeline.cluster import session
from pipeline.core.errors import CrackscanError, InterruptedRunError
from pipeline.core.interrupt import Interrupt, iterate_in_thread
from pipeline.core.secrets import refuse_credentials
from pipeline.evaluation.operating_point import OperatingTarget, choose_operating_point
from pipeline.labels.labelled_tiles import LabelledTiles, compute_descriptors, read_labelled_tiles
from pipeline.labels.split import SplitRule, TrainValSplit, split
from pipeline.models import engines, model, network
from pipeline.models.card import Card
from pipeline.models.engines import OpenVinoProbe
from pipeline.models.model import Model
from pipeline.training import domain_fit, model_card, model_readme, ray_trainer, tracking
from pipeline.training.config import TrainConfig
from pipeline.training.loop import BestEpoch, TrainingState, TrainingTask
from pipeline.training.model_card import Provenance
from pipeline.training.progress import Progress, TrainCallbacks
from pipeline.training.ray_trainer import RayTraining, TrainingJob
from pipeline.training.tracking import Tracking


@dataclass(frozen=True)
class TrainResult:
    """A finished run."""

    folder: str
    """URL of the model folder."""
    card: Card
    already_there: bool
    """Whether an earlier call had finished the same run."""


def train(
    config: TrainConfig, callbacks: TrainCallbacks | None = None, target: OperatingTarget | None = None
) -> TrainResult:
    """Train a network and write its model folder, or continue the same run after an interruption.

    Args:
        config: the run.
        callbacks: receive its progress.
        target: the trials that calibrate the scores and choose the threshold; None takes the validation tiles and even
            odds.

    Raises:
        UsageError: the data, the settings or the folder cannot be used.
        ModelError: the weights to start from cannot be used.
        InterruptedRunError: Ctrl-C or SIGTERM; the checkpoint of the last epoch stays.
        CrackscanError: the workers failed three times.
    """
    places = [("--out", config.out), ("--storage", config.storage), ("--weights", config.weights)]
    refuse_credentials([*places, ("--mlflow", config.mlflow)])
    callbacks, folder = callbacks or TrainCallbacks(), storage.canonical(config.out)
    model_card.check_model_folder(folder)
    augment = config.hyperparameters.augment
    point = None if target is None else choose_operating_point(target, config.backbone, augment)
    tiles, validation = _read_tiles(config, callbacks)
    run = ray_trainer.compute_run_id(config, tiles, validation)
    if (card := model_card.load_finished(folder, run, point)) is not None:
        return TrainResult(folder, card, already_there=True)
    backbone = ray_trainer.load_backbone(config)
    describe = partial(compute_descriptors, on_progress=callbacks.on_descriptors)
    parts = split(tiles, validation, SplitRule(config.val_fraction, config.hyperparameters.seed), describe)
    callbacks.on_split(parts)
    data = model_card.list_data_sources(parts.training, parts.validation, config)
    task = TrainingTask(backbone, parts.training, parts.validation, config.hyperparameters)
    with tracking.track_run(config.mlflow, run, config.settings) as tracker:
        with session.ray_session(config.cluster):
            state, best = _train_on_ray(config, run, task, callbacks, tracker)
        fitted = domain_fit.fit_domain(task, best.weights, callbacks.on_domain)
        provenance = Provenance(config, data, run, parts.dropped, len(state.history), target)
        card = model_card.make_card(task, best, fitted.threshold, provenance, point)
        weights = network.encode_weights(best.weights | fitted.domain.tensors())
        written = model.save_model(folder, Model(folder, card, weights), model_readme.render_readme)
        ray_trainer.remove_checkpoints(config.checkpoints, run)
        card = add_int8_network(written, parts, callbacks, engines.probe_openvino()).card
        tracker.log_model(folder, card)
    if tracker.problem is not None:
        callbacks.on_not_tracked(tracker.problem)
    return TrainResult(folder, card, already_there=False)


def _read_tiles(config: TrainConfig, callbacks: TrainCallbacks) -> tuple[LabelledTiles, LabelledTiles | None]:
    tiles = read_labelled_tiles(config.data, config.classes, config.clutter)
    validation = read_labelled_tiles(config.val, config.classes) if config.val else None
    if unlabelled := tiles.unlabelled + (validation.unlabelled if validation is not None else 0):
        callbacks.on_unlabelled(unlabelled)
    for part in (tiles, validation):
        if part is not None and part.has_unused:
            callbacks.on_unused(part)
    return tiles, validation


def _train_on_ray(
    config: TrainConfig, run: str, task: TrainingTask, callbacks: TrainCallbacks, tracker: Tracking
) -> tuple[TrainingState, BestEpoch]:
    """Train to the end, report the progress meanwhile, and return all epochs and the one to keep.

    Raises:
        UsageError: the cluster cannot run this training.
        InterruptedRunError: Ctrl-C or SIGTERM.
        CrackscanError: the workers failed three times.
    """
    workers, scaling = ray_trainer.choose_scaling(config, ray_trainer.cluster_resources())
    callbacks.on_start(task.backbone, workers)
    ray_trainer.check_reachable((task.training, task.validation), config.checkpoints)
    job = TrainingJob(run, task, config.checkpoints, scaling)
    training, folder, reported = RayTraining(job), storage.canonical(config.out), 0
    with Interrupt() as interrupt, iterate_in_thread(training.run(), end_s=0) as states:
        for state in states:
            progress = training.progress()
            if len(progress.history) > reported:
                tracking.write_history(folder, progress.history)
                tracker.log_epochs(progress.history)
            reported = _report(progress, reported, callbacks)
            if state is not None:
                return state, ray_trainer.best_epoch(state, job)
            if interrupt.requested:
                break
    raise InterruptedRunError("Interrupted after the last full epoch; run the same command again to go on.")


def _report(progress: Progress, reported: int, callbacks: TrainCallbacks) -> int:
    """Report the epochs that are new, then the step; return the number of epochs reported."""
    for result in progress.history[reported:]:
        callbacks.on_epoch(result)
    reported = max(reported, len(progress.history))
    if progress.step is not None and progress.step.epoch >= reported:
        callbacks.on_step(*progress.step)
    return reported


def add_int8_network(written: Model, parts: TrainValSplit, callbacks: TrainCallbacks, openvino: OpenVinoProbe) -> Model:
    """Add an int8 network to a written model; if that is impossible, report why and return the model as it is."""
    problem = openvino.problem
    if problem is None:
        from pipeline.training import quantise  # loads OpenVINO

        try:
            int8, cost = quantise.quantise(written, parts, callbacks.on_quantising)
        except CrackscanError as error:
            problem = str(error)
        else:
            return model.add_int8(written, int8, cost, model_readme.render_readme)
    callbacks.on_not_quantised(problem)
    return written
