"""Photos put together from the tiles of trials, and the line that calibrates them."""

import numpy as np
import pytest

from pipeline.evaluation.calibration import Sample
from pipeline.evaluation.photo_calibration import (
    GRIDS,
    PHOTOS,
    PhotoSample,
    draw_photos,
    fit_photos,
    rates_of,
)
from pipeline.models.card import Calibration, PhotoCalibration


def source(apart: float, seed: int = 0) -> tuple[Sample, list[str]]:
    """Return a source of 200 tiles whose classes are this many standard deviations apart, two tiles to a picture."""
    random = np.random.default_rng(seed)
    labels = np.arange(200) % 4 < 2
    logits = random.normal(np.where(labels, apart / 2, -apart / 2) * apart, apart).astype(np.float32)
    return Sample(logits, labels), [f"{number // 2}.jpg" for number in range(200)]


def test_half_of_the_photos_are_cracked_in_each_grid() -> None:
    """The same tiles give the same photos."""
    found, again = (draw_photos(*source(2), Calibration()) for _ in range(2))
    assert found.labels.mean() == 0.5
    assert len(found.labels) == PHOTOS * len(GRIDS)
    assert np.array_equal(found.facts, again.facts)
    assert draw_photos(*source(2), Calibration(), GRIDS[:1]).facts.shape == (PHOTOS, 3)


def test_photos_of_tiles_that_are_told_apart_are_told_apart() -> None:
    """And better than one tile: a crack has neighbours."""
    good, poor = (draw_photos(*source(apart), Calibration()) for apart in (5, 1))
    rates = [rates_of(sample, fit_photos([sample]), 0.5) for sample in (good, poor)]
    assert rates[0].recall > 0.95
    assert rates[0].false_alarm_rate < 0.05
    assert rates[1].recall - rates[1].false_alarm_rate < rates[0].recall - rates[0].false_alarm_rate


def test_the_fitted_probabilities_are_the_shares() -> None:
    """Of photos with a probability near p, a share p is cracked: here the truth is known, and it is found."""
    random = np.random.default_rng(1)
    facts = np.stack([random.normal(0, 4, 40_000), random.normal(-2, 2, 40_000), np.ones(40_000)], axis=1)
    truth = PhotoCalibration(0.6, -0.5, -1)
    labels = random.random(40_000) < PhotoSample(facts, np.zeros(40_000, np.bool_)).scores(truth)
    assert vars(fit_photos([PhotoSample(facts, labels)])) == pytest.approx(vars(truth), abs=0.06)


def test_one_source_with_wrong_labels_does_not_set_the_bias() -> None:
    """Where half of the photos that are called sound are cracked, the others' bias stays what it was."""
    random = np.random.default_rng(2)
    truth = PhotoCalibration(0.6, 0.0, -1)
    samples = []
    for _ in range(4):
        facts = np.stack([random.normal(0, 4, 5_000), random.normal(-2, 2, 5_000), np.ones(5_000)], axis=1)
        labels = random.random(5_000) < PhotoSample(facts, np.zeros(5_000, np.bool_)).scores(truth)
        samples.append(PhotoSample(facts, labels))
    wrong = PhotoSample(samples[3].facts, samples[3].labels & (random.random(5_000) < 0.5))

    good, mixed = fit_photos(samples), fit_photos([*samples[:3], wrong])
    assert good.bias == pytest.approx(-1, abs=0.1)
    assert mixed.bias == pytest.approx(good.bias, abs=0.15)
    assert fit_photos([wrong]).bias < good.bias - 0.5


def test_photos_without_an_error_have_finite_weights() -> None:
    """A few photos do not prove certainty."""
    facts = np.array([[-9.0, -5.0, 1.0], [-8.0, -5.0, 1.0], [8.0, -5.0, 1.0], [9.0, -5.0, 1.0]])
    found = fit_photos([PhotoSample(facts, np.array([False, False, True, True]))])
    assert 0.1 < found.evidence < 10
    assert abs(found.bias) < 1
