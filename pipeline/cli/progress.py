"""How a command shows that it works: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_EVERY_S = 5.0


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
