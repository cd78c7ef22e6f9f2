"""Photos put together from the tiles of trials, and the line that calibrates them."""

import numpy as np
import pytest

from pipeline.evaluation.calibration import Sample
from pipeline.evaluation.photo_calibration import (
    FLAGGED_SOUND,
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
    good, poor = (draw_photos(*source(apart), Calibration(), GRIDS[-1:]) for apart in (5, 1))
    rates = [rates_of(sample, fit_photos([sample], 0.5), 0.5) for sample in (good, poor)]
    assert rates[0].recall > 0.95
    assert rates[0].false_alarm_rate < 0.05
    assert rates[1].recall - rates[1].false_alarm_rate < rates[0].recall - rates[0].false_alarm_rate


def draw_facts(count: int, random: np.random.Generator, truth: PhotoCalibration) -> PhotoSample:
    """Return photos whose probability of a crack is what `truth` says; all are large."""
    facts = np.stack([random.normal(0, 4, count), random.normal(-2, 2, count), np.ones(count)], axis=1)
    blank = np.zeros(count, np.bool_)
    labels = random.random(count) < PhotoSample(facts, blank, blank).scores(truth)
    return PhotoSample(facts, labels, np.ones(count, np.bool_))


def test_the_fitted_weights_are_the_true_ones() -> None:
    """Here the truth is known, and it is found."""
    truth = PhotoCalibration(0.6, -0.5, -1)
    found = fit_photos([draw_facts(40_000, np.random.default_rng(1), truth)], 0.5)
    assert (found.evidence, found.background) == pytest.approx((truth.evidence, truth.background), abs=0.06)


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
def test_one_sound_photo_in_fifty_reaches_the_threshold(threshold: float) -> None:
    """Of large ones, on the source itself; small ones do not count."""
    large = draw_facts(20_000, np.random.default_rng(1), PhotoCalibration(0.6, -0.5, -1))
    small = large._replace(facts=large.facts + np.array([5, 0, 0]), is_large=~large.is_large)
    both = PhotoSample(*(np.concatenate(parts) for parts in zip(large, small, strict=True)))
    found = fit_photos([both], threshold)
    assert rates_of(large, found, threshold).false_alarm_rate == pytest.approx(FLAGGED_SOUND, abs=0.001)


def test_a_threshold_at_the_end_of_the_scale_gives_a_finite_bias() -> None:
    """A model that calls no tile cracked still ranks photos."""
    sample = draw_facts(1_000, np.random.default_rng(1), PhotoCalibration(0.6, -0.5, -1))
    assert np.isfinite(fit_photos([sample], 1.0).bias)


def test_one_source_with_wrong_labels_does_not_set_the_bias() -> None:
    """Where half of the photos that are called sound are cracked, the others' bias stays what it was."""
    random = np.random.default_rng(2)
    samples = [draw_facts(20_000, random, PhotoCalibration(0.6, 0.0, -1)) for _ in range(4)]
    wrong = samples[3]._replace(labels=samples[3].labels & (random.random(20_000) < 0.5))
    good, mixed, misled = (fit_photos(given, 0.5) for given in (samples, [*samples[:3], wrong], [wrong]))
    flagged = [rates_of(samples[0], fitted, 0.5).false_alarm_rate for fitted in (good, mixed, misled)]
    assert flagged[:2] == pytest.approx([FLAGGED_SOUND] * 2, abs=0.005)
    assert flagged[2] < FLAGGED_SOUND / 2


def test_photos_without_an_error_have_finite_weights() -> None:
    """A few photos do not prove certainty."""
    facts = np.array([[-9.0, -5.0, 1.0], [-8.0, -5.0, 1.0], [8.0, -5.0, 1.0], [9.0, -5.0, 1.0]])
    found = fit_photos([PhotoSample(facts, np.array([False, False, True, True]), np.ones(4, np.bool_))], 0.5)
    assert 0.1 < found.evidence < 10
    assert np.isfinite(found.bias)
