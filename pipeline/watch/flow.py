"""look → settle → round, again and again, under one lease.

A look that finds nothing new costs a listing of the inputs: it opens no archive, starts no Ray, and reads and writes
nothing of the dataset. When storage fails, a look or a round counts as not done, and the next one tries again.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

from pipeline.core.counts import count_of
from pipeline.core.errors import InterruptedRunError, StorageError, UsageError
from pipeline.core.interrupt import POLL_S, Interrupt, iterate_in_thread
from pipeline.core.log import get_logger
from pipeline.core.waits import Request
from pipeline.dataset.lease import Watch
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.flow import OpenRun, find_inputs_of, open_run
from pipeline.scoring.inputs import Inputs
from pipeline.scoring.job import ScoreJob, prepare_job
from pipeline.scoring.progress import ScoreSummary
from pipeline.scoring.scorer import MakeEngine
from pipeline.storage.retry import current_policy, limit_retries
from pipeline.watch.progress import Standing, WatchCallbacks
from pipeline.watch.rounds import Rounds
from pipeline.watch.schedule import Clock, Schedule
from pipeline.watch.settling import SETTLE_S, Settling

_log = get_logger("watch")


def watch(
    config: ScoreConfig,
    schedule: Schedule,
    callbacks: WatchCallbacks | None = None,
    make_engine: MakeEngine | None = None,
    clock: Clock | None = None,
) -> ScoreSummary:
    """Score what is complete among the inputs, look again, and so on until a signal comes or the time is up.

    Args:
        config: the run.
        schedule: how often to look, and until when.
        callbacks: its events.
        make_engine: builds an engine in place of the chosen one.
        clock: the clock to go by.

    Raises:
        InterruptedRunError: it was told to stop, and photos are left, or files that were not complete.
        CrackscanError: as for `scoring.flow.score`; but storage that fails after the first look ends nothing.
    """
    if config.limit is not None:
        raise UsageError("--limit is for a trial, and --watch goes on; give one of them.")
    callbacks = callbacks or WatchCallbacks()
    job = prepare_job(config, callbacks, make_engine)
    first = _find(job)
    with open_run(job, schedule.until) as run, ExitStack() as kept:
        rounds = Rounds(job, run, callbacks, kept)
        looks = _Looks(run, rounds, callbacks, schedule, clock or Clock())
        kept.callback(looks.end_trouble)
        looks.take(first)
        while looks.wait():
            looks.look(job)
        looks.check_nothing_left()
        return rounds.summarise()


def _find(job: ScoreJob) -> Inputs:
    return find_inputs_of(job, may_come_later=True)


class _Looks:
    """The looks of a watch, and the time between them.

    Args:
        run: the hold on the dataset.
        rounds: score what a look found.
        callbacks: events of the watch.
        schedule: when to look.
        clock: the clock to go by.
    """

    def __init__(
        self, run: OpenRun, rounds: Rounds, callbacks: WatchCallbacks, schedule: Schedule, clock: Clock
    ) -> None:
        self._run, self._rounds, self._callbacks, self._schedule, self._clock = run, rounds, callbacks, schedule, clock
        self._settling = Settling(clock.monotonic)
        self._began_at = clock.now()
        self._watch = Watch(schedule.every_s, self._began_at)
        self._trouble: Request | None = None
        self._next_s = min(schedule.every_s, SETTLE_S)

    def wait(self) -> bool:
        """Wait for the next look; return False when it is time to stop."""
        until_s = self._clock.monotonic() + self._next_s
        self._next_s = self._schedule.every_s
        while not self._run.interrupt.requested and (left_s := until_s - self._clock.monotonic()) > 0:
            self._clock.sleep(min(POLL_S, left_s))
        return not self._run.interrupt.requested

    def look(self, job: ScoreJob) -> None:
        """Look at the inputs, and score what is new and complete."""
        try:
            found = _find_unless_stopped(job, self._run.interrupt)
        except (StorageError, UsageError) as error:
            self._note_trouble(error, job.config.inputs[0])
            return
        if found is not None:
            self.take(found)

    def take(self, found: Inputs) -> None:
        """Score what is new and complete of what a look found."""
        complete = self._settling.hold_back(found)
        waiting = len(complete.waiting.archives) + len(complete.waiting.photos)
        self._tell(Watch(self._schedule.every_s, self._clock.now(), waiting))
        try:
            self._rounds.score(complete)
        except StorageError as error:
            self._note_trouble(error, found.spelled[0])
            return
        self.end_trouble()
        self._callbacks.on_looked(self._standing())

    def check_nothing_left(self) -> None:
        """Check that the watch may end as done.

        Raises:
            InterruptedRunError: photos are left, or may be.
        """
        watch, again = self._watch, "What is finished is committed; run the same command again to go on."
        if watch.trouble:
            raise InterruptedRunError(f"Stopped while photos may be left: {watch.trouble} {again}")
        if watch.waiting:
            files = count_of(watch.waiting, "file that was", "files that were")
            raise InterruptedRunError(f"Stopped before {files} not complete yet. {again}")

    def end_trouble(self) -> None:
        """Note that storage answers again, or that nobody waits for it any more."""
        if self._trouble is not None:
            _log.info("found again")
            self._trouble.has_ended()
            self._trouble = None

    def _note_trouble(self, error: StorageError | UsageError, place: str) -> None:
        """Note why a look or a round failed; what shows waits for storage shows this one until a look succeeds."""
        if self._trouble is None:
            _log.warning("looks again", cause=str(error))
            self._trouble = Request(place)
            self._trouble.has_failed(str(error).rstrip("."))
        self._tell(replace(self._watch, trouble=str(error)))
        self._callbacks.on_looked(self._standing())

    def _tell(self, watch: Watch) -> None:
        self._watch = watch
        self._run.lease.tell_watch(watch)

    def _standing(self) -> Standing:
        next_at = self._clock.now() + timedelta(seconds=self._next_s)
        return Standing(self._began_at, self._rounds.progress, self._watch, next_at)


def _find_unless_stopped(job: ScoreJob, interrupt: Interrupt) -> Inputs | None:
    """Look at the inputs; return None as soon as a signal comes."""
    given_up, policy = threading.Event(), current_policy()  # a thread has none of its own

    def find() -> Iterator[Inputs]:
        with limit_retries(policy.limit_s, given_up):
            yield _find(job)

    with iterate_in_thread(find(), end_s=0) as passing:
        try:
            for found in passing:
                if found is not None or interrupt.requested:
                    return found
        finally:
            given_up.set()
    return None
