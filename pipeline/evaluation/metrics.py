"""How good scores are: the measures of an evaluation, from labels and scores alone."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
"""Labels of tiles, True = cracked; or another fact about each tile."""
Scores = NDArray[np.floating]
"""Probabilities of a crack, in [0, 1]."""
Floats = NDArray[np.float64]
"""Floats of tiles, shape (repeats, n), and values of measures."""

CALIBRATION_BINS = 15
"""As in Guo et al. 2017, On Calibration of Modern Neural Networks."""
FALSE_ALARM_RATES = {"recall_at_1_percent_false_alarms": 0.01, "recall_at_5_percent_false_alarms": 0.05}
ROUNDING = 1e-6
"""One false alarm in a hundred is 1 %, though 0.01 in float32 is a little less."""


@dataclass(frozen=True)
class Metrics:
    """The measures of one set of tiles; None if a measure is undefined (one class only, nothing called cracked)."""

    n: int
    """Tiles."""
    threshold: float
    """A tile with a score at or over this is called cracked."""
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    accuracy: float | None
    balanced_accuracy: float | None
    """Mean of the recalls of cracked and of sound tiles."""
    precision: float | None
    """Part of the tiles called cracked that are cracked."""
    recall: float | None
    """Part of the cracked tiles that are called cracked."""
    f1: float | None
    average_precision: float | None
    """Area under the precision-recall curve, as a step function."""
    auc: float | None
    """Area under the ROC curve: how often a cracked tile scores higher than a sound one."""
    recall_at_1_percent_false_alarms: float | None
    """The best recall of any threshold at which at most 1 % of the sound tiles are called cracked."""
    recall_at_5_percent_false_alarms: float | None
    calibration_error: float | None
    """Expected calibration error of the scores as probabilities, 15 bins."""


MEASURES = (
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "average_precision",
    "auc",
    "recall_at_1_percent_false_alarms",
    "recall_at_5_percent_false_alarms",
    "calibration_error",
)
"""The fields of `Metrics` that are ratios and have an interval."""


class Curves(NamedTuple):
    """Precision-recall and ROC curves: a point for each distinct score, from the highest down.

    Shapes: (repeats, points).
    """

    recall: Floats
    precision: Floats
    false_alarm_rate: Floats


def measure(labels: Bools, scores: Scores, threshold: float = 0.5) -> Metrics:
    """Measure how well scores tell cracked tiles from sound ones.

    Args:
        labels: True = cracked.
        scores: probabilities of a crack, in [0, 1].
        threshold: a tile at or over it is called cracked.

    Shapes: (n,) and (n,).
    """
    called = scores >= threshold
    tp, fp = int((called & labels).sum()), int((called & ~labels).sum())
    fn, tn = int((~called & labels).sum()), int((~called & ~labels).sum())
    values: dict[str, float | None] = dict.fromkeys(MEASURES)
    if len(labels):
        found = RankedTiles(labels, scores, threshold).measure(np.ones((1, len(labels))))
        values |= {name: None if np.isnan(value[0]) else float(value[0]) for name, value in found.items()}
    return Metrics(len(labels), threshold, tp, fp, fn, tn, **values)


class RankedTiles:
    """Tiles in descending order of score, measured under many weightings at once.

    The one implementation of the measures: `measure` gives every tile the weight 1, `bootstrap` the number of times
    that a resampling drew it, and `calibration` a weight that balances the classes.

    Shapes: `labels` and `scores` are (n,).
    """

    def __init__(self, labels: Bools, scores: Scores, threshold: float = 0.5) -> None:
        self.order = np.argsort(-scores, kind="stable")
        """Indices that bring weights into the order of the tiles here."""
        self._labels = labels[self.order].astype(np.float64)
        ranked = scores[self.order]
        self._called = ranked >= threshold
        # The last tile of each run of equal scores, since a threshold cannot divide them.
        self._ends = np.flatnonzero(np.append(np.diff(ranked) != 0, [True]))
        edges = np.linspace(0, 1, CALIBRATION_BINS + 1, dtype=np.float32)
        bins = np.searchsorted(edges, ranked, side="right")
        self._bin_starts = np.flatnonzero(np.append([True], np.diff(bins) != 0))
        self._scores = ranked.astype(np.float64)

    def measure(self, weights: Floats) -> dict[str, Floats]:
        """Return every measure of every weighting, NaN if it is undefined.

        Shapes: (repeats, n) → (repeats,) each.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._at_threshold(weights) | self._over_thresholds(weights)

    def curves(self, weights: Floats) -> Curves:
        """Return the points of the precision-recall and ROC curves, NaN without tiles of both classes.

        Shape: (repeats, n).
        """
        positives = np.cumsum(weights * self._labels, axis=1)[:, self._ends]
        everything = np.cumsum(weights, axis=1)[:, self._ends]
        negatives = everything - positives
        precision = np.divide(positives, everything, out=np.zeros_like(positives), where=everything > 0)
        return Curves(positives / positives[:, -1:], precision, negatives / negatives[:, -1:])

    def calibration_error(self, weights: Floats) -> Floats:
        """Return the sum over bins of |cracked tiles - expected cracked tiles|, divided by the number of tiles.

        Shape: (repeats, n) → (repeats,).
        """
        surprise = np.add.reduceat(weights * (self._labels - self._scores), self._bin_starts, axis=1)
        error: Floats = np.abs(surprise).sum(axis=1) / weights.sum(axis=1)
        return error

    def _at_threshold(self, weights: Floats) -> dict[str, Floats]:
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

    def _over_thresholds(self, weights: Floats) -> dict[str, Floats]:
        recall, precision, false_alarm_rate = self.curves(weights)
        values = {
            "average_precision": (np.diff(recall, prepend=0, axis=1) * precision).sum(axis=1),
            "auc": np.trapezoid(np.pad(recall, ((0, 0), (1, 0))), np.pad(false_alarm_rate, ((0, 0), (1, 0))), axis=1),
        }
        for name, allowed in FALSE_ALARM_RATES.items():
            values[name] = np.where(false_alarm_rate <= allowed + ROUNDING, recall, 0).max(axis=1)
        defined = np.isfinite(recall[:, -1]) & np.isfinite(false_alarm_rate[:, -1])
        return {name: np.where(defined, value, np.nan) for name, value in values.items()} | {
            "calibration_error": self.calibration_error(weights)
        }
