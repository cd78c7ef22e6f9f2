"""The scoring flow: inputs → plan → reading → decode → tiles → engine → sink, top to bottom.

Pixels stay on the workers that Ray hosts (`hosting`). Scores stream to this process, the only writer, so that a retried
task or a lost actor can never write anything; it holds only what is not committed yet.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.archives.listing import decode_listing
from pipeline.archives.readers import list_measured
from pipeline.cluster.session import nodes, ray_session
from pipeline.cluster.shared_disk import check_shared
from pipeline.core.errors import CrackscanError
from pipeline.core.interrupt import Interrupt, iterate_in_thread, until_interrupted
from pipeline.core.log import get_logger, replay, to_stream
from pipeline.dataset.commit_log import CommitLog, read_log
from pipeline.dataset.lease import Holder, Lease, hold
from pipeline.dataset.run import read_run
from pipeline.dataset.writer import DatasetWriter, open_writer
from pipeline.monitoring.run_report import cost_of, report_run
from pipeline.scoring.collector import Collector
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.estimate import Estimate, estimate
from pipeline.scoring.inputs import find_inputs
from pipeline.scoring.job import ScoreJob, prepare_job
from pipeline.scoring.plan import Plan, keep_ended, make_plan, planned_ids, planned_inputs
from pipeline.scoring.progress import Progress, ScoreCallbacks, ScoreSummary
from pipeline.scoring.scorer import MakeEngine, MakeMapper, torch_mapper

_log = get_logger("flow")


def score(
    config: ScoreConfig,
    watch: ScoreCallbacks | None = None,
    make_engine: MakeEngine | None = None,
    make_mapper: MakeMapper = torch_mapper,
) -> ScoreSummary:
    """Score every photo of the inputs that has no row in the dataset yet.

    Raises:
        CrackscanError: of the kinds drawn in `errors`; what was finished is committed.
    """
    job = prepare_job(config, watch or ScoreCallbacks(), make_engine, make_mapper)
    inputs, log = find_inputs(config.inputs, job.layout), read_log(job.layout)
    plan = make_plan(inputs, job.layout, log.done)
    plan.check_not_empty(config.inputs)
    if plan.is_kept and not plan.without(log.done).num_rows and storage.exists(job.layout.summary):
        return _summary(job, plan, log, log, Progress(0))
    with _writing(job) as (lease, interrupt):
        return _scored(job, plan, open_writer(job.layout, job.run, lease), interrupt)


def retry(
    config: ScoreConfig, kinds: Collection[str] | None, watch: ScoreCallbacks, make_engine: MakeEngine | None = None
) -> ScoreSummary:
    """Score the failed photos of a dataset again.

    Args:
        config: its inputs are not looked at; they are what was planned before.
        kinds: those of these `failure_kind`s; None for all.
        watch: is told how far it is.
        make_engine: builds another engine than the one that was chosen.

    Raises:
        CrackscanError: as for `score`; nothing is forgotten where an archive has changed.
    """
    job = prepare_job(config, watch, make_engine)
    read_run(job.layout)  # there must be one
    inputs = planned_inputs(job.layout)
    make_plan(inputs, job.layout, read_log(job.layout).done)  # refuses what has changed
    with _writing(job) as (lease, interrupt):
        sink = open_writer(job.layout, job.run, lease)
        sink.forget_failed(kinds)
        return _scored(job, make_plan(inputs, job.layout, sink.log.done), sink, interrupt)


def preview(config: ScoreConfig, watch: ScoreCallbacks) -> Estimate:
    """List what `score` would do, and write nothing."""
    job = prepare_job(config, watch, None)
    log = read_log(job.layout)
    plan = make_plan(find_inputs(config.inputs, job.layout), job.layout, log.done)
    with Interrupt() as interrupt, ray_session(config.cluster) if len(plan.unlisted) > 1 else nullcontext():
        plan = plan.with_listed(_listed(plan, job, interrupt))
    plan.check_not_empty(config.inputs)
    watch.chose(job.engine)
    return estimate(plan, log.done, job.scoring)


@contextmanager
def _writing(job: ScoreJob) -> Iterator[tuple[Lease, Interrupt]]:
    """Hold the dataset, write its log and report, and hear Ctrl-C while the context lasts."""
    with (
        Interrupt() as interrupt,
        hold(job.layout, job.run.run_id, lambda holder: _wait(job.watch, holder, interrupt)) as lease,
        to_stream(storage.open_text(job.layout.log(job.run.run_id)), job.run.run_id),
        report_run(job.layout, job.run.run_id, lease, job.account, job.config.prices),
    ):
        yield lease, interrupt


def _scored(job: ScoreJob, plan: Plan, sink: DatasetWriter, interrupt: Interrupt) -> ScoreSummary:
    """List what is not listed, score what has no row, and write it."""
    before, config = sink.log, job.config
    plan.keep()
    needs_ray = plan.unlisted or plan.without(before.done).num_rows
    with ray_session(config.cluster, job.layout.noise(job.run.run_id)) if needs_ray else nullcontext():
        if needs_ray:
            from pipeline.monitoring.ray_metrics import RayMetrics  # loads Ray

            job.account.work_begins(nodes(), RayMetrics())
            to_read = plan.without(before.done)["archive"].unique().to_pylist()
            check_shared([*to_read, *(file.url for file in plan.unlisted)])
        plan = plan.with_listed(_kept(plan, _listed(plan, job, interrupt)))
        plan.check_not_empty(config.inputs)
        chosen = plan.without(before.done).slice(0, config.limit)
        _log.info("begins", inputs=config.inputs, rows=chosen.num_rows, listed=plan.members.num_rows)
        job.watch.chose(job.engine)
        progress = Progress(_photos(chosen), uncounted=chosen.num_rows - _photos(chosen))
        job.watch.scored(progress)
        from pipeline.scoring.ray_data import scored_photos  # loads Ray

        with iterate_in_thread(scored_photos(chosen, job.scoring, job.hosting, before.done)) as scored:
            progress, ended = _write(until_interrupted(scored, interrupt), job, sink, progress)
    for held in ended:
        plan = plan.with_ended(held)
    log = sink.finish(planned_ids(job.layout))
    return _summary(job, plan, before, log, progress)


def _listed(plan: Plan, job: ScoreJob, interrupt: Interrupt) -> Iterator[pa.Table]:
    """List the archives that are not, side by side; one alone here, for a worker takes seconds to start."""
    if len(plan.unlisted) > 1:
        from pipeline.scoring.ray_data import list_archives  # loads Ray

        listings = list_archives(plan.unlisted)
    else:
        listings = map(list_measured, plan.unlisted)
    found = 0
    with iterate_in_thread(listings) as passing:
        for listing in until_interrupted(passing, interrupt):
            if listing is not None:
                found += 1
                replay(listing.log)
                _log.info("listed", archive=listing.archive, rows=listing.table.num_rows)
                job.account.spend("list", listing.effort)
                yield listing.table
            job.watch.listed(found, len(plan.unlisted))


def _kept(plan: Plan, listings: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Keep each listing in the dataset as it comes: an archive is listed once."""
    for table in listings:
        plan.keep_listing(table)
        yield table


