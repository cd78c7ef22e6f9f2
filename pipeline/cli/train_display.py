"""What a person at a terminal sees of a training run: a bar while it works, a row an epoch.

Rows go to stdout, what passes to stderr; where stderr is no terminal, a line now and then in place of the bar.
"""

import time
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.backbones import Backbone
from pipeline.course import EpochResult
from pipeline.fit import Watcher
from pipeline.recipe import TrainingConfig
from pipeline.split import HeldOut

LINE_EVERY_S = 15.0
"""Where there is no terminal to draw a bar on."""

HEADER = "  epoch  trained    loss  val loss  val AP  val AUC  tiles/s  seconds"


class TrainDisplay(Watcher):
    """Shows a run as `fit` tells it; a context that cleans up its bar.

    Args:
        config: says how many epochs there are at most.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self._config = config
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
        self._bar = Progress(
            *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
        )
        self._bar_task = self._bar.add_task("starting", total=None)
        self._line_s = time.monotonic()
        self._rows = 0

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

    def on_comparison(self, done: int, total: int) -> None:
        """So many tiles were read to find repeats."""
        self._show("comparing tiles", done, total)

    def on_split(self, parts: HeldOut) -> None:
        """Say what is trained and validated on."""
        dropped = f" ({parts.dropped:,} repeat validation tiles and are left out)" if parts.dropped else ""
        self._print(f"Training on {len(parts.training):,} tiles{dropped}, validating on {len(parts.validation):,}.")

    def on_start(self, backbone: Backbone, workers: int) -> None:
        """Say what is being trained."""
        plural = "" if workers == 1 else "s"
        self._print(f"{backbone.name}, weights: {backbone.weights_from}; {workers} worker{plural}.")
        self._show("starting workers", 0, None)

    def on_step(self, epoch: int, done: int, total: int) -> None:
        """Move the bar within an epoch."""
        self._show(f"epoch {epoch + 1} of {self._config.total_epochs}", done, total)

    def on_epoch(self, result: EpochResult) -> None:
        """Print the row of an epoch."""
        if self._rows == 0:
            self._print(HEADER)
        self._rows += 1
        self._print(
            f"{result.epoch + 1:4d}/{self._config.total_epochs:<2d}  {result.phase:<7s}  {result.loss:6.4f}  "
            f"{result.validation_loss:8.4f}  {result.average_precision:6.4f}  {result.auc:7.5f}  "
            f"{result.tiles_per_s:7.1f}  {result.seconds:7.0f}"
        )

    def on_domain(self, done: int, total: int) -> None:
        """So many pictures were looked at to know what is unlike them."""
        self._show("learning what is unlike", done, total)

    def _show(self, words: str, done: int, total: int | None) -> None:
        self._bar.update(self._bar_task, description=words, completed=done, total=total)
        if self._bar.disable and total is not None and time.monotonic() - self._line_s > LINE_EVERY_S:
            self._line_s = time.monotonic()
            click.echo(f"{words}: {done / total:.0%}", err=True)

    def _print(self, line: str) -> None:
        """Print a line where the bar stands; the bar is drawn again below it."""
        self._bar.stop()
        click.echo(line)
        self._bar.start()


def unlabelled_words(rows: int) -> str:
    """Say that rows of tables, such as `review` writes them, are left out."""
    return f"{rows:,} rows have no label yet and are left out."
