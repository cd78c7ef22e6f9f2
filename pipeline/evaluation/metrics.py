"""How good scores are: the measures of an evaluation, and how sure of them one may be.

Knows labels and scores only; neither disk nor Ray nor GPU. Curves are drawn by `figures`, reports made by
`evaluation`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

CALIBRATION_BINS = 15
"""The number that Guo et al. 2017 (On Calibration of Modern Neural Networks) report with."""
FALSE_ALARM_RATES = {"recall_at_1_percent_false_alarms": 0.01, "recall_at_5_percent_false_alarms": 0.05}
ROUNDING = 1e-6
"""One false alarm in a hundred is 1 %, though 0.01 in float32 is a little less."""


@dataclass(frozen=True)
class Metrics:
    """The measures of one set of tiles; None where one has no meaning (one class only, nothing called cracked)."""

    n: int
    """Tiles."""
    threshold: float
    """A tile is called cracked where its score is at or over this."""
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    accuracy: float | None
    balanced_accuracy: float | None
    """Mean of the parts found of cracked and of sound tiles."""
    precision: float | None
    """Part of the tiles called cracked that are."""
    recall: float | None
    """Part of the cracked tiles called cracked."""
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
"""The fields of `Metrics` that are ratios, and have an interval."""


def measure(labels: Bools, scores: Floats, threshold: float = 0.5) -> Metrics:
    """Measure how well scores tell cracked tiles from sound ones, with torchmetrics.

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
        values |= _of_scores(labels, scores) | _of_calls(labels, called)
    return Metrics(len(labels), threshold, tp, fp, fn, tn, **values)


def _of_calls(labels: Bools, called: Bools) -> dict[str, float | None]:
    """Return the measures at a threshold; torchmetrics itself would not count a score at it."""
    import torch
    from torchmetrics.functional import classification as tm

    truth, calls = torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(called.astype(np.int64))
    recall = float(tm.binary_recall(calls, truth)) if labels.any() else None
    specificity = float(tm.binary_specificity(calls, truth)) if not labels.all() else None
    return {
        "accuracy": float(tm.binary_accuracy(calls, truth)),
        "balanced_accuracy": None if recall is None or specificity is None else (recall + specificity) / 2,
        "precision": float(tm.binary_precision(calls, truth)) if called.any() else None,
        "recall": recall,
        "f1": float(tm.binary_f1_score(calls, truth)) if labels.any() else None,
    }


def _of_scores(labels: Bools, scores: Floats) -> dict[str, float | None]:
    """Return the measures that need no threshold."""
    import torch
    from torchmetrics.functional import classification as tm

    truth, predicted = torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(scores.astype(np.float32))
    values: dict[str, float | None] = {
        "calibration_error": float(tm.binary_calibration_error(predicted, truth, CALIBRATION_BINS))
    }
    if labels.any() and not labels.all():
        values["average_precision"] = float(tm.binary_average_precision(predicted, truth))
        values["auc"] = float(tm.binary_auroc(predicted, truth))
        false_alarm_rate, recall, _ = tm.binary_roc(predicted, truth)
        for name, allowed in FALSE_ALARM_RATES.items():
            values[name] = float(recall[false_alarm_rate <= allowed + ROUNDING].max())
    return values
