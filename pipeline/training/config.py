"""The settings of a training run, their presets, and the learning-rate schedule."""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from pipeline import storage
from pipeline.cluster.session import ClusterConfig
from pipeline.core.errors import UsageError
from pipeline.labels.label_tables import ClassNames
from pipeline.models.backbones import DEFAULT_BACKBONE
from pipeline.models.card import About
from pipeline.training.augment import Augment
from pipeline.training.progress import Phase


@dataclass(frozen=True)
class Hyperparameters:
    """How to fine-tune a network."""

    epochs: int = 12
    """Epochs that train all layers."""
    head_epochs: int = 1
    """Epochs before those, which train only the last layer."""
    epoch_tiles: int | None = None
    """Tiles of an epoch; None takes all."""
    batch_size: int = 32
    """Tiles of a step, over all workers together."""
    learning_rate: float = 3e-4
    """Of the second phase, at its peak."""
    head_learning_rate: float = 5e-3
    """Of the first phase, throughout."""
    weight_decay: float = 0.01
    """Of AdamW, for matrices only."""
    label_smoothing: float = 0.05
    """The target of a crack is 1 - this / 2, of sound concrete this / 2."""
    ema_decay: float = 0.998
    """Of the moving average of the weights, after its warm-up."""
    warm_up: float = 0.1
    """Share of the second phase in which the learning rate rises from zero."""
    patience: int | None = None
    """Epochs without a better validation score before training ends with the best one. None keeps the last epoch, which
    chooses nothing on validation tiles: they say little about other bridges."""
    augment: Augment = "field"
    dense: bool = True
    """Whether to train a dense head, which finds the crack pixel by pixel, beside the tile's score."""
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
        """Steps of an epoch after `fit_to`; the next epoch continues with the tiles left over."""
        return (self.epoch_tiles or 0) // self.batch_size

    def fit_to(self, tiles: int) -> "Hyperparameters":
        """Return settings whose epochs and batches are no larger than the training data, and set."""
        return replace(
            self,
            epoch_tiles=min(self.epoch_tiles or tiles, tiles),
            batch_size=min(self.batch_size, self.epoch_tiles or tiles, tiles),
        )

    def phase(self, epoch: int) -> Phase:
        """Tell which layers an epoch trains."""
        return "head" if epoch < self.head_epochs else "all"

    def learning_rate_at(self, epoch: int, progress: float) -> float:
        """Return the learning rate at a point of an epoch, `progress` from 0 to 1.

        It rises from zero, then follows half a cosine down to zero (Loshchilov & Hutter 2017, SGDR, without restarts).
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
"""Five minutes on one CPU core: to compare backbones, recipes and seeds."""

PRESETS = {"quick": QUICK, "standard": STANDARD}


@dataclass(frozen=True)
class TrainConfig:
    """One `train` run."""

    data: tuple[str, ...]
    """Folders, URLs or tables of labelled tiles."""
    out: str
    """Folder or URL of the model."""
    clutter: tuple[str, ...] = ()
    """More of `data`, all sound: what else a photo shows, and perhaps no concrete."""
    val: tuple[str, ...] = ()
    """Validation tiles; if empty, a part of `data` is held out."""
    val_fraction: float = 0.2
    """The part of `data` to hold out if `val` is empty."""
    classes: ClassNames = field(default_factory=ClassNames)
    backbone: str = DEFAULT_BACKBONE
    weights: str | None = None
    """Path or URL of weights to start from, "none" for random ones; None takes pre-trained ones."""
    hyperparameters: Hyperparameters = STANDARD
    workers: int | None = None
    """Processes that train together; None takes one for each GPU or, without GPUs, one for each CPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    storage: str | None = None
    """Folder or URL for checkpoints; None takes `checkpoints` in the model's folder."""
    mlflow: str | None = None
    """URL of an MLflow server that shows the run."""
    about: About = field(default_factory=About)
    """Licences, attributions and a note for the model card."""
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    @property
    def checkpoints(self) -> str:
        """URL of the folder for checkpoints."""
        return storage.canonical(self.storage or storage.join(self.out, "checkpoints"))

    @property
    def settings(self) -> dict[str, object]:
        """The settings that MLflow shows as parameters of the run."""
        return {"data": " ".join(self.data), "backbone": self.backbone, **asdict(self.hyperparameters)}
