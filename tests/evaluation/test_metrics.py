"""The measures of an evaluation."""

import numpy as np
import pytest

from pipeline.evaluation.metrics import MEASURES, measure

LABELS = np.array([True, True, True, False, False, False, False])
SCORES = np.array([0.9, 0.8, 0.3, 0.6, 0.2, 0.1, 0.0], dtype=np.float32)


def test_counts() -> None:
    """The confusion matrix counts tiles by label and call."""
    found = measure(LABELS, SCORES)
    assert (found.true_positives, found.false_positives) == (2, 1)
    assert (found.false_negatives, found.true_negatives) == (1, 3)
    assert found.n == 7


def test_ratios() -> None:
    """Every ratio is what its definition gives by hand."""
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
    """A score at the threshold is called cracked."""
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
    """Scores that are the share of cracked tiles have no calibration error."""
    labels = np.array([True, False, False, False] * 5)
    assert measure(labels, np.full(20, 0.25, dtype=np.float32)).calibration_error == pytest.approx(0, abs=1e-6)
    assert measure(labels, np.full(20, 0.75, dtype=np.float32)).calibration_error == pytest.approx(0.5)


@pytest.mark.parametrize("cracked", [True, False])
def test_one_class(*, cracked: bool) -> None:
    """Measures that need both classes are None where there is one."""
    found = measure(np.full(4, cracked), np.array([0.1, 0.4, 0.6, 0.9], dtype=np.float32))
    assert found.accuracy == 0.5
    assert found.calibration_error is not None
    assert found.auc is found.average_precision is found.balanced_accuracy is None
    assert found.recall_at_1_percent_false_alarms is found.recall_at_5_percent_false_alarms is None
    assert (found.recall is None) == (found.f1 is None) == (not cracked)


def test_nothing_called_cracked() -> None:
    """Precision has no meaning where nothing is called cracked; F1 is zero."""
    found = measure(LABELS, SCORES, threshold=1.0)
    assert found.precision is None
    assert found.f1 == 0


def test_no_tiles() -> None:
    """No tiles have no measures, and are no crash."""
    found = measure(LABELS[:0], SCORES[:0])
    assert found.n == 0
    assert {getattr(found, name) for name in MEASURES} == {None}
