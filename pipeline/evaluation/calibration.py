"""From a network's confidence to a probability, and from that to a threshold: both fitted to held-out tiles.

Knows logits and labels only; which tiles those are is `unseen`'s business, the card keeps the result.

A score fitted across sources is the probability of a crack at even odds: as many cracked tiles as sound ones. Where a
share b of the tiles is cracked, a score s stands for the probability s b / (s b + (1 - s) (1 - b)).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import CALIBRATION_BINS
from pipeline.models.card import Calibration

Floats = NDArray[np.float64]

COLDEST, WARMEST = 0.5, 3.0
"""A few held-out tiles told apart without an error would ask for a temperature of zero: certainty nobody has."""

FARTHEST = 3.0
"""Largest bias either way, in logits: odds of twenty to one."""

_TEMPERATURES = np.geomspace(COLDEST, WARMEST, 91)
_HALVINGS = 13
"""Of the range of biases: to a thousandth of a logit."""


class Sample(NamedTuple):
    """What a network made of labelled tiles of one source; both classes are there."""

    logits: NDArray[np.float32]
    """Shape (n,)."""
    labels: NDArray[np.bool_]
    """Shape (n,); True = cracked."""

    def weights(self) -> Floats:
        """Return what each tile counts: both classes alike, 1 in sum. Shape (n,)."""
        cracked = float(self.labels.mean())
        return np.where(self.labels, 0.5 / cracked, 0.5 / (1 - cracked)) / len(self.labels)


class Rates(NamedTuple):
    """What a threshold does, as parts of the tiles of a class; every source weighs the same."""

    recall: float
    """Of the cracked tiles, called cracked."""
    false_alarm_rate: float
    """Of the sound tiles, called cracked."""

    def precision(self, base_rate: float) -> float | None:
        """Part of the alarms that are right where so many of the tiles are cracked; None where there are no alarms."""
        right, wrong = self.recall * base_rate, self.false_alarm_rate * (1 - base_rate)
        return right / (right + wrong) if right + wrong else None


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.bool_]) -> Calibration:
    """Find the temperature under which the labels are the most likely (Guo et al. 2017, temperature scaling).

    Shapes: (n,) and (n,).
    """
    return _most_likely(logits, labels, np.full(len(labels), 1 / len(labels)), 0.0)


def fit_across(samples: Sequence[Sample]) -> Calibration:
    """Find the temperature and the bias under which the labels of all sources are the most likely.

    Every source weighs the same, and so does every class in it. The bias is there because cracks of a structure not
    seen look less like cracks than those trained on, and sound concrete no less sound (docs/experiments.md).
    """
    return _most_likely(
        np.concatenate([sample.logits for sample in samples]),
        np.concatenate([sample.labels for sample in samples]),
        np.concatenate([sample.weights() for sample in samples]) / len(samples),
        FARTHEST,
    )


def leaving_out(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Return, for each sample, all the others."""
    return [[*samples[:left_out], *samples[left_out + 1 :]] for left_out in range(len(samples))]


def calibration_error(sample: Sample, calibration: Calibration) -> float:
    """Return the expected calibration error at even odds: as in `metrics`, but with both classes weighing the same."""
    scores, weights = scores_of(sample, calibration), sample.weights()
    which = np.minimum((scores * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    surprise = np.bincount(which, weights=weights * (sample.labels - scores), minlength=CALIBRATION_BINS)
    return float(np.abs(surprise).sum())


def scores_of(sample: Sample, calibration: Calibration) -> Floats:
    """Return the probabilities of a crack, as `network.crack_scores` does. Shape (n,)."""
    scaled = sample.logits.astype(np.float64) / calibration.temperature + calibration.bias
    scores: Floats = 1 / (1 + np.exp(-scaled))
    return scores


def threshold_for(samples: Sequence[Sample], calibration: Calibration, false_alarm_rate: float) -> float:
    """Return the lowest threshold at which no more than this part of the sound tiles is called cracked.

    Every source weighs the same; rounded up to the sixth decimal.
    """
    sound = [scores_of(sample, calibration)[~sample.labels] for sample in samples]
    scores = np.concatenate(sound)
    weights = np.concatenate([np.full(len(part), 1 / len(part) / len(sound)) for part in sound])
    falling = np.argsort(-scores, kind="stable")
    called = np.cumsum(weights[falling])
    over = np.flatnonzero(called > false_alarm_rate + 1e-9)  # the sum of many weights is not exact
    highest_passed = float(scores[falling][over[0]]) if len(over) else 0.0
    return min(1.0, (math.floor(highest_passed * 1e6) + 1) / 1e6)


def rates_at(samples: Sequence[Sample], calibration: Calibration, threshold: float) -> Rates:
    """Return what a threshold does, in the mean over the sources."""
    called = [(scores_of(sample, calibration) >= threshold, sample.labels) for sample in samples]
    return Rates(
        recall=float(np.mean([calls[labels].mean() for calls, labels in called])),
        false_alarm_rate=float(np.mean([calls[~labels].mean() for calls, labels in called])),
    )


def _most_likely(
    logits: NDArray[np.float32], labels: NDArray[np.bool_], weights: Floats, farthest: float
) -> Calibration:
    """Find the temperature and the bias, no farther from zero than this, under which the labels are the most likely."""
    signs = np.where(labels, 1.0, -1.0)
    scaled = [signs * logits / temperature for temperature in _TEMPERATURES]
    biases = [_best_bias(margins, signs, weights, farthest) for margins in scaled]
    losses = [
        weights @ np.logaddexp(0, -(margins + signs * bias)) for margins, bias in zip(scaled, biases, strict=True)
    ]
    best = int(np.argmin(losses))
    return Calibration(round(float(_TEMPERATURES[best]), 4), round(biases[best], 3))


def _best_bias(margins: Floats, signs: Floats, weights: Floats, farthest: float) -> float:
    """Halve the range of biases to where the loss is lowest: its slope rises with the bias."""
    low, high = -farthest, farthest
    for _ in range(_HALVINGS if farthest else 0):
        middle = (low + high) / 2
        slope = -(weights * signs) @ (1 / (1 + np.exp(margins + signs * middle)))
        low, high = (low, middle) if slope > 0 else (middle, high)
    return (low + high) / 2
