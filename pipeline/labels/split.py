"""Which labelled tiles are held out for validation.

Pure functions over arrays and lists: listing and reading tiles is left to `labelled`, comparing them to
`fingerprint`. Two tiles of one photo, or two prints of one picture, never stand on both sides.
"""

import hashlib
import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import UsageError
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.labels.near_duplicates import Floats, duplicate_groups, duplicates_of

Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class TrainValSplit:
    """What to train on, what to validate on, and how many training tiles were left out as repeats."""

    training: LabelledTiles
    validation: LabelledTiles
    dropped: int
    """Training tiles left out because they repeat a validation tile or share its photo."""


@dataclass(frozen=True)
class SplitRule:
    """How a data set without validation tiles of its own is divided."""

    fraction: float = 0.2
    """Part of the tiles to hold out, of each class."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the fraction."""
        if not 0 < self.fraction < 1:
            raise UsageError(f"The part held out for validation is {self.fraction}; expected a number between 0 and 1.")


def split(
    tiles: LabelledTiles,
    validation: LabelledTiles | None,
    rule: SplitRule,
    look: Callable[[LabelledTiles], Floats],
) -> TrainValSplit:
    """Return what to train on and what to validate on.

    Args:
        tiles: the labelled tiles given for training.
        validation: those given for validation, or None to hold some of `tiles` out.
        rule: how to hold out where `validation` is None.
        look: reads the tiles and returns their fingerprints (`labelled.fingerprints`).

    Raises:
        UsageError: nothing is left to train on, or the tiles cannot be divided.
    """
    if validation is None:
        is_validation = assign(tiles, duplicate_groups(look(tiles)), rule)
        return TrainValSplit(tiles.subset(~is_validation), tiles.subset(is_validation), dropped=0)
    same_photo = np.isin(np.array(tiles.groups), np.array(validation.groups))
    dropped = same_photo | duplicates_of(look(tiles), look(validation))
    training = tiles.subset(~dropped)
    if not 0 < int(training.labels.sum()) < len(training):
        raise UsageError(
            f"{int(dropped.sum())} of {len(tiles)} training tiles repeat validation tiles; what is left is of one "
            "class only. Give other tiles for training or for validation."
        )
    return TrainValSplit(training, validation, dropped=int(dropped.sum()))


def assign(tiles: LabelledTiles, family: Integers, rule: SplitRule) -> Bools:
    """Tell which tiles are held out: whole photos and families, about the asked part of each class.

    Components are taken in the order of a hash of seed and content, each where it brings both classes nearer to the
    asked numbers; so the order of the tiles does not matter, and the same seed gives the same split.

    Raises:
        UsageError: no division leaves both classes on both sides.
    """
    component = _join(tiles.groups, family)
    keys = _keys(tiles.names, component, rule.seed)
    counts = np.zeros((len(keys), 2))
    np.add.at(counts, (component, tiles.labels.astype(int)), 1)
    chosen = _fill(counts, sorted(range(len(keys)), key=lambda index: keys[index]), rule.fraction)
    is_validation: Bools = chosen[component]
    held = counts[chosen].sum(axis=0)
    if (held == 0).any() or (held == counts.sum(axis=0)).any():
        raise UsageError(
            f"The {len(tiles)} tiles come from {len(keys)} photos or families of like tiles, too few to hold out "
            f"{rule.fraction:.0%} with both classes on both sides. Give validation tiles with --val."
        )
    return is_validation


def _fill(counts: NDArray[np.float64], order: Sequence[int], fraction: float) -> Bools:
    """Choose components while they bring the held-out numbers of both classes nearer to what was asked."""
    total = np.maximum(counts.sum(axis=0), 1)
    missing = total * fraction
    chosen = np.zeros(len(counts), dtype=np.bool_)
    for index in order:
        after = missing - counts[index]
        if (np.abs(after) / total).sum() < (np.abs(missing) / total).sum():
            chosen[index] = True
            missing = after
    for label in (0, 1):
        if not counts[chosen, label].any():
            _add_smallest(counts, order, chosen, label)
    return chosen


def _add_smallest(counts: NDArray[np.float64], order: Sequence[int], chosen: Bools, label: int) -> None:
    """Choose the smallest component that holds a class, and leaves both classes to train on, if there is one."""
    left = counts[~chosen].sum(axis=0)
    fit = [index for index in order if not chosen[index] and counts[index, label] and (left > counts[index]).all()]
    if fit:
        chosen[min(fit, key=lambda index: counts[index].sum())] = True


def _join(groups: Sequence[Hashable], family: Integers) -> Integers:
    """Number the connected components of tiles that share a group or a family: 0, 1, … one number a tile."""
    root: dict[Hashable, Hashable] = {}

    def find(node: Hashable) -> Hashable:
        while (above := root.setdefault(node, node)) != node:
            root[node] = root[above]
            node = above
        return node

    for group, kin in zip(groups, family.tolist(), strict=True):
        root[find(("group", group))] = find(("family", kin))
    tops = [find(("family", kin)) for kin in family.tolist()]
    numbers = {top: number for number, top in enumerate(dict.fromkeys(tops))}
    return np.array([numbers[top] for top in tops], dtype=np.int64)


def _keys(names: Sequence[str], component: Integers, seed: int) -> list[bytes]:
    """Return what each component is sorted by: a hash of the seed and its first tile, wherever the data set lies."""
    above = len(os.path.commonprefix(names))  # noqa: RUF071 - any cut does, as long as it moves with the data set
    first: dict[int, str] = {}
    for name, number in zip(names, component.tolist(), strict=True):
        first[number] = min(name[above:], first.get(number, name[above:]))
    return [hashlib.sha256(f"{seed}:{first[number]}".encode()).digest() for number in range(len(first))]
