"""Which labelled tiles are held out for validation.

Pure functions over arrays and lists. Two tiles of one photo, or of one picture, are never on both sides.
"""

import hashlib
import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.core.counts import count_of
from pipeline.core.errors import UsageError
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.labels.near_duplicates import Descriptors, find_duplicates, group_duplicates


@dataclass(frozen=True)
class TrainValSplit:
    """The tiles to train on and the tiles to validate on."""

    training: LabelledTiles
    validation: LabelledTiles
    dropped: int
    """Training tiles left out, since they repeat a validation tile or share its photo."""


@dataclass(frozen=True)
class SplitRule:
    """How to divide a data set without validation tiles of its own."""

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
    describe: Callable[[LabelledTiles], Descriptors],
) -> TrainValSplit:
    """Divide labelled tiles into training and validation tiles.

    Args:
        tiles: labelled tiles for training.
        validation: labelled tiles for validation, or None to hold some of `tiles` out.
        rule: how to hold tiles out if `validation` is None.
        describe: reads tiles and returns their descriptors, as `compute_descriptors` does.

    Raises:
        UsageError: nothing is left to train on, or the tiles cannot be divided.
    """
    if validation is None:
        is_validation = assign(tiles, group_duplicates(describe(tiles)), rule)
        return TrainValSplit(tiles.subset(~is_validation), tiles.subset(is_validation), dropped=0)
    same_photo = np.isin(np.array(tiles.groups), np.array(validation.groups))
    dropped = same_photo | find_duplicates(describe(tiles), describe(validation))
    training = tiles.subset(~dropped)
    if not 0 < int(training.labels.sum()) < len(training):
        raise UsageError(
            f"{int(dropped.sum())} of {count_of(len(tiles), 'training tile')} repeat validation tiles; the others are "
            "of one class only. Give other tiles for training or for validation."
        )
    return TrainValSplit(training, validation, dropped=int(dropped.sum()))


def assign(tiles: LabelledTiles, family: NDArray[np.int64], rule: SplitRule) -> NDArray[np.bool_]:
    """Tell which tiles to hold out: whole photos and families, about the given fraction of each class.

    Visits connected components in the order of a hash of seed and content, and holds a component out if that brings
    both classes nearer to the fraction. So the order of the tiles does not matter, and a seed always gives the same
    split.

    Raises:
        UsageError: no division leaves both classes on both sides.
    """
    component = find_components(tiles.groups, family)
    counts, order = _count_components(tiles, component, rule.seed)
    chosen = _choose_components(counts, order, rule.fraction)
    is_validation: NDArray[np.bool_] = chosen[component]
    held = counts[chosen].sum(axis=0)
    if (held == 0).any() or (held == counts.sum(axis=0)).any():
        raise UsageError(
            f"{count_of(len(tiles), 'tile comes', 'tiles come')} from {count_of(len(order), 'photo')} or families of "
            f"like tiles, too few to hold out {rule.fraction:.0%} with both classes on both sides. "
            "Give validation tiles with --val."
        )
    return is_validation


def assign_folds(tiles: LabelledTiles, component: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Deal tiles out to folds: whole components, both classes as evenly as they come.

    Deals them in the order of a hash of seed and content, each to the fold that has least of its classes.

    Args:
        tiles: n tiles.
        component: of each tile, as `find_components` numbers them.
        folds: how many.
        seed: of the order.

    Shapes: (n,) → (n,), from 0 to `folds` - 1.
    """
    counts, order = _count_components(tiles, component, seed)
    share = counts / np.maximum(counts.sum(axis=0), 1)
    held, fold_of = np.zeros((folds, 2)), np.zeros(len(order), np.int64)
    for index in order:
        fold_of[index] = np.argmin(held @ share[index])
        held[fold_of[index]] += share[index]
    fold: NDArray[np.int64] = fold_of[component]
    return fold


def _count_components(
    tiles: LabelledTiles, component: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.float64], list[int]]:
    """Return the tiles of either class in each component, shape (components, 2), and the order of their hashes."""
    keys = _component_keys(tiles.names, component, seed)
    counts = np.zeros((len(keys), 2))
    np.add.at(counts, (component, tiles.labels.astype(int)), 1)
    return counts, sorted(range(len(keys)), key=lambda index: keys[index])


def _choose_components(counts: NDArray[np.float64], order: Sequence[int], fraction: float) -> NDArray[np.bool_]:
    """Choose the components that bring the held-out numbers of both classes nearer to the fraction."""
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


def _add_smallest(counts: NDArray[np.float64], order: Sequence[int], chosen: NDArray[np.bool_], label: int) -> None:
    """Choose the smallest component that holds a class and leaves both classes to train on, if there is one."""
    left = counts[~chosen].sum(axis=0)
    fit = [index for index in order if not chosen[index] and counts[index, label] and (left > counts[index]).all()]
    if fit:
        chosen[min(fit, key=lambda index: counts[index].sum())] = True


def find_components(groups: Sequence[Hashable], family: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each tile the number, 0, 1, …, of its component: tiles linked by shared groups and families.

    Args:
        groups: the photo of each tile, as `LabelledTiles.groups`.
        family: of each tile, as `near_duplicates.group_duplicates` numbers them.

    Shapes: (n,) → (n,).
    """
    root: dict[Hashable, Hashable] = {}

    def find(node: Hashable) -> Hashable:
        while (above := root.setdefault(node, node)) != node:
            root[node] = root[above]
            node = above
        return node

    for group, of_family in zip(groups, family.tolist(), strict=True):
        root[find(("group", group))] = find(("family", of_family))
    tops = [find(("family", of_family)) for of_family in family.tolist()]
    numbers = {top: number for number, top in enumerate(dict.fromkeys(tops))}
    return np.array([numbers[top] for top in tops], dtype=np.int64)


def _component_keys(names: Sequence[str], component: NDArray[np.int64], seed: int) -> list[bytes]:
    """Return the sort key of each component: a hash of the seed and its first tile, without the data set's place."""
    prefix = len(os.path.commonprefix(names))  # noqa: RUF071 - any cut does, as long as it moves with the data set
    first: dict[int, str] = {}
    for name, number in zip(names, component.tolist(), strict=True):
        first[number] = min(name[prefix:], first.get(number, name[prefix:]))
    return [hashlib.sha256(f"{seed}:{first[number]}".encode()).digest() for number in range(len(first))]
