"""What `models compare` shows: a bar while trials run, a line for each that is done, and the table at the end."""

from pipeline.cli.messages import format_unlabelled, format_unused
from pipeline.cli.progress import StageBar
from pipeline.core.counts import count_of
from pipeline.evaluation.calibration import scores_of
from pipeline.evaluation.metrics import measure
from pipeline.evaluation.trial_results import TrialResult
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.models.card import Calibration


class CompareDisplay(StageBar):
    """Shows the calls of `training.leave_one_source_out`."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting = 0

    def on_unlabelled(self, rows: int) -> None:
        """Say how many rows are left out."""
        self.print(format_unlabelled(rows))

    def on_unused(self, tiles: LabelledTiles) -> None:
        """Say which pictures are left out."""
        for line in format_unused(tiles):
            self.print(line, err=True)

    def on_plan(self, finished: int, waiting: int) -> None:
        """Say how much there is to do."""
        self._waiting = waiting
        before = f", {finished} of them are done" if finished else ""
        self.print(f"{count_of(finished + waiting, 'trial')}{before}.")

    def on_descriptors(self, done: int, total: int) -> None:
        """Show the search for repeats."""
        self.show("comparing tiles", done, total)

    def on_start(self, side_by_side: int) -> None:
        """Say how many trials run at a time."""
        self.print(f"Running {self._waiting}, {side_by_side} at a time.")

    def on_progress(self, done: float) -> None:
        """Move the bar."""
        self.show("trials", done, self._waiting)

    def on_trial(self, result: TrialResult) -> None:
        """Print the figures of a trial."""
        metrics = measure(result.sample.labels, scores_of(result.sample, Calibration()))
        self.print(
            f"  {result.backbone}, {result.augment}, seed {result.seed}, without {result.left_out}: "
            f"AUC {metrics.auc:.4f}, recall {metrics.recall_at_5_percent_false_alarms:.3f} at 5 % false alarms, "
            f"{result.seconds:.0f} s"
        )

    def on_speed(self) -> None:
        """Show the last stage."""
        self.show("measuring speed")
