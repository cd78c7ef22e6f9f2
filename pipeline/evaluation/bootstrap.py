"""How sure one may be of an evaluation: bootstrap intervals of the measures in `metrics`.

Tiles of one photo are alike, so whole photos are resampled, not tiles: intervals from tiles would be too narrow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import CALIBRATION_BINS, FALSE_ALARM_RATES, MEASURES, ROUNDING, Bools, Floats

Weights = NDArray[np.float64]
"""How often each tile was drawn, shape (repeats, n)."""

CELLS_A_BATCH = 2_000_000
"""Resampled tiles looked at in one go: 16 MB for each of about ten arrays."""
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Resampling:
    """How intervals are found."""

    repeats: int = 1000
    """Resampled data sets; 200 give a fair idea."""
    seed: int = 0


def bootstrap(
    labels: Bools,
    scores: Floats,
    groups: Sequence[str],
    threshold: float,
    resampling: Resampling,
) -> dict[str, tuple[float, float] | None]:
    """Return the 95 % percentile interval of every measure, from groups drawn with replacement.

    Resampled data sets in which a measure has no meaning are left out of its interval; where it has none in all of
    them, the interval is None.

    Shapes: `labels`, `scores` and `groups` are (n,).
    """
    if not len(labels):
        return dict.fromkeys(MEASURES)
    _, group = np.unique(np.array(groups), return_inverse=True)
    falling = np.argsort(-scores, kind="stable")
    sample = _Sample(labels[falling], scores[falling].astype(np.float32), threshold)
    batches = [sample.measure(drawn[:, group[falling]]) for drawn in _draws(group, resampling)]
    return {name: _interval(np.concatenate([batch[name] for batch in batches])) for name in MEASURES}


def _draws(group: NDArray[np.int64], resampling: Resampling) -> Iterator[Weights]:
    """Yield how often each group was drawn, shape (batch, groups)."""
    total = int(group.max()) + 1
    random = np.random.default_rng(resampling.seed)
    batch = max(1, CELLS_A_BATCH // len(group))
    for start in range(0, resampling.repeats, batch):
        size = min(batch, resampling.repeats - start)
        yield random.multinomial(total, np.full(total, 1 / total), size=size).astype(np.float64)


def _interval(values: Weights) -> tuple[float, float] | None:
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None
    low, high = np.percentile(defined, PERCENTILES)
    return float(low), float(high)


class _Sample:
    """Tiles in falling order of score, measured under many weightings at once.

    The same definitions as in `metrics`, where torchmetrics measures one set at a time; a test holds them equal.
    """

    def __init__(self, labels: Bools, scores: NDArray[np.float32], threshold: float) -> None:
        self._labels = labels.astype(np.float64)
        self._called = scores >= threshold
        # A threshold can only stand between different scores: the last tile of each run of equal scores.
        self._ends = np.flatnonzero(np.append(np.diff(scores) != 0, [True]))
        edges = np.linspace(0, 1, CALIBRATION_BINS + 1, dtype=np.float32)
        bins = np.searchsorted(edges, scores, side="right")
        self._bin_starts = np.flatnonzero(np.append([True], np.diff(bins) != 0))
        self._scores = scores.astype(np.float64)

    def measure(self, weights: Weights) -> dict[str, Weights]:
        """Return every measure of every weighting, not a number where it has no meaning.

        Shapes: (repeats, n) → (repeats,) each.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._of_calls(weights) | self._of_scores(weights)

    def _of_calls(self, weights: Weights) -> dict[str, Weights]:
        cracked = weights @ self._labels
        total = weights.sum(axis=1)
        tp = weights @ (self._labels * self._called)
        called = weights @ self._called.astype(np.float64)
        tn = total - cracked - (called - tp)
        recall = tp / cracked
        return {
            "accuracy": (tp + tn) / total,
            "balanced_accuracy": (recall + tn / (total - cracked)) / 2,
            "precision": tp / called,
            "recall": recall,
            "f1": np.where(cracked > 0, 2 * tp / (called + cracked), np.nan),
        }

    def _of_scores(self, weights: Weights) -> dict[str, Weights]:
        positives = np.cumsum(weights * self._labels, axis=1)[:, self._ends]
        everything = np.cumsum(weights, axis=1)[:, self._ends]
        negatives = everything - positives
        recall = positives / positives[:, -1:]
        false_alarm_rate = negatives / negatives[:, -1:]
        defined = (positives[:, -1] > 0) & (negatives[:, -1] > 0)
        precision = np.divide(positives, everything, out=np.zeros_like(positives), where=everything > 0)
        area = np.trapezoid(np.pad(recall, ((0, 0), (1, 0))), np.pad(false_alarm_rate, ((0, 0), (1, 0))), axis=1)
        values = {
            "average_precision": (np.diff(recall, prepend=0, axis=1) * precision).sum(axis=1),
            "auc": area,
        }
        for name, allowed in FALSE_ALARM_RATES.items():
            values[name] = np.where(false_alarm_rate <= allowed + ROUNDING, recall, 0).max(axis=1)
        return {name: np.where(defined, value, np.nan) for name, value in values.items()} | {
            "calibration_error": self._calibration_error(weights)
        }

    def _calibration_error(self, weights: Weights) -> Weights:
        """Return sum over bins of |cracked tiles - expected cracked tiles|, over all tiles."""
        surprise = np.add.reduceat(weights * (self._labels - self._scores), self._bin_starts, axis=1)
        error: Weights = np.abs(surprise).sum(axis=1) / weights.sum(axis=1)
        return error
