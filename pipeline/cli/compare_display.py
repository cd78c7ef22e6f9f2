"""What a person at a terminal sees of a comparison: a bar while trials run, a row for each that is done.

Rows go to stdout, what passes to stderr; where stderr is no terminal, a line now and then in place of the bar.
"""

import time
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.calibration import scores_of
from pipeline.card import Calibration
from pipeline.cli.train_display import unlabelled_words
from pipeline.metrics import measure
from pipeline.trial_results import TrialResult

LINE_EVERY_S = 30.0
"""Where there is no terminal to draw a bar on."""


class CompareDisplay:
    """Shows a comparison as `protocol` tells it; a context that cleans up its bar."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
        self._bar = Progress(
            *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
        )
        self._bar_task = self._bar.add_task("starting", total=None)
        self._line_s = time.monotonic()
        self._waiting = 0

    def __enter__(self) -> Self:
        """Draw the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wipe the bar away."""
        self._bar.stop()

    def on_unlabelled(self, rows: int) -> None:
        """Say that they are left out."""
        self._print(unlabelled_words(rows))

    def on_plan(self, finished: int, waiting: int) -> None:
        """Say how much there is to do."""
        self._waiting = waiting
        before = f", {finished} of them are done" if finished else ""
        self._print(f"{finished + waiting} trials{before}.")

    def on_fingerprints(self, done: int, total: int) -> None:
        """So many tiles were read to find repeats."""
        self._show("comparing tiles", done, total)

    def on_start(self, side_by_side: int) -> None:
        """Say how many trials run at a time."""
        self._print(f"Running {self._waiting}, {side_by_side} at a time.")

    def on_progress(self, done: float) -> None:
        """Move the bar."""
        self._show("trials", done, self._waiting)

    def on_trial(self, result: TrialResult) -> None:
        """Print the row of a trial."""
        found = measure(result.sample.labels, scores_of(result.sample, Calibration()))
        self._print(
            f"  {result.backbone}, {result.augment}, seed {result.seed}, without {result.left_out}: "
            f"AUC {found.auc:.4f}, recall {found.recall_at_5_percent_false_alarms:.3f} at 5 % false alarms, "
            f"{result.seconds:.0f} s"
        )

    def on_speed(self) -> None:
        """Say what takes the last seconds."""
        self._show("measuring speed", 0, None)

    def _show(self, words: str, done: float, total: int | None) -> None:
        self._bar.update(self._bar_task, description=words, completed=done, total=total)
        if self._bar.disable and total and time.monotonic() - self._line_s > LINE_EVERY_S:
            self._line_s = time.monotonic()
            click.echo(f"{words}: {done / total:.0%}", err=True)

    def _print(self, line: str) -> None:
        """Print a line where the bar stands; the bar is drawn again below it."""
        self._bar.stop()
        click.echo(line)
        self._bar.start()
