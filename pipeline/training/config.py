"""The settings of a fine-tuning run: how long, how fast, on how much.

Numbers only; what is done with them is `training`'s.
"""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from pipeline import storage
from pipeline.cluster.session import ClusterConfig
from pipeline.core.errors import UsageError
from pipeline.labels.tables import ClassNames
from pipeline.models.backbones import DEFAULT_BACKBONE
from pipeline.models.card import About
from pipeline.training.augment import Augment
from pipeline.training.progress import Phase


@dataclass(frozen=True)
class Hyperparameters:
    """How a network is fine-tuned."""

    epochs: int = 12
    """Epochs in which everything is trained."""
    head_epochs: int = 1
    """Epochs before those, in which only the last layer is."""
    epoch_tiles: int | None = None
    """Tiles an epoch takes; None takes all."""
    batch_size: int = 32
    """Tiles to a step, over all workers together."""
    learning_rate: float = 3e-4
    """Of the second phase, at its highest."""
    head_learning_rate: float = 5e-3
    """Of the first phase, throughout."""
    weight_decay: float = 0.01
    """AdamW's, of matrices only."""
    label_smoothing: float = 0.05
    """A crack's target is 1 - this / 2, sound concrete's this / 2."""
    ema_decay: float = 0.998
    """Of the moving average of the weights, once warm."""
    warm_up: float = 0.1
    """Share of the second phase in which the learning rate rises from zero."""
    patience: int | None = None
    """Epochs without a better validation score before training ends, and the best is kept; None keeps the last epoch,
    so that nothing is chosen on validation tiles, which say little of other bridges."""
    augment: Augment = "field"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.epochs < 0 or self.head_epochs < 0 or self.epochs + self.head_epochs == 0:
            raise UsageError("There is nothing to train: expected at least one epoch in --epochs and --head-epochs.")
        if self.batch_size < 1 or (self.epoch_tiles is not None and self.epoch_tiles < 1):
            raise UsageError("A batch and an epoch need at least one tile. Give larger --batch-size and --epoch-tiles.")
        if not self.learning_rate > 0:
            raise UsageError(f"The learning rate is {self.learning_rate}; expected a positive --learning-rate.")

    @property
    def total_epochs(self) -> int:
        """Epochs of both phases."""
        return self.head_epochs + self.epochs

    @property
    def steps(self) -> int:
        """Steps of an epoch, once fitted; the next epoch takes up what is left over."""
        return (self.epoch_tiles or 0) // self.batch_size

    def fitted(self, tiles: int) -> "Hyperparameters":
        """Return the same with epochs and batches no larger than the training data, and no size left open."""
        return replace(
            self,
            epoch_tiles=min(self.epoch_tiles or tiles, tiles),
            batch_size=min(self.batch_size, self.epoch_tiles or tiles, tiles),
        )

    def phase(self, epoch: int) -> Phase:
        """Tell what is trained in an epoch."""
        return "head" if epoch < self.head_epochs else "all"

    def learning_rate_at(self, epoch: int, progress: float) -> float:
        """Return the learning rate in an epoch, of which a share is done.

        A rise from zero, then half a cosine down to zero (Loshchilov & Hutter 2017, SGDR, without restarts).
        """
        if self.phase(epoch) == "head":
            return self.head_learning_rate
        done = (epoch - self.head_epochs + progress) / self.epochs
        if done < self.warm_up:
            return self.learning_rate * done / self.warm_up
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - self.warm_up) / (1 - self.warm_up)))


QUICK = Hyperparameters(epochs=2, epoch_tiles=1500)
"""Minutes on two CPU cores."""

STANDARD = Hyperparameters(epochs=9, epoch_tiles=4000)
"""Half an hour to an hour on two CPU cores."""

TRIAL = Hyperparameters(epochs=2, epoch_tiles=1200)
"""Five minutes on one CPU core: for comparing backbones, recipes and seeds."""

PRESETS = {"quick": QUICK, "standard": STANDARD}


@dataclass(frozen=True)
class TrainConfig:
    """One `train` run."""

    data: tuple[str, ...]
    """Folders, URLs or tables of labelled tiles."""
    out: str
    """Folder or URL of the model."""
    val: tuple[str, ...] = ()
    """Held-out tiles; none given holds a part of `data` out."""
    val_fraction: float = 0.2
    """The part of `data` held out where `val` is not given."""
    classes: ClassNames = field(default_factory=ClassNames)
    backbone: str = DEFAULT_BACKBONE
    weights: str | None = None
    """Path or URL of weights to start from, "none" for random ones; None takes pre-trained ones."""
    training: Hyperparameters = STANDARD
    workers: int | None = None
    """Processes that train together; None takes one for each GPU, or CPU where there is no GPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    storage: str | None = None
    """Folder or URL for checkpoints; None takes `checkpoints` in the model's folder."""
    mlflow: str | None = None
    """URL of an MLflow server that shows the run."""
    about: About = field(default_factory=About)
    """What the model's card says that only people know."""
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    @property
    def checkpoints(self) -> str:
        """URL of the folder where checkpoints go."""
        return storage.canonical(self.storage or storage.join(self.out, "checkpoints"))

    @property
    def settings(self) -> dict[str, object]:
        """What a person who compares runs wants to see."""
        return {"data": " ".join(self.data), "backbone": self.backbone, **asdict(self.training)}
