"""The operating point of a model on structures that it has not seen, from the trials of a comparison.

A trial tests its network on a source that was not in its training. The assumption is that a model trained on all
sources by the same recipe does as well on another source.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.core.errors import UsageError
from pipeline.evaluation import trial_comparison
from pipeline.evaluation.calibration import Rates, Sample, fit_across, leave_one_out, rates_at, threshold_for
from pipeline.evaluation.photo_calibration import PhotoSample, draw_photos, fit_photos, rates_of
from pipeline.evaluation.trial_comparison import Figures
from pipeline.evaluation.trial_results import TrialResult, group_by_seed, read_results
from pipeline.models.card import Calibration, PhotoCalibration, Value

PREFIX = "left_out/"
"""Prefix of the card's metrics that come from trials."""

TILE_FIGURES = ("false_alarm_rate", "recall", "base_rate", "precision_at_base_rate")
PHOTO_FIGURES = tuple(f"photo_{name}" for name in Rates._fields)
OVERALL = (*TILE_FIGURES, *PHOTO_FIGURES)
"""Figures that belong to no single source."""


@dataclass(frozen=True)
class OperatingTarget:
    """What the threshold is to achieve, and the trials to choose it on."""

    trials: str
    """Folder or URL that `crackscan models compare` wrote."""
    false_alarm_rate: float = 0.01
    """Part of the sound tiles that may be called cracked."""
    base_rate: float = 0.03
    """Part of the tiles in the field that is cracked."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for option, value in (("--false-alarms", self.false_alarm_rate), ("--base-rate", self.base_rate)):
            if not 0 < value < 1:
                raise UsageError(f"{option} is {value:g}; expected a number between 0 and 1.")


@dataclass(frozen=True)
class OperatingPoint:
    """What a model card says about structures not seen."""

    calibration: Calibration
    threshold: float
    """A tile at or over it is called cracked; the false alarms stay within the target."""
    photo: PhotoCalibration | None
    """Of whole photos; None calls a photo cracked if a tile of it is."""
    metrics: Mapping[str, Value]
    """`left_out/<source>/<figure>` and `left_out/<figure>`; the figures of a source come from a fit to the others."""


def choose_operating_point(target: OperatingTarget, backbone: str, augment: str) -> OperatingPoint:
    """Read the trials of a backbone and recipe, and fit calibration and threshold to all of them.

    Raises:
        UsageError: there are none, no seed has a trial for every source, or the trials have several settings.
    """
    results = list(read_results(target.trials))
    matching = [result for result in results if (result.backbone, result.augment) == (backbone, augment)]
    if not matching:
        here = sorted({f"{result.backbone} with --augment {result.augment}" for result in results})
        raise UsageError(
            f"{target.trials} holds no trials of {backbone} with --augment {augment}; it holds "
            f"{', '.join(here) or 'none'}. Run `crackscan models compare` with them."
        )
    _check_one_setting(matching, target.trials)
    rounds = group_by_seed(matching)
    sources = {result.left_out for result in matching}
    if not rounds or len(sources) < 2:
        raise UsageError(
            f"{target.trials} has no seed in which each of {', '.join(sorted(sources))} was left out, or only one "
            "source. Run the same `crackscan models compare` again to its end."
        )
    samples = {source: _join([found[source].sample for found in rounds.values()]) for source in sorted(sources)}
    calibration = fit_across([*samples.values()])
    threshold = threshold_for([*samples.values()], calibration, target.false_alarm_rate)
    pictures = {
        source: [f"{seed}/{picture}" for seed, found in rounds.items() for picture in found[source].pictures]
        for source in samples
    }
    photos = {source: draw_photos(sample, pictures[source], calibration) for source, sample in samples.items()}
    return OperatingPoint(
        calibration=calibration,
        threshold=threshold,
        photo=fit_photos([*photos.values()], threshold),
        metrics=_source_metrics(rounds) | _overall_metrics(samples, target) | _photo_metrics(photos, threshold),
    )


def _check_one_setting(results: Sequence[TrialResult], folder: str) -> None:
    trials = [(result.seed, result.left_out) for result in results]
    if len(set(trials)) < len(trials):
        raise UsageError(
            f"{folder} holds trials of {results[0].backbone}, {results[0].augment}, of more than one setting or set of "
            "data. Compare each into a folder of its own."
        )


def _join(samples: Sequence[Sample]) -> Sample:
    return Sample(np.concatenate([each.logits for each in samples]), np.concatenate([each.labels for each in samples]))


def _source_metrics(rounds: Mapping[int, Mapping[str, TrialResult]]) -> dict[str, Value]:
    """Return the figures of every source, as means over the seeds."""
    measured = [trial_comparison.measure_round(found) for found in rounds.values()]
    return {
        f"{PREFIX}{source}/{name}": statistics.fmean(getattr(of[source], name) for of in measured)
        for source in measured[0]
        for name in Figures._fields
    }


def _photo_metrics(photos: Mapping[str, PhotoSample], threshold: float) -> dict[str, Value]:
    """Return the effect of the threshold on the photos of each source, calibrated on the others, and in the mean."""
    rates = {
        source: rates_of(
            sample, fit_photos([other for name, other in photos.items() if name != source], threshold), threshold
        )
        for source, sample in photos.items()
    }
    found = {
        f"{PREFIX}{source}/photo_{name}": value for source, of in rates.items() for name, value in of._asdict().items()
    }
    return found | {
        f"{PREFIX}photo_{name}": statistics.fmean(getattr(of, name) for of in rates.values()) for name in Rates._fields
    }


def _overall_metrics(samples: Mapping[str, Sample], target: OperatingTarget) -> dict[str, Value]:
    """Return the effect of the threshold on each source when chosen on the others, and in the mean."""
    found: dict[str, Value] = {}
    rates: list[Rates] = []
    for source, sample, others in zip(samples, samples.values(), leave_one_out(list(samples.values())), strict=True):
        calibration = fit_across(others)
        rates.append(rates_at([sample], calibration, threshold_for(others, calibration, target.false_alarm_rate)))
        found |= {f"{PREFIX}{source}/{name}": value for name, value in rates[-1]._asdict().items()}
    mean = Rates(*(statistics.fmean(values) for values in zip(*rates, strict=True)))
    values = (mean.false_alarm_rate, mean.recall, target.base_rate, mean.precision(target.base_rate))
    return found | {f"{PREFIX}{name}": value for name, value in zip(TILE_FIGURES, values, strict=True)}
