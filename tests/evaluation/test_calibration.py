"""Calibration: known parameters are recovered, bounds hold without data, and every source weighs the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation import calibration
from pipeline.evaluation.calibration import (
    LEAST_TEMPERATURE,
    MOST_TEMPERATURE,
    Rates,
    Sample,
    fit_across,
    fit_temperature,
)
from pipeline.models.card import Calibration


def draw(temperature: float, bias: float, count: int = 5_000, seed: int = 0) -> Sample:
    """Draw labels from sigmoid(logit / temperature + bias)."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, count).astype(np.float32)
    return Sample(logits, random.random(count) < 1 / (1 + np.exp(-logits / temperature - bias)))


@pytest.mark.parametrize("temperature", [0.7, 1.0, 2.0])
def test_a_known_temperature_is_found(temperature: float) -> None:
    """Labels drawn from sigmoid(logit / t) give t back, within a tenth for 5,000 tiles."""
    sample = draw(temperature, 0)
    assert fit_temperature(*sample).temperature == pytest.approx(temperature, rel=0.1)
    assert fit_across([sample]).temperature == pytest.approx(temperature, rel=0.1)


def test_a_known_bias_is_found() -> None:
    """Across sources the bias comes back as at even odds: less the logarithm of the odds in the sample."""
    samples = [draw(0.8, 1.2), draw(0.8, 1.2, seed=1)]
    cracked = float(np.mean([sample.labels.mean() for sample in samples]))
    found = fit_across(samples)
    assert found.temperature == pytest.approx(0.8, rel=0.1)
    assert found.bias == pytest.approx(1.2 - np.log(cracked / (1 - cracked)), abs=0.1)


def test_one_source_with_unmarked_cracks_moves_neither_bias_nor_threshold() -> None:
    """Of three, the median counts; in the mean, a third of its sound tiles would."""
    first, second, third = draw(1, 0.2), draw(1, 0.2, seed=1), draw(1, 0.2, seed=2)
    unmarked = Sample(third.logits, third.labels & (np.arange(len(third.labels)) % 2 == 0))
    right, found = fit_across([first, second, third]), fit_across([first, second, unmarked])
    assert found.bias == pytest.approx(right.bias, abs=0.1)
    thresholds = [calibration.threshold_for([first, second, other], right, 0.02) for other in (third, unmarked)]
    assert thresholds[1] == pytest.approx(thresholds[0], abs=0.01)


def test_the_temperature_has_bounds() -> None:
    """Tiles that are all right or all wrong end at the bounds; the bias is then zero."""
    logits = np.array([-3, 3], np.float32)
    right, wrong = Sample(logits, np.array([False, True])), Sample(logits, np.array([True, False]))
    for found in (fit_temperature(*right), fit_across([right])):
        assert vars(found) == {"temperature": LEAST_TEMPERATURE, "bias": pytest.approx(0, abs=1e-3)}
    for found in (fit_temperature(*wrong), fit_across([wrong])):
        assert vars(found) == {"temperature": MOST_TEMPERATURE, "bias": pytest.approx(0, abs=1e-3)}


def test_every_source_and_class_counts_alike() -> None:
    """Three copies of a source, or two of the sound tiles of one, change nothing."""
    one, other = draw(0.8, 0, 400), draw(2, 0, 400, seed=1)
    thrice = Sample(np.tile(one.logits, 3), np.tile(one.labels, 3))
    sound = ~one.labels
    more_sound = Sample(np.append(one.logits, one.logits[sound]), np.append(one.labels, one.labels[sound]))
    assert fit_across([thrice, other]) == fit_across([more_sound, other]) == fit_across([one, other])


def test_calibration_error_is_zero_for_probabilities() -> None:
    """Scores at even odds that are right in the mean have no error; scores that are all wrong have an error near 1."""
    logits = np.array([0, 0], np.float32)
    assert calibration.calibration_error(Sample(logits, np.array([True, False])), Calibration()) == pytest.approx(0)
    far = np.array([9, -9], np.float32)
    assert calibration.calibration_error(Sample(far, np.array([False, True])), Calibration()) > 0.99


def test_calibration_error_does_not_depend_on_the_base_rate() -> None:
    """Two copies of the sound tiles change nothing."""
    sample = draw(1.5, 0, 300)
    sound = ~sample.labels
    more = Sample(np.append(sample.logits, sample.logits[sound]), np.append(sample.labels, sample.labels[sound]))
    assert calibration.calibration_error(more, Calibration()) == pytest.approx(
        calibration.calibration_error(sample, Calibration())
    )


SAMPLES = st.lists(
    st.lists(st.tuples(st.floats(-8, 8, width=32), st.booleans()), min_size=2, max_size=30).filter(
        lambda tiles: len({label for _, label in tiles}) == 2
    ),
    min_size=1,
    max_size=3,
).map(
    lambda sources: [
        Sample(np.array([logit for logit, _ in tiles], np.float32), np.array([label for _, label in tiles]))
        for tiles in sources
    ]
)


@given(samples=SAMPLES, rate=st.floats(0.005, 0.5))
def test_the_threshold_keeps_to_the_false_alarms(samples: list[Sample], rate: float) -> None:
    """Half of the sources have no more false alarms than allowed; a source alone has more a millionth lower."""
    fitted = Calibration(1.3)
    threshold = calibration.threshold_for(samples, fitted, rate)
    assert 0 < threshold <= 1
    kept = [calibration.rates_at([sample], fitted, threshold).false_alarm_rate <= rate + 1e-6 for sample in samples]
    assert sum(kept) >= len(samples) / 2
    own = calibration.threshold_for(samples[:1], fitted, rate)
    assert calibration.rates_at(samples[:1], fitted, own).false_alarm_rate <= rate + 1e-6
    if own > 1e-6:
        assert calibration.rates_at(samples[:1], fitted, own - 1.000001e-6).false_alarm_rate > rate - 1e-6


def test_rates_are_means_over_sources() -> None:
    """A source whose only sound tile is a false alarm makes up half of the rate of two sources."""
    few = Sample(np.array([5, 6], np.float32), np.array([False, True]))
    many = Sample(np.append(np.full(98, -5), [5, -6]).astype(np.float32), np.append(np.zeros(98, bool), [True, True]))
    assert calibration.rates_at([few, many], Calibration(), 0.5) == Rates(recall=0.75, false_alarm_rate=0.5)


def test_precision_follows_the_base_rate() -> None:
    """Of 1,000 tiles 30 are cracked: 27 found, 9.7 false alarms, so 27 / 36.7 of the alarms are right."""
    assert Rates(0.9, 0.01).precision(0.03) == pytest.approx(27 / 36.7)
    assert Rates(0, 0).precision(0.03) is None
