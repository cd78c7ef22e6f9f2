"""From logits to probabilities, and from those to a threshold, both fitted to held-out tiles.

Knows logits and labels only; `operating_point` chooses the tiles.

A score fitted across sources is the probability of a crack at even odds, with as many cracked tiles as sound ones. If a
part b of the tiles is cracked, the score s means the probability s b / (s b + (1 - s) (1 - b)).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import Bools, Floats, RankedTiles
from pipeline.models.card import Calibration

LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.5, 3.0
"""Bounds of the temperature. A few held-out tiles without any error would give a temperature of zero, which means
certainty."""

LARGEST_BIAS = 3.0
"""Either way, in logits: odds of twenty to one."""

_TEMPERATURES = np.geomspace(LEAST_TEMPERATURE, MOST_TEMPERATURE, 91)
_HALVINGS = 13
"""Of the range of biases: to a thousandth of a logit."""


class Sample(NamedTuple):
    """Logits of labelled tiles of one source, which has both classes."""

    logits: NDArray[np.float32]
    """Shape (n,)."""
    labels: Bools
    """Shape (n,); True = cracked."""

    def weights(self) -> Floats:
        """Return the weight of each tile: both classes weigh the same, the sum is 1. Shape (n,)."""
        cracked = float(self.labels.mean())
        return np.where(self.labels, 0.5 / cracked, 0.5 / (1 - cracked)) / len(self.labels)


class Rates(NamedTuple):
    """The effect of a threshold, as parts of the tiles of a class; every source weighs the same."""

    recall: float
    """Part of the cracked tiles that are called cracked."""
    false_alarm_rate: float
    """Part of the sound tiles that are called cracked."""

    def precision(self, base_rate: float) -> float | None:
        """Part of the alarms that are right if this part of the tiles is cracked; None without any alarm."""
        right, wrong = self.recall * base_rate, self.false_alarm_rate * (1 - base_rate)
        return right / (right + wrong) if right + wrong else None


def fit_temperature(logits: NDArray[np.float32], labels: Bools) -> Calibration:
    """Find the temperature that makes the labels most likely (Guo et al. 2017, temperature scaling).

    Shapes: (n,) and (n,).
    """
    return _fit([Sample(logits, labels)], [np.full(len(labels), 1 / len(labels))], 0.0)


def fit_across(samples: Sequence[Sample]) -> Calibration:
    """Find the temperature and the biases that make the labels of all sources most likely.

    Every source weighs the same, and so does every class in it. All share the temperature. Each has a bias of its own,
    and the median of them is what another source gets: the cracks of structures not seen look less like cracks than
    those in training, and where people left cracks unmarked, sound tiles look cracked (docs/experiments.md).
    """
    return _fit(samples, [sample.weights() for sample in samples], LARGEST_BIAS)


def leave_one_out(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Return for each sample the list of all others."""
    return [[*samples[:left_out], *samples[left_out + 1 :]] for left_out in range(len(samples))]


def calibration_error(sample: Sample, calibration: Calibration) -> float:
    """Return the expected calibration error at even odds, where both classes weigh the same."""
    tiles = RankedTiles(sample.labels, scores_of(sample, calibration))
    return float(tiles.calibration_error(sample.weights()[None, tiles.order])[0])


def scores_of(sample: Sample, calibration: Calibration) -> Floats:
    """Return the probabilities of a crack, as `models.network.crack_scores` does. Shape (n,)."""
    scaled = sample.logits.astype(np.float64) / calibration.temperature + calibration.bias
    scores: Floats = 1 / (1 + np.exp(-scaled))
    return scores


def threshold_for(samples: Sequence[Sample], calibration: Calibration, false_alarm_rate: float) -> float:
    """Return the median of the sources' own thresholds.

    The threshold of a source is the lowest that calls no more than this part of its sound tiles cracked. In the mean, a
    source with unmarked cracks would set it for all. The result is rounded up to the sixth decimal.
    """
    own = [_threshold_of(scores_of(sample, calibration)[~sample.labels], false_alarm_rate) for sample in samples]
    return math.ceil(float(np.median(own)) * 1e6 - 1e-6) / 1e6


def _threshold_of(sound: Floats, false_alarm_rate: float) -> float:
    """Return the lowest threshold over which no more than this part of the scores is, rounded up."""
    falling = -np.sort(-sound)
    passed = math.floor(false_alarm_rate * len(sound) + 1e-9)
    highest_passed = float(falling[passed]) if passed < len(sound) else 0.0
    return min(1.0, (math.floor(highest_passed * 1e6) + 1) / 1e6)


def rates_at(samples: Sequence[Sample], calibration: Calibration, threshold: float) -> Rates:
    """Return the effect of a threshold, as means over the sources."""
    called = [(scores_of(sample, calibration) >= threshold, sample.labels) for sample in samples]
    return Rates(
        recall=float(np.mean([calls[labels].mean() for calls, labels in called])),
        false_alarm_rate=float(np.mean([calls[~labels].mean() for calls, labels in called])),
    )


def _fit(samples: Sequence[Sample], weights: Sequence[Floats], largest_bias: float) -> Calibration:
    """Find the temperature, and the median of the biases within ± `largest_bias`, that make the labels most likely."""
    parts = [
        (np.where(sample.labels, 1.0, -1.0), sample.logits, of) for sample, of in zip(samples, weights, strict=True)
    ]
    losses, biases = [], []
    for temperature in _TEMPERATURES:
        margins = [signs * logits / temperature for signs, logits, _ in parts]
        own = [
            _fit_bias(margin, signs, of, largest_bias) for margin, (signs, _, of) in zip(margins, parts, strict=True)
        ]
        losses.append(
            sum(
                float(of @ np.logaddexp(0, -(margin + signs * bias)))
                for margin, bias, (signs, _, of) in zip(margins, own, parts, strict=True)
            )
        )
        biases.append(float(np.median(own)))
    best = int(np.argmin(losses))
    return Calibration(round(float(_TEMPERATURES[best]), 4), round(biases[best], 3))


def _fit_bias(margins: Floats, signs: Floats, weights: Floats, largest_bias: float) -> float:
    """Find the bias with the lowest loss by bisection: the slope of the loss rises with the bias."""
    low, high = -largest_bias, largest_bias
    for _ in range(_HALVINGS if largest_bias else 0):
        middle = (low + high) / 2
        slope = -(weights * signs) @ (1 / (1 + np.exp(margins + signs * middle)))
        low, high = (low, middle) if slope > 0 else (middle, high)
    return (low + high) / 2
