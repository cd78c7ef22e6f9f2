"""What `train` shows: a bar while it works, and a row for each epoch."""

from pipeline.cli.messages import format_unlabelled, format_unused
from pipeline.cli.progress import StageBar
from pipeline.core.counts import count_of
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.labels.split import TrainValSplit
from pipeline.models.backbones import Backbone
from pipeline.training.config import Hyperparameters
from pipeline.training.progress import EpochResult, TrainCallbacks

HEADER = "  epoch  trained    loss  val loss  val AP  val AUC  tiles/s  seconds"


class TrainDisplay(StageBar, TrainCallbacks):
    """Shows the calls of `training.flow` and `adaptation.flow`.

    Args:
        config: has the greatest number of epochs.
    """

    def __init__(self, config: Hyperparameters) -> None:
        super().__init__()
        self._config = config
        self._rows = 0

    def on_unlabelled(self, rows: int) -> None:
        """Say how many rows are left out."""
        self.print(format_unlabelled(rows))

    def on_unused(self, tiles: LabelledTiles) -> None:
        """Say which pictures are left out."""
        for line in format_unused(tiles):
            self.print(line, err=True)

    def on_descriptors(self, done: int, total: int) -> None:
        """Show the search for repeats."""
        self.show("comparing tiles", done, total)

    def on_split(self, parts: TrainValSplit) -> None:
        """Say how many tiles there are for training and validation."""
        dropped = f" ({parts.dropped:,} repeat validation tiles and are left out)" if parts.dropped else ""
        self.print(
            f"Training on {count_of(len(parts.training), 'tile')}{dropped}, validating on {len(parts.validation):,}."
        )

    def on_start(self, backbone: Backbone, workers: int) -> None:
        """Say which backbone is trained."""
        self.print(f"{backbone.name}, weights: {backbone.weights_from}; {count_of(workers, 'worker')}.")
        self.show("starting workers")

    def on_step(self, epoch: int, done: int, total: int) -> None:
        """Move the bar within an epoch."""
        self.show(f"epoch {epoch + 1} of {self._config.total_epochs}", done, total)

    def on_epoch(self, result: EpochResult) -> None:
        """Print the row of an epoch."""
        if self._rows == 0:
            self.print(HEADER)
        self._rows += 1
        self.print(
            f"{result.epoch + 1:4d}/{self._config.total_epochs:<2d}  {result.phase:<7s}  {result.loss:6.4f}  "
            f"{result.validation_loss:8.4f}  {result.average_precision:6.4f}  {result.auc:7.5f}  "
            f"{result.tiles_per_s:7.1f}  {result.seconds:7.0f}"
        )

    def on_views(self, done: int, total: int) -> None:
        """Show how many tiles an old model has seen."""
        self.show("looking at tiles", done, total)

    def on_domain(self, done: int, total: int) -> None:
        """Show the fit of the domain score."""
        self.show("learning what is unlike", done, total)

    def on_quantising(self, done: int, total: int) -> None:
        """Show the quantisation."""
        self.show("quantising", done, total)

    def on_not_quantised(self, problem: str) -> None:
        """Say that `score` will be slower."""
        self.print(f"The model has no int8 network and is scored in floats, more slowly: {problem}")

    def on_not_tracked(self, problem: str) -> None:
        """Say that the model is whole, but MLflow lacks something."""
        self.print(f"The MLflow server lacks something of this run, the model is whole: {problem}")
