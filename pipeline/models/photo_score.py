"""The probability that a photo shows a crack, from the scores of its tiles.

The highest score of some hundred tiles says little: one false alarm in a hundred tiles flags nine sound photos of ten.
A crack lies at one place, in a tile or in a run of neighbours, and nobody knows where. The odds of the tiles at a place
say how many times likelier they look with a crack there; the mean over all places says it of the photo (the average
likelihood ratio of Chan & Walther 2013, Statistica Sinica 23). It does not rise with the number of tiles, a second tile
beside the first counts, and one far away does not.

What looks like a crack in one tile in ten of a photo is its surface. The level that these tiles exceed, beside the
three that a crack may take, counts against the highest ones, and the more so the more tiles there are. The weights of
both are fitted to photos of structures not seen, by `evaluation.photo_calibration`.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.models.card import PhotoCalibration

Floats = NDArray[np.float64]

MOST_TILES = 3
"""Of a run; a longer one finds no more cracks and more false alarms (docs/experiments.md)."""
BACKGROUND_SHARE = 0.1
"""Part of the tiles that exceed the background."""
MOST_EVIDENCE = 8.0
"""Logit of a tile beyond which it says no more: a crack score of 0.9997, or 0.0003."""


def score_photo(scores: NDArray[np.float32], rows: int, calibration: PhotoCalibration) -> float:
    """Return the probability that a photo shows a crack, at even odds as the scores of its tiles.

    Args:
        scores: of its tiles, row by row of their grid; NaN for a tile that shows nothing. Shape (n,).
        rows: of the grid.
        calibration: the model's.
    """
    evidence, background = weigh_tiles(logits_of(scores).reshape(rows, -1))
    logit = calibration.evidence * evidence + calibration.background * background + calibration.bias
    return float(1 / (1 + np.exp(-logit)))


def weigh_tiles(logits: Floats) -> tuple[float, float]:
    """Return the log likelihood ratio of a photo, and its background times the logarithm of its number of tiles.

    Shape: (rows, cols); NaN for a tile that shows nothing.
    """
    falling = np.sort(logits[~np.isnan(logits)])[::-1]
    rank = min(len(falling) - 1, MOST_TILES + int(BACKGROUND_SHARE * len(falling)))
    return log_likelihood_ratio(logits), float(falling[rank] * np.log(len(falling)))


def logits_of(scores: NDArray[np.float32]) -> Floats:
    """Return the logits of probabilities, within `MOST_EVIDENCE`."""
    low, high = 1 / (1 + np.exp([MOST_EVIDENCE, -MOST_EVIDENCE]))
    bounded = np.clip(scores.astype(np.float64), low, high)
    logits: Floats = np.log(bounded) - np.log1p(-bounded)
    return logits


def log_likelihood_ratio(logits: Floats) -> float:
    """Return the logarithm of the mean odds of all places; each length of a run has the same part in it.

    Shape: (rows, cols).
    """
    found = (_sum_runs(logits, length) for length in range(1, MOST_TILES + 1))
    runs = (sums[~np.isnan(sums)] for sums in found)
    return _log_mean_exp(np.array([_log_mean_exp(sums) for sums in runs if len(sums)]))


def _sum_runs(logits: Floats, length: int) -> Floats:
    """Return the sums of all runs of so many tiles in a row, a column or a diagonal. Shape: (rows, cols) → (n,)."""
    if length == 1:
        return logits.ravel()
    rows, cols = (max(0, side - length + 1) for side in logits.shape)
    steps = range(length)
    sums = (
        sum(logits[:, step : step + cols] for step in steps),
        sum(logits[step : step + rows] for step in steps),
        sum(logits[step : step + rows, step : step + cols] for step in steps),
        sum(logits[step : step + rows, length - 1 - step : length - 1 - step + cols] for step in steps),
    )
    return np.concatenate([np.ravel(each) for each in sums])


def _log_mean_exp(values: Floats) -> float:
    most = values.max()
    return float(most + np.log(np.exp(values - most).mean()))
