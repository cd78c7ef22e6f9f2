"""The bar that training commands show while they work, with lines of results above it.

Lines go to stdout, what passes to stderr; where stderr is no terminal, a line now and then in place of the bar.
"""

import time
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY_S = 20.0
"""Where there is no terminal to draw a bar on."""


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
        if self._bar.disable and total and time.monotonic() - self._line_s > LINE_EVERY_S:
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
