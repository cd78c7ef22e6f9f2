"""What a person at a terminal sees of a training run: a bar while it works, a row an epoch."""

from pipeline.cli.progress import Bar
from pipeline.labels.split import TrainValSplit
from pipeline.models.backbones import Backbone
from pipeline.training.config import Hyperparameters
from pipeline.training.flow import TrainCallbacks
from pipeline.training.progress import EpochResult

HEADER = "  epoch  trained    loss  val loss  val AP  val AUC  tiles/s  seconds"


class TrainDisplay(Bar, TrainCallbacks):
    """Shows a run as `fit` tells it; a context that cleans up its bar.

    Args:
        config: says how many epochs there are at most.
    """

    def __init__(self, config: Hyperparameters) -> None:
        super().__init__()
        self._config = config
        self._rows = 0

    def on_comparison(self, done: int, total: int) -> None:
        """So many tiles were read to find repeats."""
        self.show("comparing tiles", done, total)

    def on_split(self, parts: TrainValSplit) -> None:
        """Say what is trained and validated on."""
        dropped = f" ({parts.dropped:,} repeat validation tiles and are left out)" if parts.dropped else ""
        self.print(f"Training on {len(parts.training):,} tiles{dropped}, validating on {len(parts.validation):,}.")

    def on_start(self, backbone: Backbone, workers: int) -> None:
        """Say what is being trained."""
        plural = "" if workers == 1 else "s"
        self.print(f"{backbone.name}, weights: {backbone.weights_from}; {workers} worker{plural}.")
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

    def on_domain(self, done: int, total: int) -> None:
        """So many pictures were looked at to know what is unlike them."""
        self.show("learning what is unlike", done, total)

    def on_quantising(self, done: int, total: int) -> None:
        """So many pictures were looked at to quantise the model."""
        self.show("quantising", done, total)

    def on_not_quantised(self, problem: str) -> None:
        """Say that `score` will be slower."""
        self.print(f"The model has no int8 network and is scored in floats, more slowly: {problem}")

    def on_not_tracked(self, problem: str) -> None:
        """Say that nothing but the server's view of the run is missing."""
        self.print(f"The MLflow server lacks something of this run, the model is whole: {problem}")
