"""The old and the new model side by side, on photos that neither has learnt from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.bootstrap import Bootstrap, bootstrap_differences
from pipeline.evaluation.metrics import Metrics, measure
from pipeline.labels.labelled_tiles import LabelledTiles

FOLDS = 5
LEAST_PHOTOS = 10
"""With fewer photos, resampled ones say too little of other photos, and no interval is honest."""

Verdict = Literal["better", "worse", "cannot be told"]

Scores = NDArray[np.float64]


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


def compare(tiles: LabelledTiles, before: Scores, after: Scores, threshold: float) -> SideBySide:
    """Compare the scores of two models for the same tiles. Shapes: (n,)."""
    photos = len(set(tiles.groups))
    gain = None
    if photos >= LEAST_PHOTOS and 0 < tiles.labels.sum() < len(tiles):
        gains = bootstrap_differences(tiles.labels, (before, after), tiles.groups, threshold, Bootstrap())
        gain = gains["auc"]
    old, new = (measure(tiles.labels, scores, threshold) for scores in (before, after))
    return SideBySide(photos, old, new, gain)


def score_held_out(
    folds: NDArray[np.int64],
    labels: NDArray[np.bool_],
    before: Scores,
    score: Callable[[NDArray[np.bool_], NDArray[np.bool_]], Scores],
) -> Scores:
    """Return for each tile the score of a model that learnt from the other folds (Stone 1974).

    Args:
        folds: of each tile.
        labels: of each tile.
        before: of the old model, for a fold whose other folds have one class only.
        score: adapts to the first tiles and scores the second ones.

    Shape: (n,) each.
    """
    after = before.copy()
    for fold in np.unique(folds):
        held = folds == fold
        if 0 < labels[~held].sum() < (~held).sum():
            after[held] = score(~held, held)
    return after
