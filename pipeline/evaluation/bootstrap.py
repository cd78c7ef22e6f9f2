"""Bootstrap intervals of the measures in `metrics`.

Resamples whole photos, since tiles of one photo are alike and intervals from single tiles would be too narrow.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import MEASURES, Bools, Floats, RankedTiles, Scores

CELLS_A_BATCH = 2_000_000
"""Resampled tiles measured at once: 16 MB for each of about ten arrays."""
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Bootstrap:
    """How to compute intervals."""

    repeats: int = 1000
    """Number of resampled data sets; 200 give a fair idea."""
    seed: int = 0


def bootstrap(
    labels: Bools,
    scores: Scores,
    groups: Sequence[str],
    threshold: float,
    resampling: Bootstrap,
) -> dict[str, tuple[float, float] | None]:
    """Return the 95 % percentile interval of every measure, from groups drawn with replacement.

    Ignores resampled data sets in which a measure is undefined; the interval is None if it is undefined in all.

    Shapes: `labels`, `scores` and `groups` are (n,).
    """
    if not len(labels):
        return dict.fromkeys(MEASURES)
    found = _resample(labels, scores, groups, threshold, resampling)
    return {name: _interval(values) for name, values in found.items()}


def bootstrap_weighted(
    tiles: RankedTiles, weights: Floats, groups: Sequence[Hashable], resampling: Bootstrap
) -> dict[str, tuple[float, float] | None]:
    """Return the intervals of `bootstrap` for tiles that stand for different numbers of others.

    Args:
        tiles: at least one.
        weights: how many tiles each stands for, in the order that `tiles` was made with.
        groups: the photo of each, in the same order.
        resampling: how to compute.

    Shapes: `weights` and `groups` are (n,).
    """
    found = _resample_weighted(tiles, weights, groups, resampling)
    return {name: _interval(values) for name, values in found.items()}


def bootstrap_differences(
    labels: Bools,
    pair: tuple[Scores, Scores],
    groups: Sequence[Hashable],
    threshold: float,
    resampling: Bootstrap,
) -> dict[str, tuple[float, float] | None]:
    """Return the 95 % percentile interval of how much higher every measure is for the second scores than the first.

    Both are measured on the same resampled data sets.

    Shapes: `labels`, each of `pair` and `groups` are (n,).
    """
    first, second = (_resample(labels, scores, groups, threshold, resampling) for scores in pair)
    return {name: _interval(second[name] - first[name]) for name in MEASURES}


def _resample(
    labels: Bools, scores: Scores, groups: Sequence[Hashable], threshold: float, resampling: Bootstrap
) -> dict[str, Floats]:
    """Return every measure of each resampled data set. Shape: (repeats,) each."""
    return _resample_weighted(RankedTiles(labels, scores, threshold), np.ones(len(labels)), groups, resampling)


def _resample_weighted(
    tiles: RankedTiles, weights: Floats, groups: Sequence[Hashable], resampling: Bootstrap
) -> dict[str, Floats]:
    _, group = np.unique(np.array(groups), return_inverse=True)
    order = tiles.order
    batches = [tiles.measure(drawn[:, group[order]] * weights[order]) for drawn in _draw(group, resampling)]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in MEASURES}


def _draw(group: NDArray[np.int64], resampling: Bootstrap) -> Iterator[Floats]:
    """Draw groups with replacement; yield how often each was drawn, shape (batch, groups)."""
    total = int(group.max()) + 1
    random = np.random.default_rng(resampling.seed)
    batch = max(1, CELLS_A_BATCH // len(group))
    for start in range(0, resampling.repeats, batch):
        size = min(batch, resampling.repeats - start)
        yield random.multinomial(total, np.full(total, 1 / total), size=size).astype(np.float64)


def _interval(values: Floats) -> tuple[float, float] | None:
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None
    low, high = np.percentile(defined, PERCENTILES)
    return float(low), float(high)
