"""inputs → plan → reading → decode → tiles → engine → writer.

Pixels stay on the workers, which Ray hosts (`ray_data`). Scores stream to this process, the only writer, so a repeated
task or a lost actor can never write anything. This process holds only the photos that are not committed yet.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.archives.early import EARLY_S, EarlyPhotos
from pipeline.archives.listing import decode_listing, is_partial
from pipeline.archives.readers import list_and_measure
from pipeline.cluster.session import nodes, ray_session
from pipeline.cluster.shared_disk import check_shared
from pipeline.core.interrupt import Interrupt, iterate_in_thread, stop_on_interrupt
from pipeline.core.log import get_logger, log_to_stream, replay
from pipeline.dataset.commit_log import CommitLog, read_log
from pipeline.dataset.lease import Holder, Lease, hold
from pipeline.dataset.rasters import write_joined_cracks
from pipeline.dataset.run import read_run
from pipeline.dataset.writer import DatasetWriter, open_writer
from pipeline.monitoring.changes import Change, known_changes, merge_changes, read_changes
from pipeline.monitoring.run_report import Ended, cost_of, read_reports, report_run
from pipeline.scoring.collector import Collector
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.estimate import Estimate, count_plan
from pipeline.scoring.inputs import Inputs, find_inputs
from pipeline.scoring.inspection import join_pieces
from pipeline.scoring.job import ScoreJob, prepare_job
from pipeline.scoring.plan import (
    Plan,
    count_photos,
    expand_stream,
    find_first_file,
    make_plan,
    notes_of,
    read_planned_ids,
)
from pipeline.scoring.planned_inputs import look_again, read_planned_inputs
from pipeline.scoring.progress import Progress, ScoreCallbacks, ScoreSummary
from pipeline.scoring.rehearsal import list_seekable, rehearse
from pipeline.scoring.scorer import MakeEngine
from pipeline.storage.idle_probe import probe_while_idle

StartRay = Callable[[], AbstractContextManager[None]]
"""Has a Ray running while the context lasts."""

_log = get_logger("flow")


def score(
    config: ScoreConfig,
    callbacks: ScoreCallbacks | None = None,
    make_engine: MakeEngine | None = None,
) -> ScoreSummary:
    """Score every photo of the inputs that has no row in the dataset yet.

    Args:
        config: the run.
        callbacks: its events.
        make_engine: builds an engine in place of the chosen one.

    Raises:
        CrackscanError: of the kinds drawn in `core.errors`; everything finished is committed.
    """
    job = prepare_job(config, callbacks or ScoreCallbacks(), make_engine)
    inputs, log = find_inputs_of(job), read_log(job.layout)
    plan = make_plan(inputs, job.layout, log.done)
    plan.check_not_empty(config.inputs)
    if config.on_changed == "fail":
        plan.check_unchanged()
    outdated = plan.outdated if config.on_changed == "rescore" else ()
    _tell_changes(job, plan.changes)
    is_done = plan.is_saved and not plan.without(log.done).num_rows and storage.exists(job.layout.summary)
    if is_done and not outdated and not job.stats.new_changes:
        return summarise(job, plan, (log, log), Progress(0))
    with open_run(job) as run:
        writer = open_writer(job.layout, job.run, run.lease, config.commit_limits)
        if outdated:
            writer.forget(outdated)
            plan = make_plan(inputs, job.layout, writer.log.done)
            job.stats.changes = plan.changes
        return _run(job, plan, writer, run.interrupt)


def retry(
    config: ScoreConfig,
    kinds: Collection[str] | None = None,
    callbacks: ScoreCallbacks | None = None,
    make_engine: MakeEngine | None = None,
) -> ScoreSummary:
    """Score the failed photos of a dataset again.

    Args:
        config: the run; its inputs are ignored, because the dataset keeps the planned ones.
        kinds: retry only these `failure_kind`s; None retries all.
        callbacks: its events.
        make_engine: builds an engine in place of the chosen one.

    Raises:
        CrackscanError: as for `score`.
    """
    job = prepare_job(config, callbacks or ScoreCallbacks(), make_engine)
    read_run(job.layout)  # raises without a dataset
    inputs = read_planned_inputs(job.layout, job.scoring.moves)
    with open_run(job) as run:
        writer = open_writer(job.layout, job.run, run.lease, config.commit_limits)
        writer.forget_failed(kinds)
        plan = make_plan(look_again(inputs, writer.log.done), job.layout, writer.log.done)
        _tell_changes(job, merge_changes(plan.changes, read_changes(read_reports(job.layout))))
        return _run(job, plan, writer, run.interrupt)


def preview(
    config: ScoreConfig,
    callbacks: ScoreCallbacks | None = None,
    make_engine: MakeEngine | None = None,
    began_at_s: float | None = None,
) -> Estimate:
    """Return what `score` would do, and how long it would take; write nothing.

    Args:
        config: the run.
        callbacks: its events.
        make_engine: builds an engine in place of the chosen one.
        began_at_s: when the command began, on the clock of `time.monotonic`; None for now.
    """
    began_at_s = time.monotonic() if began_at_s is None else began_at_s
    job = prepare_job(config, callbacks or ScoreCallbacks(), make_engine)
    inputs, done = find_inputs_of(job), read_log(job.layout).done
    plan = make_plan(inputs, job.layout, done)
    if config.on_changed == "fail":
        plan.check_unchanged()
    if config.on_changed == "rescore" and plan.outdated:
        done = done.filter(pc.invert(pc.is_in(done, value_set=pa.array(plan.outdated))))
        plan = make_plan(inputs, job.layout, done)
    _tell_changes(job, plan.changes)
    session, needs_ray = ray_session(config.cluster), len(plan.unlisted) > 1
    with Interrupt() as interrupt:
        with ExitStack() as stack:
            if needs_ray:
                stack.enter_context(session)
            plan = plan.with_listed(_list_archives(plan, job, interrupt))
            plan.check_not_empty(config.inputs)
            todo = plan.without(done).slice(0, config.limit)
            counts, photos = count_plan(plan, done, todo), list_seekable(todo)
            job.callbacks.on_counted(counts)
            job.callbacks.on_engine(job.engine)
            if not photos.num_rows:
                return Estimate(counts, None)
            if not needs_ray:
                stack.enter_context(session)
            pace = rehearse(photos, job, began_at_s, interrupt)
            done_at_s = time.monotonic()
        return Estimate(counts, replace(pace, end_s=pace.end_s + time.monotonic() - done_at_s))


def find_inputs_of(job: ScoreJob, *, may_come_later: bool = False) -> Inputs:
    """Look up the inputs of a run, as `find_inputs` does."""
    scoring = job.scoring
    return find_inputs(
        job.config.inputs, job.layout, scoring.moves, scoring.raster_limits, may_come_later=may_come_later
    )


def _tell_changes(job: ScoreJob, changes: tuple[Change, ...]) -> None:
    """Note what has changed among the inputs, and which of it no earlier run has told."""
    known = known_changes(read_reports(job.layout)) if changes else set()
    job.stats.changes = changes
    job.stats.new_changes = tuple(change for change in changes if change.key not in known)
    if changes:
        job.callbacks.on_changes(changes, is_rescored=job.config.on_changed == "rescore")


def _run(job: ScoreJob, plan: Plan, writer: DatasetWriter, interrupt: Interrupt) -> ScoreSummary:
    """Score what a plan has, and tell how that ended."""
    before = writer.log
    plan, progress = run_plan(job, plan, writer, interrupt)
    return summarise(job, plan, (before, writer.log), progress)


def run_plan(
    job: ScoreJob, plan: Plan, writer: DatasetWriter, interrupt: Interrupt, kept_ray: StartRay | None = None
) -> tuple[Plan, Progress]:
    """List unlisted archives, score photos without a row, and write their rows.

    Args:
        job: the run.
        plan: what to score.
        writer: of the dataset.
        interrupt: ends the work early.
        kept_ray: starts a Ray that outlives this work, if it is not up yet: for one of many rounds, which may also find
            no photo. None starts one for this work alone.

    Returns:
        The plan with all photos that it has in archives and streams, and what was done.
    """
    plan.save()
    with _need_ray(job, plan, writer.log, kept_ray or partial(open_ray, job)):
        plan, progress = _list_and_begin(job, plan, writer, interrupt)
        if kept_ray is None:
            plan.check_not_empty(job.config.inputs)
        plan, progress = _score(job, plan, writer, interrupt, progress)
    writer.finish(read_planned_ids(job.layout), partial(write_joined_cracks, job.layout, join_pieces))
    return plan, progress


class OpenRun(NamedTuple):
    """A run that holds its dataset."""

    lease: Lease
    interrupt: Interrupt
    write_report: Callable[[Ended], None]
    """Brings the report up to date; at the end of the run that happens by itself."""


@contextmanager
def open_run(job: ScoreJob, until: datetime | None = None) -> Iterator[OpenRun]:
    """Hold the dataset, write its log and report, and handle Ctrl-C while the context lasts.

    Args:
        job: the run.
        until: this moment does what Ctrl-C does.
    """

    def on_wait(holder: Holder) -> None:
        job.callbacks.on_wait(holder)
        interrupt.raise_if_requested()

    with (
        Interrupt(until) as interrupt,
        hold(job.layout, job.run.run_id, on_wait, job.config.lease_ttl_s) as lease,
        log_to_stream(storage.open_text(job.layout.log(job.run.run_id)), job.run.run_id),
        report_run(job.layout, job.run.run_id, lease, job.stats, job.config.prices) as write_report,
    ):
        yield OpenRun(lease, interrupt, write_report)


@contextmanager
def _need_ray(job: ScoreJob, plan: Plan, before: CommitLog, start_ray: StartRay) -> Iterator[None]:
    """Have a Ray that reaches the inputs while the context lasts, unless there is nothing to list and to score."""
    left = plan.without(before.done)
    if not plan.unlisted and not left.num_rows:
        yield
        return
    to_read = left.filter(pc.is_null(left["failure_stage"]))["archive"].unique().to_pylist()
    with start_ray():
        check_shared(map(job.scoring.moves.place_of, [*to_read, *(file.url for file in plan.unlisted)]))
        yield


@contextmanager
def open_ray(job: ScoreJob) -> Iterator[None]:
    """Run Ray while the context lasts."""
    from pipeline.monitoring.ray_metrics import RayMetrics  # loads Ray

    with ray_session(job.config.cluster, job.layout.ray_output(job.run.run_id)):
        job.stats.begin_work(nodes(), RayMetrics())
        yield


def _list_and_begin(job: ScoreJob, plan: Plan, writer: DatasetWriter, interrupt: Interrupt) -> tuple[Plan, Progress]:
    """List unlisted archives, and score the first photos of one that takes long meanwhile.

    Each listing is saved as it comes, so that an archive is listed once. A partial one is saved before its photos are
    scored, so that the dataset knows of which version of the archive their rows are.
    """
    listings, progress = list[pa.Table](), Progress(0)
    early_s = EARLY_S if job.config.limit is None else None  # a few photos are scored when they are counted
    for table in _list_archives(plan, job, interrupt, early_s):
        plan.save_listing(table)
        if is_partial(table):
            _, progress = _score(job, plan.with_part(table), writer, interrupt, progress)
        else:
            listings.append(table)
    return plan.with_listed(listings), progress


def _list_archives(plan: Plan, job: ScoreJob, interrupt: Interrupt, early_s: float | None = None) -> Iterator[pa.Table]:
    """List unlisted archives in parallel; a single one in this process, because a worker takes seconds to start.

    Args:
        plan: has the archives.
        job: the run.
        interrupt: ends the listing early.
        early_s: after this time the first photos of a single archive come as partial listings, whenever the caller asks
            for more; None only yields whole ones.
    """
    early = EarlyPhotos(interrupt.raise_if_requested, early_s)
    moves, windows = job.scoring.moves, job.scoring.window_rule
    if len(plan.unlisted) > 1:
        from pipeline.scoring.ray_data import list_archives  # loads Ray

        listings = list_archives(plan.unlisted, moves, windows)
    else:
        places = (moves.place_of(file.url) for file in plan.unlisted)
        listings = map(partial(list_and_measure, windows=windows, on_entry=early), plan.unlisted, places)
    found, first = 0, next((moves.place_of(file.url) for file in plan.unlisted), None)
    with iterate_in_thread(listings) as passing:
        for listing in probe_while_idle(stop_on_interrupt(passing, interrupt), first):
            if listing is not None:
                found += 1
                replay(listing.log)
                notes = notes_of(listing.table)
                _log.info("listed", archive=listing.archive, rows=listing.table.num_rows, notes=notes)
                if notes:
                    job.callbacks.on_notes(listing.archive, notes)
                job.stats.add_usage("list", listing.usage)
                yield listing.table
            elif (part := early.take()) is not None:
                yield part
            job.callbacks.on_listed(found, len(plan.unlisted))


def _score(
    job: ScoreJob, plan: Plan, writer: DatasetWriter, interrupt: Interrupt, progress: Progress
) -> tuple[Plan, Progress]:
    """Score photos without a row; return the plan with the photos of finished streams."""
    from pipeline.scoring.ray_data import score_photos  # loads Ray

    done = writer.log.done
    chosen = plan.without(done).slice(0, job.config.limit)
    _log.info("begins", inputs=job.config.inputs, rows=chosen.num_rows, listed=plan.members.num_rows)
    if not progress.tried:
        job.callbacks.on_engine(job.engine)
    progress = progress.with_plan(chosen, len(plan.unlisted))
    job.callbacks.on_progress(progress)
    with iterate_in_thread(score_photos(chosen, job.scoring, job.scorer_options, done)) as scored:
        passing = probe_while_idle(stop_on_interrupt(scored, interrupt), find_first_file(chosen, job.scoring.moves))
        progress, streams = _write(passing, job, writer, progress)
    for stream in streams:
        plan = plan.with_expanded(stream)
    return plan, progress


def _write(
    scored: Iterable[pa.Table | None], job: ScoreJob, writer: DatasetWriter, progress: Progress
) -> tuple[Progress, list[pa.Table]]:
    """Pass scored photos to the writer as they come, and commit all of them, however the run ends.

    Returns:
        The progress, and the listings of the streams that have ended.
    """
    before, streams, collector = writer.log.done, list[pa.Table](), Collector(writer, job.stats)
    config = job.config
    try:
        for table in scored:
            if table is not None:
                photos = table.filter(pc.is_null(table["ended"]))
                if config.limit is not None:  # a stream yields photos that nobody has counted
                    photos = photos.slice(0, config.limit - progress.tried)
                collector.add(photos, table.filter(pc.is_valid(table["ended"])))
                progress = progress.with_photos(photos)
                for stream in map(decode_listing, table["ended"].drop_null().to_pylist()):
                    if expand_stream(job.layout, stream):
                        streams.append(stream)
                        progress = progress.with_stream(_count_new(stream, before))
                progress.check_failures(config.max_failures, config.max_failures_after)
            collector.commit_if_due()
            job.callbacks.on_progress(progress)
            if config.limit is not None and progress.tried >= config.limit:
                break
    finally:
        collector.commit()
    return progress, streams


def _count_new(stream: pa.Table, done: pa.ChunkedArray) -> int:
    """Count the photos of a stream that have no row."""
    return int(pc.sum(pc.invert(pc.is_in(stream["image_id"], value_set=done))).as_py() or 0)


def summarise(job: ScoreJob, plan: Plan, logs: tuple[CommitLog, CommitLog], progress: Progress) -> ScoreSummary:
    """Count what was done and what is left, from the commit logs before and after the run."""
    before, after = logs
    todo, left = plan.without(before.done), plan.without(after.done)
    listed = count_photos(plan.members)
    return ScoreSummary(
        run=progress,
        listed=listed,
        done_before=listed - count_photos(todo),
        failed=after.failed,
        left=count_photos(left),
        uncounted=left.num_rows - count_photos(left),
        is_finished=storage.exists(job.layout.summary),
        skipped=plan.skipped,
        changes=job.stats.changes,
        new_changes=job.stats.new_changes,
        cost=cost_of(job.stats, job.config.prices),
    )
