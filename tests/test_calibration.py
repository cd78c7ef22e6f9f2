"""One temperature: found where it is known, and within bounds where no data could tell."""

import numpy as np
import pytest

from pipeline.calibration import COLDEST, WARMEST, fit_temperature


@pytest.mark.parametrize("temperature", [0.7, 1.0, 2.0])
def test_a_known_temperature_is_found(temperature: float) -> None:
    """Labels drawn from sigmoid(logit / t) give t back, within five per cent for 20,000 tiles."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, 20_000).astype(np.float32)
    labels = random.random(len(logits)) < 1 / (1 + np.exp(-logits / temperature))
    assert fit_temperature(logits, labels).temperature == pytest.approx(temperature, rel=0.05)


def test_certainty_is_not_believed() -> None:
    """Tiles all told apart, or all told wrongly, end at the bounds; the bias stays zero."""
    logits = np.array([-3, 3], np.float32)
    assert vars(fit_temperature(logits, np.array([False, True]))) == {"temperature": COLDEST, "bias": 0.0}
    assert vars(fit_temperature(logits, np.array([True, False]))) == {"temperature": WARMEST, "bias": 0.0}