def _write(
    scored: Iterable[pa.Table | None], job: ScoreJob, sink: DatasetWriter, progress: Progress
) -> tuple[Progress, list[pa.Table]]:
    """Hand scored photos to the sink as they come, and leave nothing uncommitted, however it ends.

    Returns:
        How far it came, and what the streams held that have ended.
    """
    before, ended, arrivals = sink.log.done, list[pa.Table](), Collector(sink, job.account)
    try:
        for table in scored:
            if table is not None:
                photos = _within(job.config.limit, table.filter(pc.is_null(table["ended"])), progress)
                arrivals.take(photos, table.filter(pc.is_valid(table["ended"])))
                progress = progress.after(photos)
                for held in map(decode_listing, table["ended"].drop_null().to_pylist()):
                    if keep_ended(job.layout, held):
                        ended.append(held)
                        progress = progress.counted(_new_in(held, before))
                _stop_if_most_fail(progress, job.config)
            arrivals.commit_if_due()
            job.watch.scored(progress)
            if job.config.limit is not None and progress.tried >= job.config.limit:
                break
    finally:
        arrivals.commit()
    return progress, ended


def _within(limit: int | None, photos: pa.Table, progress: Progress) -> pa.Table:
    """Leave out what is more than a limit; a stream yields photos that nobody counted."""
    return photos if limit is None else photos.slice(0, limit - progress.tried)


def _new_in(held: pa.Table, before: pa.ChunkedArray) -> int:
    """Count the photos of a stream that had no row before."""
    return int(pc.sum(pc.invert(pc.is_in(held["image_id"], value_set=before))).as_py() or 0)


def _wait(watch: ScoreCallbacks, holder: Holder, interrupt: Interrupt) -> None:
    watch.waits(holder)
    interrupt.stop_if_asked()


def _stop_if_most_fail(progress: Progress, config: ScoreConfig) -> None:
    tried = progress.tried
    if tried >= config.max_failures_after and progress.failed > config.max_failures * tried:
        raise CrackscanError(
            f"{progress.failed:,} of the first {tried:,} photos failed, more than the share of {config.max_failures:g} "
            "that --max-failures allows. The view `failures` of `crackscan query` says why."
        )


def _summary(job: ScoreJob, plan: Plan, before: CommitLog, after: CommitLog, progress: Progress) -> ScoreSummary:
    """Count what was done and what is left."""
    todo, left = plan.without(before.done), plan.without(after.done)
    listed = _photos(plan.members)
    return ScoreSummary(
        run=progress,
        listed=listed,
        done_before=listed - _photos(todo),
        failed=after.failed,
        left=_photos(left),
        uncounted=left.num_rows - _photos(left),
        is_finished=storage.exists(job.layout.summary),
        skipped=plan.skipped,
        cost=cost_of(job.account, job.config.prices),
    )


def _photos(members: pa.Table) -> int:
    return int(pc.sum(pc.equal(members["entry"], "photo")).as_py() or 0)
