"""The old and the new model side by side, on photos that neither has learnt from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.bootstrap import Bootstrap, bootstrap_differences
from pipeline.evaluation.metrics import Metrics, measure

FOLDS = 10
LEAST_PHOTOS = 10
"""With fewer photos, resampled ones say too little of other photos, and no interval is honest."""

Verdict = Literal["better", "worse", "cannot be told"]

Bools = NDArray[np.bool_]
Scores = NDArray[np.float64]
Photos = NDArray[np.int64]
"""Which tiles belong together: of one photo, or nearly the same picture; as `split.find_components` numbers them."""


@dataclass(frozen=True)
class SideBySide:
    """What both models score on the same tiles."""

    photos: int
    before: Metrics
    after: Metrics
    auc_gain: tuple[float, float] | None
    """95 % interval of how much higher the new model's AUC is, from resampled photos; None with too few photos, or with
    one class only."""

    @property
    def verdict(self) -> Verdict:
        """Better or worse only if the whole interval says so."""
        low, high = self.auc_gain or (0.0, 0.0)
        return "better" if low > 0 else "worse" if high < 0 else "cannot be told"


def compare(labels: Bools, photos: Photos, scores: tuple[Scores, Scores], threshold: float) -> SideBySide:
    """Compare the scores of the old and the new model for the same tiles. Shapes: (n,)."""
    count = len(np.unique(photos))
    gain = None
    if count >= LEAST_PHOTOS and 0 < labels.sum() < len(labels):
        gain = bootstrap_differences(labels, scores, photos.tolist(), threshold, Bootstrap())["auc"]
    before, after = (measure(labels, each, threshold) for each in scores)
    return SideBySide(count, before, after, gain)


def score_held_out(folds: NDArray[np.int64], labels: Bools, score: Callable[[Bools, Bools], Scores]) -> Scores:
    """Return for each tile the score of a model that learnt from the other folds (Stone 1974).

    Args:
        folds: of each tile.
        labels: of each tile.
        score: adapts to the first tiles and scores the second ones.

    Returns:
        NaN for the tiles of a fold whose other folds have one class only, from which nothing can be learnt.

    Shape: (n,) each.
    """
    scores = np.full(len(labels), np.nan)
    for fold in np.unique(folds):
        held = folds == fold
        if 0 < labels[~held].sum() < (~held).sum():
            scores[held] = score(~held, held)
    return scores
