"""The measures of an evaluation."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torchmetrics.functional import classification as tm

from pipeline.evaluation.metrics import (
    CALIBRATION_BINS,
    FALSE_ALARM_RATES,
    MEASURES,
    ROUNDING,
    RankedTiles,
    measure,
)

LABELS = np.array([True, True, True, False, False, False, False])
SCORES = np.array([0.9, 0.8, 0.3, 0.6, 0.2, 0.1, 0.0], dtype=np.float32)


def test_counts() -> None:
    """The confusion matrix counts tiles by label and call."""
    found = measure(LABELS, SCORES)
    assert (found.true_positives, found.false_positives) == (2, 1)
    assert (found.false_negatives, found.true_negatives) == (1, 3)
    assert found.n == 7


def test_ratios() -> None:
    """Every ratio equals its definition, computed by hand."""
    found = measure(LABELS, SCORES)
    assert found.accuracy == pytest.approx(5 / 7)
    assert found.balanced_accuracy == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert found.precision == pytest.approx(2 / 3)
    assert found.recall == pytest.approx(2 / 3)
    assert found.f1 == pytest.approx(2 / 3)
    assert found.auc == pytest.approx(11 / 12)
    assert found.average_precision == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert found.recall_at_1_percent_false_alarms == pytest.approx(2 / 3)


def test_threshold_is_called_cracked() -> None:
    """A tile with a score at the threshold is called cracked."""
    assert measure(LABELS, SCORES, threshold=float(SCORES[2])).recall == 1


def test_allowed_false_alarms_are_inclusive() -> None:
    """One false alarm in a hundred is still 1 %, and five are 5 %."""
    labels = np.repeat([False, True], [100, 10])
    scores = np.linspace(0.5, 0, 110, dtype=np.float32)
    scores[100:] = 0.9
    scores[:5] = 0.95
    found = measure(labels, scores)
    assert found.recall_at_1_percent_false_alarms == 0
    assert found.recall_at_5_percent_false_alarms == 1
    scores[1:5] = 0.1
    assert measure(labels, scores).recall_at_1_percent_false_alarms == 1


def test_perfect_calibration() -> None:
    """Scores equal to the part of cracked tiles have no calibration error."""
    labels = np.array([True, False, False, False] * 5)
    assert measure(labels, np.full(20, 0.25, dtype=np.float32)).calibration_error == pytest.approx(0, abs=1e-6)
    assert measure(labels, np.full(20, 0.75, dtype=np.float32)).calibration_error == pytest.approx(0.5)


@pytest.mark.parametrize("cracked", [True, False])
def test_one_class(*, cracked: bool) -> None:
    """Measures that need both classes are None with one class."""
    found = measure(np.full(4, cracked), np.array([0.1, 0.4, 0.6, 0.9], dtype=np.float32))
    assert found.accuracy == 0.5
    assert found.calibration_error is not None
    assert found.auc is found.average_precision is found.balanced_accuracy is None
    assert found.recall_at_1_percent_false_alarms is found.recall_at_5_percent_false_alarms is None
    assert (found.recall is None) == (found.f1 is None) == (not cracked)


def test_nothing_called_cracked() -> None:
    """Precision is None if nothing is called cracked; F1 is zero."""
    found = measure(LABELS, SCORES, threshold=1.0)
    assert found.precision is None
    assert found.f1 == 0


def test_no_tiles() -> None:
    """All measures of no tiles are None."""
    found = measure(LABELS[:0], SCORES[:0])
    assert found.n == 0
    assert {getattr(found, name) for name in MEASURES} == {None}


def draw(seed: int, n: int, decimals: int) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Draw labels and scores that correlate with them; few decimals make equal scores."""
    random = np.random.default_rng(seed)
    labels = random.random(n) < 0.4
    return labels, np.round(labels * 0.3 + random.random(n) * 0.7, decimals).astype(np.float32)


def by_torchmetrics(labels: NDArray[np.bool_], scores: NDArray[np.float32], threshold: float) -> dict[str, float]:
    """Measure with torchmetrics, the oracle; undefined measures are missing."""
    truth, predicted = torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(scores)
    calls = torch.from_numpy((scores >= threshold).astype(np.int64))  # torchmetrics leaves out a score at it
    found = {"accuracy": tm.binary_accuracy(calls, truth)}
    found["calibration_error"] = tm.binary_calibration_error(predicted, truth, CALIBRATION_BINS)
    if calls.any():
        found["precision"] = tm.binary_precision(calls, truth)
    if labels.any():
        found |= {"recall": tm.binary_recall(calls, truth), "f1": tm.binary_f1_score(calls, truth)}
    if labels.any() and not labels.all():
        found["balanced_accuracy"] = (tm.binary_recall(calls, truth) + tm.binary_specificity(calls, truth)) / 2
        found["average_precision"] = tm.binary_average_precision(predicted, truth)
        found["auc"] = tm.binary_auroc(predicted, truth)
        false_alarm_rate, recall, _ = tm.binary_roc(predicted, truth)
        for name, allowed in FALSE_ALARM_RATES.items():
            found[name] = recall[false_alarm_rate <= allowed + ROUNDING].max()
    return {name: float(value) for name, value in found.items()}


@given(seed=st.integers(0, 10_000), n=st.integers(1, 60), decimals=st.sampled_from([1, 6]))
def test_measures_are_those_of_torchmetrics(seed: int, n: int, decimals: int) -> None:
    """All of them, also with equal scores; a measure undefined there is None here."""
    labels, scores = draw(seed, n, decimals)
    found, expected = measure(labels, scores, 0.45), by_torchmetrics(labels, scores, 0.45)
    for name in MEASURES:
        assert getattr(found, name) == pytest.approx(expected.get(name), abs=1e-5), name


@given(seed=st.integers(0, 10_000), n=st.integers(2, 60), decimals=st.sampled_from([1, 6]))
def test_a_weight_is_a_number_of_tiles(seed: int, n: int, decimals: int) -> None:
    """A weighting gives the same measures as the tiles repeated as often as they weigh."""
    labels, scores = draw(seed, n, decimals)
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n))
    rows = np.repeat(np.arange(n), times)
    expected = measure(labels[rows], scores[rows], 0.45)
    tiles = RankedTiles(labels, scores, 0.45)
    found = tiles.measure(times[None, tiles.order].astype(np.float64))
    for name in MEASURES:
        value = getattr(expected, name)
        assert found[name][0] == pytest.approx(np.nan if value is None else value, abs=1e-5, nan_ok=True), name


@given(seed=st.integers(0, 10_000), n=st.integers(2, 60), decimals=st.sampled_from([1, 6]))
def test_curves_are_those_of_torchmetrics(seed: int, n: int, decimals: int) -> None:
    """Point for point, except for the ends that torchmetrics adds."""
    labels, scores = draw(seed, n, decimals)
    assume(labels.any() and not labels.all())
    truth, predicted = torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(scores)
    found = RankedTiles(labels, scores).curves(np.ones((1, n)))
    precision, recall, _ = tm.binary_precision_recall_curve(predicted, truth)
    false_alarm_rate, _, _ = tm.binary_roc(predicted, truth)
    assert found.precision[0] == pytest.approx(precision.numpy()[-2::-1], abs=1e-5)
    assert found.recall[0] == pytest.approx(recall.numpy()[-2::-1], abs=1e-5)
    assert found.false_alarm_rate[0] == pytest.approx(false_alarm_rate.numpy()[1:], abs=1e-5)
