"""How a command shows its progress: a bar on a terminal, a line every few seconds elsewhere.

There are two views of one bar: `progress` counts things, `StageBar` names the stages of a longer work.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

from pipeline.cli.messages import echo
from pipeline.core.waits import working_time

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

COUNTS_EVERY_S = 5.0
"""Between two lines of counts where there is no terminal for a bar …"""
STAGES_EVERY_S = 20.0
"""… and between two lines of a `StageBar`, whose commands print lines of their own."""


class Show(Protocol):
    """Shows how far the work is."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Show `done` of `total` with a note; only the note while the total is 0."""


@contextmanager
def progress(noun: str) -> Iterator[Show]:
    """Count things, such as `photos`, on stderr while the context lasts; results go to stdout."""
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        yield _CountLines(noun)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn

    times = (TimeElapsedColumn(), "left")
    with _make_bar(BarColumn(), MofNCompleteColumn(), f"{noun} {{task.fields[note]}}", *times) as bar:

        def show(done: int, total: int, note: str = "") -> None:
            bar.update(bar.task_ids[0], completed=done, total=total, note=note)

        yield show


class StageBar:
    """A bar with the name of the current stage; leaving the context removes it."""

    def __init__(self) -> None:
        from rich.progress import BarColumn

        columns = ("{task.description}", BarColumn(), "{task.percentage:.0f} %")
        self._bar = _make_bar(*columns, transient=True)
        self._printed_at = time.monotonic()

    def __enter__(self) -> Self:
        """Draw the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Remove the bar."""
        self._bar.stop()

    def show(self, stage: str, done: float = 0, total: int | None = None) -> None:
        """Move the bar; without a total it only shows that something happens."""
        self._bar.update(self._bar.task_ids[0], description=stage, completed=done, total=total)
        if self._bar.disable and total and time.monotonic() - self._printed_at > STAGES_EVERY_S:
            self._printed_at = time.monotonic()
            echo(f"{stage}: {done / total:.0%}", err=True)

    def print(self, line: str, *, err: bool = False) -> None:
        """Print a line above the bar, on stdout or stderr."""
        self._bar.stop()
        echo(line, err=err)
        self._bar.start()


def _make_bar(*columns: "str | ProgressColumn", **options: Any) -> "Progress":  # noqa: ANN401 - rich's
    """Make a bar with one task on stderr; only a terminal shows it."""
    from rich.console import Console
    from rich.progress import Progress, TimeRemainingColumn

    console = Console(stderr=True)
    options |= {"console": console, "disable": not console.is_terminal, "get_time": working_time}
    bar = Progress(*columns, TimeRemainingColumn(), **options)
    bar.add_task("starting", total=None, note="")
    return bar


@dataclass
class _CountLines:
    """Prints a line of counts every few seconds, and one at the end."""

    noun: str
    began_at: float = field(default_factory=time.monotonic)
    printed_at: float = float("-inf")
    printed: int = -1
    first: tuple[int, float] | None = None
    """The first count above 0, and its `working_time`: the start of a run says nothing about its pace."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        from pipeline.monitoring.capacity import seconds_left

        now = time.monotonic()
        is_end = done == total != self.printed
        if now - self.printed_at < COUNTS_EVERY_S and not is_end:
            return
        self.printed_at, self.printed, worked_s = now, done, working_time()
        if self.first is None and done:
            self.first = (done, worked_s)
        first, first_s = self.first or (done, worked_s)
        seconds = seconds_left(done, total, (first, worked_s - first_s)) if done < total else None
        left = "" if seconds is None else f", about {seconds:.0f} s left"
        counts = f"{done:,} of {total:,} {self.noun} " if total else ""
        echo(f"{counts}{note} in {now - self.began_at:.0f} s{left}", err=True)
