"""What each trial of a comparison trains and tests on.

A trial trains on all sources but one and tests on that one, never on a part of its training data; nothing is chosen on
the test. `leave_one_source_out` runs the trials, `evaluation.trial_results` keeps their results.
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
from pipeline.labels.label_tables import ClassNames
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.labels.near_duplicates import Descriptors
from pipeline.labels.split import SplitRule, TrainValSplit, split
from pipeline.models.backbones import DEFAULT_BACKBONE
from pipeline.training.augment import Augment
from pipeline.training.config import TRIAL, Hyperparameters, TrainConfig

TEST_TILES = 400
"""Of each class of a left-out source, at most: one standard error of an AUC of 0.95 is then 0.007."""


@dataclass(frozen=True)
class LeaveOneSourceOutConfig:
    """One `models compare` run."""

    data: tuple[str, ...]
    """The sources: folders, URLs or tables of labelled tiles."""
    out: str
    """Folder or URL of the comparison."""
    clutter: tuple[str, ...] = ()
    """More sources, all sound and never left out: what else a photo shows."""
    backbones: tuple[str, ...] = (DEFAULT_BACKBONE,)
    augments: tuple[Augment, ...] = ("field",)
    seeds: tuple[int, ...] = (0, 1, 2)
    hyperparameters: Hyperparameters = TRIAL
    """Of all trials; each trial replaces `augment` and `seed`."""
    weights: str | None = None
    """The weights that every backbone starts from, as in `TrainConfig`."""
    classes: ClassNames = field(default_factory=ClassNames)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    def __post_init__(self) -> None:
        """Check that there are two sources or more, and that their short names differ."""
        names = [shorten_place(source) for source in self.data]
        if len(names) < 2:
            raise UsageError(
                f"One source was given ({', '.join(self.data)}); expected at least two DATA, for each is left out once."
            )
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise UsageError(
                f"Two DATA end in {repeated[0]}; results are told apart by these names. Rename one, or leave it out."
            )


@dataclass(frozen=True)
class Trial:
    """One training, and the source to test it on."""

    backbone: str
    hyperparameters: Hyperparameters
    left_out: str
    """The DATA argument."""

    def config(self, comparison: LeaveOneSourceOutConfig) -> TrainConfig:
        """Return the settings of its run, which has one worker."""
        return TrainConfig(
            data=tuple(source for source in comparison.data if source != self.left_out),
            out=comparison.out,
            clutter=comparison.clutter,
            val=(self.left_out,),
            classes=comparison.classes,
            backbone=self.backbone,
            weights=comparison.weights,
            hyperparameters=self.hyperparameters,
            workers=1,
            device=comparison.device,
            cluster=comparison.cluster,
        )

    def file_name(self, run: str) -> str:
        """Name the file of its result, for people and for the next run of the same settings."""
        settings = self.hyperparameters
        words = (self.backbone, settings.augment, f"seed-{settings.seed}", shorten_place(self.left_out), run)
        return re.sub(r"[^\w.-]+", "-", "_".join(words)) + ".json"


def shorten_place(place: str) -> str:
    """Name a folder or table by its last two parts, which say nothing about the machine."""
    parts = [part for part in place.rstrip("/").split("/") if part not in {"", ".", ".."}]
    return "/".join(parts[-2:])


def list_trials(config: LeaveOneSourceOutConfig) -> list[Trial]:
    """List the trials, seed by seed, so that a comparison that is interrupted early has whole rounds."""
    return [
        Trial(backbone, replace(config.hyperparameters, augment=augment, seed=seed), source)
        for seed, backbone, augment, source in product(config.seeds, config.backbones, config.augments, config.data)
    ]


def split_trial(tiles: LabelledTiles, descriptors: Descriptors, left_out: str) -> TrainValSplit:
    """Return the tiles to train on, without any of the left-out source, and those of its tiles to test on.

    Args:
        tiles: of all sources.
        descriptors: theirs, shape (tiles, DESCRIPTOR_SIZE).
        left_out: a source.

    Raises:
        UsageError: nothing is left to train on.
    """
    row_of = {name: row for row, name in enumerate(tiles.names)}

    def look_up(part: LabelledTiles) -> Descriptors:
        return descriptors[[row_of[name] for name in part.names]]

    own = np.array(tiles.sources) == left_out
    parts = split(tiles.subset(~own), tiles.subset(own), SplitRule(), look_up)
    return replace(parts, validation=choose_test_tiles(parts.validation))


def choose_test_tiles(source: LabelledTiles) -> LabelledTiles:
    """Choose the tiles of a source to test on: at most `TEST_TILES` of each class, by a hash of their names.

    Where tiles were cut in several sizes, each size has as many of both classes: small boxes hold far more sound
    concrete than large ones, so the enlargement of a tile would give its class away.

    Raises:
        UsageError: no size has tiles of both classes.
    """
    above = len(os.path.commonprefix(source.urls))  # noqa: RUF071 - any cut does, as long as it moves with the data set
    by_hash = np.argsort([hashlib.sha256(os.fsencode(name[above:])).hexdigest() for name in source.names])
    if None in source.boxes:
        chosen = [by_hash[source.labels[by_hash] == label][:TEST_TILES] for label in (False, True)]
    else:
        chosen = _balance_sizes(source, by_hash)
    if not any(map(len, chosen)):
        raise UsageError(
            f"{source.sources[0]} cannot be tested on: no size of its tiles has cracked ones and sound ones."
        )
    return source.subset(np.sort(np.concatenate(chosen)))


def _balance_sizes(source: LabelledTiles, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Choose boxes in an order, in each size as many of both classes."""
    sizes = source.sizes[order]
    labels = source.labels[order]
    both = [[order[(sizes == size) & (labels == label)] for label in (False, True)] for size in np.unique(sizes)]
    most = [min(map(len, of_size)) for of_size in both]
    share = min(1, TEST_TILES / max(1, sum(most)))
    return [rows[: int(count * share)] for of_size, count in zip(both, most, strict=True) for rows in of_size]


def shorten_tile_names(tiles: LabelledTiles) -> tuple[str, ...]:
    """Name tiles without the names of the machine's folders."""
    return tuple(tile_name(shorten_place(url), box) for url, box in zip(tiles.urls, tiles.boxes, strict=True))
