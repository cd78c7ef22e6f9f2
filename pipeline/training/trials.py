"""Leave one source out: the trials of a comparison, and what each is trained and tested on.

A trial is one fine-tuning on all sources but one, tested on that one: never on a part of what it was trained on, and
nothing is chosen on its test. Knows no Ray; `protocol` runs the trials, `trial_results` keeps what came out.
"""

import hashlib
import os
import re
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.cluster.session import ClusterConfig
from pipeline.core.errors import UsageError
from pipeline.labels.boxes import tile_name
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.labels.near_duplicates import Floats
from pipeline.labels.split import SplitRule, TrainValSplit, split
from pipeline.labels.tables import ClassNames
from pipeline.models.backbones import DEFAULT_BACKBONE
from pipeline.training.augment import Augment
from pipeline.training.config import TRIAL, Hyperparameters, TrainConfig

TEST_TILES = 400
"""Of each class of a left-out source at most: an AUC of 0.95 is then known to 0.007 (one standard error)."""


@dataclass(frozen=True)
class LeaveOneSourceOutConfig:
    """One `models compare` run."""

    data: tuple[str, ...]
    """The sources: folders, URLs or tables of labelled tiles."""
    out: str
    """Folder or URL of the comparison."""
    backbones: tuple[str, ...] = (DEFAULT_BACKBONE,)
    augments: tuple[Augment, ...] = ("field",)
    seeds: tuple[int, ...] = (0, 1, 2)
    training: Hyperparameters = TRIAL
    """What all trials have in common; its `augment` and `seed` are replaced."""
    weights: str | None = None
    """What every backbone starts from, as in `TrainConfig`."""
    classes: ClassNames = field(default_factory=ClassNames)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    def __post_init__(self) -> None:
        """Check that there is something to leave out, and that results can be told apart."""
        names = [place_name(source) for source in self.data]
        if len(names) < 2:
            raise UsageError(
                f"One source was given ({', '.join(self.data)}); expected at least two DATA, for each is left out once."
            )
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(
                f"Two DATA end in {twice[0]}; results are told apart by these names. Rename one, or leave it out."
            )


@dataclass(frozen=True)
class Trial:
    """One fine-tuning, and the source it is tested on."""

    backbone: str
    training: Hyperparameters
    left_out: str
    """The DATA argument."""

    def config(self, of: LeaveOneSourceOutConfig) -> TrainConfig:
        """Return it as a training run of one worker."""
        return TrainConfig(
            data=tuple(source for source in of.data if source != self.left_out),
            out=of.out,
            val=(self.left_out,),
            classes=of.classes,
            backbone=self.backbone,
            weights=of.weights,
            training=self.training,
            workers=1,
            device=of.device,
            cluster=of.cluster,
        )

    def file_name(self, run: str) -> str:
        """Name its result, for people to find and for the same settings to be found again."""
        words = (self.backbone, self.training.augment, f"seed-{self.training.seed}", place_name(self.left_out), run)
        return re.sub(r"[^\w.-]+", "-", "_".join(words)) + ".json"


def place_name(place: str) -> str:
    """Name a folder or table by its last two parts: enough to know it by, nothing about the machine."""
    parts = [part for part in place.rstrip("/").split("/") if part not in {"", ".", ".."}]
    return "/".join(parts[-2:])


def trials_of(config: LeaveOneSourceOutConfig) -> list[Trial]:
    """List the trials, seed by seed, so that a comparison that is stopped early has whole rounds."""
    return [
        Trial(backbone, replace(config.training, augment=augment, seed=seed), source)
        for seed, backbone, augment, source in product(config.seeds, config.backbones, config.augments, config.data)
    ]


def parts_of(tiles: LabelledTiles, prints: Floats, left_out: str) -> TrainValSplit:
    """Return what to train on, without anything of the left-out source, and which of its tiles to test on.

    Args:
        tiles: of all sources.
        prints: their fingerprints, shape (tiles, FINGERPRINT_SIZE).
        left_out: a source.

    Raises:
        UsageError: nothing is left to train on.
    """
    row_of = {name: row for row, name in enumerate(tiles.names)}

    def look(part: LabelledTiles) -> Floats:
        return prints[[row_of[name] for name in part.names]]

    own = np.array(tiles.sources) == left_out
    parts = split(tiles.subset(~own), tiles.subset(own), SplitRule(), look)
    return replace(parts, validation=chosen_tests(parts.validation))


def chosen_tests(source: LabelledTiles) -> LabelledTiles:
    """Choose the tiles of a source to test on: so many of each class, by a hash of their names.

    Where tiles were cut in several sizes, each size has as many of both classes: there is far more sound concrete in
    small boxes than in large ones, and how much a tile was enlarged would tell the classes apart.

    Raises:
        UsageError: no size has tiles of both classes.
    """
    above = len(os.path.commonprefix(source.urls))  # noqa: RUF071 - any cut does, as long as it moves with the data set
    by_hash = np.argsort([hashlib.sha256(os.fsencode(name[above:])).hexdigest() for name in source.names])
    if None in source.boxes:
        chosen = [by_hash[source.labels[by_hash] == label][:TEST_TILES] for label in (False, True)]
    else:
        chosen = _alike_in_size(source, by_hash)
    if not any(map(len, chosen)):
        raise UsageError(
            f"{source.sources[0]} cannot be tested on: no size of its tiles has cracked ones and sound ones."
        )
    return source.subset(np.sort(np.concatenate(chosen)))


def _alike_in_size(source: LabelledTiles, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Choose boxes in an order, as many of both classes in each size."""
    sizes = source.sizes[order]
    labels = source.labels[order]
    both = [[order[(sizes == size) & (labels == label)] for label in (False, True)] for size in np.unique(sizes)]
    most = [min(map(len, of_size)) for of_size in both]
    share = min(1, TEST_TILES / max(1, sum(most)))
    return [rows[: int(count * share)] for of_size, count in zip(both, most, strict=True) for rows in of_size]


def tile_names(tiles: LabelledTiles) -> tuple[str, ...]:
    """Name tiles without saying anything about the machine."""
    return tuple(tile_name(place_name(url), box) for url, box in zip(tiles.urls, tiles.boxes, strict=True))
