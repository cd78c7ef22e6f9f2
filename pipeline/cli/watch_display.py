"""What `score --watch` shows: each round as `score` does, and how the watch stands between them."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipeline.cli.messages import echo
from pipeline.cli.progress import StageBar
from pipeline.cli.score_display import describe_changes, show_run
from pipeline.core.counts import count_of

if TYPE_CHECKING:
    from pipeline.dataset.lease import Holder
    from pipeline.monitoring.changes import Change
    from pipeline.scoring.progress import ScoreCallbacks
    from pipeline.watch.progress import Standing, WatchCallbacks


@contextmanager
def show_watch() -> Iterator["WatchCallbacks"]:
    """Show how a watch stands while the context lasts."""
    from pipeline.watch.progress import WatchCallbacks

    between = _Between()

    class WatchDisplay(WatchCallbacks):
        rounds = 0

        def on_wait(self, holder: "Holder") -> None:
            between.show(f"The dataset is held by {holder}; waiting to see whether that run still lives.")

        def on_changes(self, changes: "Sequence[Change]", *, is_rescored: bool) -> None:
            between.end()
            for line in describe_changes(changes, is_rescored=is_rescored):
                echo(line, err=True)

        def open_round(self) -> "AbstractContextManager[ScoreCallbacks]":
            between.end()
            self.rounds += 1
            return _show_round(is_first=self.rounds == 1)

        def on_looked(self, standing: "Standing") -> None:
            between.tell(standing)

    try:
        yield WatchDisplay()
    finally:
        between.end()


@contextmanager
def _show_round(*, is_first: bool) -> Iterator["ScoreCallbacks"]:
    """Show a round as `score` shows a run; only the first says the engine, which is that of all."""
    with show_run() as display:
        if not is_first:
            display.on_engine = _ignore
        yield display


def _ignore(_event: object) -> None:
    """Say nothing."""


class _Between:
    """The time between two rounds: a line that moves on a terminal, elsewhere one whenever the watch stands anew."""

    def __init__(self) -> None:
        self._bar: StageBar | None = None
        self._said: tuple[object, ...] = ()
        self._trouble = ""

    def tell(self, standing: "Standing") -> None:
        """Tell how the watch stands."""
        watch, now = standing.watch, (standing.scored.tried, standing.watch.waiting, standing.watch.trouble)
        if now != self._said and not watch.trouble:
            self.end()
            echo(describe_standing(standing), err=True)
        elif watch.trouble and not self._trouble:
            self.end()
            echo(f"{watch.trouble} Looking again every {watch.every_s:g} s.", err=True)
        self._said, self._trouble = now, watch.trouble
        done = f"{count_of(standing.scored.scored, 'photo')} scored since {_clock_time(standing.since)}"
        self.show(f"{done}; last look {_clock_time(watch.looked_at)}, next {_clock_time(standing.next_at)}")

    def show(self, line: str) -> None:
        """Show a line that the next one replaces."""
        if self._bar is None:
            self._bar = StageBar().__enter__()
        self._bar.show(line)

    def end(self) -> None:
        """Make room for other lines."""
        if self._bar is not None:
            self._bar.__exit__()
            self._bar = None


def describe_standing(standing: Any) -> str:  # noqa: ANN401 - its module loads pyarrow
    """Say what a watch has done, and what waits."""
    scored, watch = standing.scored, standing.watch
    text = f"Watching since {_clock_time(standing.since)}: {count_of(scored.scored, 'photo')} scored, "
    text += f"{scored.failed:,} failed"
    if watch.waiting:
        text += f"; {count_of(watch.waiting, 'file')} may not be complete yet"
    return f"{text}. Looking every {watch.every_s:g} s; Ctrl-C ends it."


def _clock_time(moment: datetime) -> str:
    """Write a time of this machine's clock."""
    return f"{moment.astimezone():%H:%M:%S}"
