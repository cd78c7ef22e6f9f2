"""The rounds of a watch: each scores what is complete and has no row yet, as a run of `score` would.

All rounds have one lease. Ray starts with the first round that scores something, and stays: to start it costs more than
to score a photo. The scorers are each round's own.
"""

from collections import Counter
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace

from pipeline import storage
from pipeline.core.errors import StorageError, UsageError
from pipeline.core.log import get_logger
from pipeline.core.table_schemas import MEMBERS
from pipeline.dataset.commit_log import CommitLog, read_log
from pipeline.dataset.writer import DatasetWriter, open_writer
from pipeline.monitoring.changes import Change, known_changes
from pipeline.monitoring.run_report import read_reports
from pipeline.scoring.flow import OpenRun, open_ray, run_plan, summarise
from pipeline.scoring.inputs import NOTHING_WAITS, Inputs
from pipeline.scoring.job import ScoreJob, new_run_id
from pipeline.scoring.plan import Plan, make_plan
from pipeline.scoring.progress import Progress, ScoreSummary
from pipeline.watch.progress import WatchCallbacks

_log = get_logger("watch")


class Rounds:
    """All rounds of a watch.

    Args:
        job: the run.
        run: its hold on the dataset.
        callbacks: its events.
        kept: keeps Ray until the watch ends.
    """

    def __init__(self, job: ScoreJob, run: OpenRun, callbacks: WatchCallbacks, kept: ExitStack) -> None:
        self._job, self._run, self._callbacks, self._kept = job, run, callbacks, kept
        self._known = known_changes(read_reports(job.layout))
        self._told = set[tuple[str, str]]()
        self._before = self._log = read_log(job.layout)
        self._writer: DatasetWriter | None = None
        self._plan = Plan(job.layout, MEMBERS.empty_table(), Counter())
        self._done: Inputs | None = None
        self._has_ray, self._has_failed = False, False

    @property
    def progress(self) -> Progress:
        """What all rounds have done, also those that failed."""
        totals = self._job.stats.totals
        failures = Counter[str]()
        for failure, photos in totals.failures.items():
            failures[failure.kind] += photos
        return Progress(totals.photos, 0, totals.photos - totals.failed, failures, totals.tiles)

    def score(self, inputs: Inputs) -> None:
        """Score what is new; do nothing if the complete inputs are those of the last round that was done.

        Raises:
            StorageError: storage failed, or the inputs are gone; what is finished is committed, and the next round
                goes on.
            CrackscanError: of any other kind, which ends the watch.
        """
        complete = replace(inputs, waiting=NOTHING_WAITS)
        if complete == self._done:
            return
        try:
            self._score(inputs)
        except StorageError:
            # It is unknown how far a commit came. The next writer has a name of its own and takes over from this one.
            self._writer, self._has_failed = None, True
            raise
        self._done = complete

    def summarise(self) -> ScoreSummary:
        """Count what all rounds did, and what is left."""
        return summarise(self._job, self._plan, (self._before, self._log), self.progress)

    def _score(self, inputs: Inputs) -> None:
        """Plan what is complete, tell what has changed, and make a round if there is anything to do."""
        config, layout = self._job.config, self._job.layout
        self._log = read_log(layout) if self._writer is None else self._writer.log
        self._plan = _plan_again(self._job, inputs, self._log)
        if config.on_changed == "fail":
            self._plan.check_unchanged()
        self._tell_changes(self._plan.changes)
        outdated = self._plan.outdated if config.on_changed == "rescore" else ()
        if outdated or self._has_work():
            self._make_round(inputs, outdated)

    def _has_work(self) -> bool:
        """Tell whether the plan has anything that is not listed, not scored, or not finished."""
        plan = self._plan
        is_new = plan.unlisted or any(table.num_rows for table in plan.new_listings)
        if is_new or plan.without(self._log.done).num_rows:
            return True
        return plan.members.num_rows > 0 and not storage.exists(self._job.layout.summary)

    def _make_round(self, inputs: Inputs, outdated: tuple[str, ...]) -> None:
        self._run.lease.check()  # nothing may be written where another writer is at work, or the dataset is gone
        _log.info("round begins", rows=self._plan.without(self._log.done).num_rows, archives=len(self._plan.unlisted))
        with self._callbacks.open_round() as callbacks:
            job = self._job._replace(callbacks=callbacks)
            writer = self._writer = self._writer or self._open_writer()
            storage.remove(job.layout.summary)
            if outdated:
                writer.forget(outdated)
                self._plan = _plan_again(job, inputs, writer.log)
                job.stats.changes = self._plan.changes
            try:
                self._plan, _ = run_plan(job, self._plan, writer, self._run.interrupt, self._keep_ray)
            finally:
                self._log = writer.log
        self._run.write_report("watching")
        _log.info("round ends", photos=self.progress.tried)

    def _open_writer(self) -> DatasetWriter:
        run = replace(self._job.run, run_id=new_run_id()) if self._has_failed else self._job.run
        return open_writer(self._job.layout, run, self._run.lease, self._job.config.commit_limits)

    def _keep_ray(self) -> AbstractContextManager[None]:
        """Start Ray, if it is not up."""
        if not self._has_ray:
            self._kept.enter_context(open_ray(self._job))
            self._has_ray = True
        return nullcontext()

    def _tell_changes(self, changes: tuple[Change, ...]) -> None:
        """Note what has changed among the inputs, and tell each change once."""
        stats, fresh = self._job.stats, tuple(change for change in changes if change.key not in self._told)
        self._told.update(change.key for change in fresh)
        stats.changes = changes
        stats.new_changes += tuple(change for change in fresh if change.key not in self._known)
        if fresh:
            _log.info("inputs changed", urls=[change.url for change in fresh])
            self._callbacks.on_changes(fresh, is_rescored=self._job.config.on_changed == "rescore")


def _plan_again(job: ScoreJob, inputs: Inputs, log: CommitLog) -> Plan:
    """Plan the inputs.

    Raises:
        StorageError: what was planned is gone: a disk may come back.
    """
    try:
        return make_plan(inputs, job.layout, log.done)
    except UsageError as error:
        raise StorageError(str(error)) from error
