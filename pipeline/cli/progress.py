"""How a command shows that it works: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_EVERY_S = 5.0
"""Between two lines of counts where there is no terminal to draw a bar on …"""
WORDS_EVERY_S = 20.0
"""… and between two lines of a `Bar`, which a line for each epoch stands beside."""


class Show(Protocol):
    """Shows how far the work is."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Show `done` of `total`, and a note behind it; the note alone while the total is 0."""


@contextmanager
def progress(what: str) -> Iterator[Show]:
    """Show progress on stderr while the context lasts; results go to stdout.

    Args:
        what: what is counted, such as `photos`.
    """
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        yield _Lines(what)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(f"{what} {{task.fields[note]}}"))
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, *times, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None, note="")

        def show(done: int, total: int, note: str = "") -> None:
            bar.update(task, completed=done, total=total, note=note)

        yield show


@dataclass
class _Lines:
    what: str
    began_at: float = field(default_factory=time.monotonic)
    shown_at: float = float("-inf")
    shown: int = -1
    first: tuple[int, float] | None = None
    """How much was done when anything was first, and when: the start of a run says nothing of its pace."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        is_last = done == total != self.shown
        if now - self.shown_at < LINE_EVERY_S and not is_last:
            return
        self.shown_at, self.shown = now, done
        left = self._left(done, total, now)
        counted = f"{done:,} of {total:,} {self.what} " if total else ""
        click.echo(f"{counted}{note} in {now - self.began_at:.0f} s{left}", err=True)

    def _left(self, done: int, total: int, now: float) -> str:
        """Say how long the rest will take, once the pace is known."""
        from pipeline.scoring.capacity import seconds_left

        if self.first is None and done:
            self.first = (done, now)
        if self.first is None or done >= total:
            return ""
        seconds = seconds_left(done, total, (self.first[0], now - self.first[1]))
        return "" if seconds is None else f", about {seconds:.0f} s left"


class Bar:
    """One bar whose words change with the work; a context that wipes it away."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
        self._bar = Progress(
            *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._bar.add_task("starting", total=None)
        self._line_s = time.monotonic()

    def __enter__(self) -> Self:
        """Draw the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wipe the bar away."""
        self._bar.stop()

    def show(self, words: str, done: float = 0, total: int | None = None) -> None:
        """Move the bar; without a total it only shows that something is being done."""
        self._bar.update(self._task, description=words, completed=done, total=total)
        if self._bar.disable and total and time.monotonic() - self._line_s > WORDS_EVERY_S:
            self._line_s = time.monotonic()
            click.echo(f"{words}: {done / total:.0%}", err=True)

    def print(self, line: str) -> None:
        """Print a line where the bar stands; the bar is drawn again below it."""
        self._bar.stop()
        click.echo(line)
        self._bar.start()

    def on_unlabelled(self, rows: int) -> None:
        """Say that they are left out."""
        self.print(unlabelled_words(rows))


def unlabelled_words(rows: int) -> str:
    """Say that rows of tables, such as `review` writes them, are left out."""
    return f"{rows:,} rows have no label yet and are left out."
