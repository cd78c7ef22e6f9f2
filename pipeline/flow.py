"""The scoring flow: storage → archives → plan → decode → tiles → engine → sink, put together with Ray Data.

Pixels stay on the workers. Scores stream to this process, the only writer, so that a retried task or a lost actor can
never write anything; it holds only what is not committed yet.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import ray
from ray.data import ActorPoolStrategy, DataContext, ExecutionResources

from pipeline import storage
from pipeline.cluster import KEPT_MEMORY, ClusterConfig, session
from pipeline.config import ScoreConfig
from pipeline.dataset import Layout, read_log
from pipeline.engine import Device, TorchEngine
from pipeline.errors import CrackscanError, InterruptedRunError, UsageError
from pipeline.interrupt import Interrupt, pumped
from pipeline.log import get_logger, to_file
from pipeline.model import SHIPPED_MODEL, Model, load_model
from pipeline.plan import image_id, make_plan, photo_files, planned_ids
from pipeline.reading import read_unit, units
from pipeline.runs import new_run
from pipeline.scoring import PhotoScorer, ScoreRule
from pipeline.sink import Sink, check_fingerprint, open_sink
from pipeline.tiles import TileSpec

BLOCK_BYTES = 1 << 20
"""Photos travel to a scorer in blocks of about this size: one large photo, or many small ones."""
WAITING_BYTES = 64 << 20
"""Photos that wait for each scorer, at most: seconds of work, whatever the size of the archive."""
READ_CPUS = 0.25
"""Reading waits for disk and network; it gets a share that leaves room beside the scorers on a single CPU."""
SCORER_CPUS = 0.5
"""A scorer fills a core and is booked at half: scorers that book every CPU starve the readers that feed them."""
GPU_BATCH_PHOTOS = 8
"""Photos in one call of a GPU scorer; Ray Data asks for a number there."""

_log = get_logger("flow")


@dataclass(frozen=True)
class Hosting:
    """How many scorers Ray hosts, and on what."""

    actors: int | None = None
    """None takes one for each GPU, or for each CPU where there is no GPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes the GPUs of the cluster where it has any."""


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    photos: int
    """Photos to score in this run."""
    scored: int = 0
    failed: int = 0
    tiles: int = 0

    def after(self, scored: pa.Table) -> "Progress":
        """Count more photos in; schema `SCORED`."""
        failed = pc.sum(pc.equal(scored["status"], "failed")).as_py() or 0
        tiles = pc.sum(scored["tiles"]).as_py() or 0
        return Progress(self.photos, self.scored + scored.num_rows - failed, self.failed + failed, self.tiles + tiles)


@dataclass(frozen=True)
class ScoreSummary:
    """How a run ended."""

    run: Progress
    """What this run did."""
    listed: int
    """Photos in all inputs."""
    done_before: int
    """Those of them that had their row before this run."""
    failed: int
    """Photos in the dataset that failed, in this run or an earlier one."""
    left: int
    """Photos of the inputs that still have no row; only a `limit` leaves any."""
    skipped: Mapping[str, int]
    """Files of the inputs that are no photos, counted by kind."""


OnProgress = Callable[[Progress], None]


def score(config: ScoreConfig, on_progress: OnProgress) -> ScoreSummary:
    """Score every photo of the inputs that has no row in the dataset yet.

    Raises:
        CrackscanError: of the kinds drawn in `errors`; what was finished is committed.
    """
    model = load_model(config.model or SHIPPED_MODEL)
    card = model.card
    spec = TileSpec(config.tile_px or card.tile_px, card.overlap if config.overlap is None else config.overlap)
    rule = ScoreRule(spec, card.threshold, config.max_pixels, config.batch_tiles)
    layout, run = Layout(storage.canonical(config.out)), new_run(model, rule)
    if storage.exists(layout.run):
        check_fingerprint(layout, run.fingerprint)
    plan = make_plan(config.inputs, layout)
    log = read_log(layout)
    todo, progress = plan.without(log.done), Progress(0)
    if todo.num_rows or plan.news or not storage.exists(layout.summary):
        with to_file(layout.url, run.run_id), Interrupt() as interrupt:
            sink = open_sink(layout, run)
            plan.keep()
            todo = plan.without(sink.log.done)
            chosen = todo.slice(0, config.limit)
            _log.info("begins", inputs=config.inputs, photos=chosen.num_rows, listed=plan.members.num_rows)
            progress = Progress(chosen.num_rows)
            on_progress(progress)
            if chosen.num_rows:
                with session(config.cluster, layout.noise(run.run_id)):
                    scored = scored_photos(chosen, model, rule, Hosting(config.actors, config.device))
                    progress = _write(_until_asked(pumped(scored), interrupt), sink, config, progress, on_progress)
            log = sink.finish(planned_ids(layout))
    listed = plan.members.num_rows
    left = plan.without(log.done).num_rows
    return ScoreSummary(progress, listed, listed - todo.num_rows, log.failed, left, plan.skipped)


def crack_scores(
    urls: Sequence[str], model: str, cluster: ClusterConfig, on_progress: Callable[[int, int], None]
) -> tuple[dict[str, float], dict[str, str]]:
    """Score single photos through the same flow, without a dataset.

    Args:
        urls: canonical URLs of photos.
        model: model folder.
        cluster: which Ray to work on.
        on_progress: is told photos done, and of how many.

    Returns:
        The highest tile score by URL, and why by URL where a photo failed.
    """
    loaded = load_model(model)
    rule = ScoreRule(TileSpec(loaded.card.tile_px, loaded.card.overlap), loaded.card.threshold)
    by_id = {image_id(url, 0): url for url in urls}
    scores: dict[str, float] = {}
    failures: dict[str, str] = {}
    with session(cluster), Interrupt() as interrupt:
        for table in _until_asked(pumped(scored_photos(photo_files(urls), loaded, rule, Hosting())), interrupt):
            rows = [] if table is None else table.select(["image_id", "crack_score", "failure_message"]).to_pylist()
            scores |= {by_id[row["image_id"]]: row["crack_score"] for row in rows if row["failure_message"] is None}
            failures |= {by_id[row["image_id"]]: row["failure_message"] for row in rows if row["failure_message"]}
            on_progress(len(scores) + len(failures), len(urls))
    return scores, failures


def scored_photos(members: pa.Table, model: Model, rule: ScoreRule, hosting: Hosting) -> Iterator[pa.Table]:
    """Score photos with Ray Data, in any order; Ray must be running.

    Shape: schema `MEMBERS` → tables of schema `SCORED`, together as many rows.
    """
    if members.num_rows == 0:
        return
    actors, on_gpu = _placed(hosting)
    context = DataContext.get_current()
    context.target_max_block_size = BLOCK_BYTES
    context.execution_options.resource_limits = ExecutionResources(object_store_memory=actors * WAITING_BYTES)
    weights = ray.put(model)  # by reference: Ray cannot restart actors whose own arguments are large
    scored = (
        ray.data.from_arrow([*units(members)])
        .map_batches(read_unit, batch_size=None, batch_format="pyarrow", num_cpus=READ_CPUS)
        .map_batches(
            PhotoScorer,
            fn_constructor_args=(partial(_engine, weights, "cuda" if on_gpu else "cpu"), rule),
            batch_size=GPU_BATCH_PHOTOS if on_gpu else None,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=actors),
            num_cpus=SCORER_CPUS,
            num_gpus=1 if on_gpu else None,
            runtime_env={"env_vars": KEPT_MEMORY},
        )
    )
    try:
        # prefetch would hold each table back until the next is there
        yield from scored.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except ray.exceptions.RayError as error:
        _raise_ours(error)


def _engine(model: "ray.ObjectRef[Model]", device: Device) -> TorchEngine:
    """Build the engine in the actor that will use it."""
    return TorchEngine(ray.get(model), device)


def _placed(hosting: Hosting) -> tuple[int, bool]:
    """Decide the number of scorers, and whether each has a GPU.

    Raises:
        UsageError: they would wait for ever for what the cluster does not have.
    """
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus, gpus = resources.get("CPU", 0.0), int(resources.get("GPU", 0))
    on_gpu = hosting.device == "cuda" or (hosting.device == "auto" and gpus >= 1)
    room = int((cpus - READ_CPUS) / SCORER_CPUS)
    actors = hosting.actors or max(1, min(gpus if on_gpu else int(cpus), room))
    if on_gpu and actors > gpus:
        raise UsageError(f"{actors} scorers on GPUs were asked for, and Ray has {gpus}. Give --device cpu, or fewer.")
    if actors > room:
        raise UsageError(f"{actors} scorers do not fit on {cpus:g} CPUs; at most {room} do. Give fewer --actors.")
    return actors, on_gpu


def _write(
    scored: Iterable[pa.Table | None], sink: Sink, config: ScoreConfig, progress: Progress, on_progress: OnProgress
) -> Progress:
    """Hand scored photos to the sink as they come, and leave nothing uncommitted, however it ends."""
    try:
        for table in scored:
            if table is not None:
                sink.add(table)
                progress = progress.after(table)
                _stop_if_most_fail(progress, config)
            sink.commit_if_due()
            on_progress(progress)
    finally:
        sink.commit()
    return progress


def _until_asked(items: Iterable[pa.Table | None], interrupt: Interrupt) -> Iterator[pa.Table | None]:
    """Pass items on until a signal asks to stop."""
    for item in items:
        yield item
        if interrupt.asked:
            raise InterruptedRunError(
                "Interrupted. What is finished is committed; run the same command again to go on."
            )


def _stop_if_most_fail(progress: Progress, config: ScoreConfig) -> None:
    tried = progress.scored + progress.failed
    if tried >= config.max_failures_after and progress.failed > config.max_failures * tried:
        raise CrackscanError(
            f"{progress.failed:,} of the first {tried:,} photos failed, more than the share of {config.max_failures:g} "
            "that --max-failures allows. The view `failures` of `crackscan query` says why."
        )


def _raise_ours(error: ray.exceptions.RayError) -> NoReturn:
    """Raise the crackscan error that a worker raised, out of Ray's wrappings; a foreign one stays as it is."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, CrackscanError):
        inner = getattr(inner, "cause", None) or inner.__cause__
    if inner is None:
        raise CrackscanError(f"Ray gave up: {str(error).strip().splitlines()[-1]} (the log is in OUT/logs)") from error
    raise type(inner)(*inner.args) from error
