"""What to expect of a model on structures it has not seen, from the trials of a comparison.

A trial tested its network on a source that it was not trained on; a model trained on all sources by the same recipe is
taken to do as well on another. Running trials is `protocol`'s, the fitting `calibration`'s.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.core.errors import UsageError
from pipeline.evaluation import trial_comparison
from pipeline.evaluation.calibration import Rates, Sample, fit_across, leaving_out, rates_at, threshold_for
from pipeline.evaluation.trial_comparison import Figures
from pipeline.evaluation.trial_results import TrialResult, by_seed, read_results
from pipeline.models.card import Calibration, Value

PREFIX = "left_out/"
"""Of the card's metrics that trials have shown."""

OVERALL = ("false_alarm_rate", "recall", "base_rate", "precision_at_base_rate")
"""Figures that are no single source's."""


@dataclass(frozen=True)
class OperatingTarget:
    """What scores are made for, and on which trials."""

    trials: str
    """Folder or URL that `models compare` wrote."""
    false_alarm_rate: float = 0.01
    """Part of the sound tiles that may be called cracked."""
    base_rate: float = 0.03
    """Part of the field's tiles that are cracked."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for option, value in (("--false-alarms", self.false_alarm_rate), ("--base-rate", self.base_rate)):
            if not 0 < value < 1:
                raise UsageError(f"{option} is {value:g}; expected a number between 0 and 1.")


@dataclass(frozen=True)
class OperatingPoint:
    """What a card says of structures not seen."""

    calibration: Calibration
    threshold: float
    """Called cracked from here on, false alarms no more often than asked."""
    metrics: Mapping[str, Value]
    """`left_out/<source>/<figure>` and `left_out/<figure>`; all figures of a source come from what was fitted to the
    others."""


def choose_operating_point(use: OperatingTarget, backbone: str, augment: str) -> OperatingPoint:
    """Read the trials of a backbone and recipe, and fit to all of them.

    Raises:
        UsageError: there are none, or not all sources were left out in any seed, or they are of several settings.
    """
    results = list(read_results(use.trials))
    matching = [result for result in results if (result.backbone, result.augment) == (backbone, augment)]
    if not matching:
        here = sorted({f"{result.backbone} with --augment {result.augment}" for result in results})
        raise UsageError(
            f"{use.trials} holds no trials of {backbone} with --augment {augment}; it holds "
            f"{', '.join(here) or 'none'}. Run `crackscan models compare` with them."
        )
    _check_one_setting(matching, use.trials)
    rounds = by_seed(matching)
    sources = {result.left_out for result in matching}
    if not rounds or len(sources) < 2:
        raise UsageError(
            f"{use.trials} has no seed in which each of {', '.join(sorted(sources))} was left out, or only one source. "
            "Run the same `crackscan models compare` again to its end."
        )
    samples = [_joined([found[source].sample for found in rounds.values()]) for source in sorted(sources)]
    calibration = fit_across(samples)
    return OperatingPoint(
        calibration=calibration,
        threshold=threshold_for(samples, calibration, use.false_alarm_rate),
        metrics=_figures(rounds) | _overall(dict(zip(sorted(sources), samples, strict=True)), use),
    )


def _check_one_setting(results: Sequence[TrialResult], folder: str) -> None:
    trials = [(result.seed, result.left_out) for result in results]
    if len(set(trials)) < len(trials):
        raise UsageError(
            f"{folder} holds trials of {results[0].backbone}, {results[0].augment}, of more than one setting or set of "
            "data. Compare each into a folder of its own."
        )


def _joined(samples: Sequence[Sample]) -> Sample:
    return Sample(np.concatenate([each.logits for each in samples]), np.concatenate([each.labels for each in samples]))


def _figures(rounds: Mapping[int, Mapping[str, TrialResult]]) -> dict[str, Value]:
    """Return every source's figures, means over the seeds."""
    measured = [trial_comparison.figures_of(found) for found in rounds.values()]
    return {
        f"{PREFIX}{source}/{name}": statistics.fmean(getattr(of[source], name) for of in measured)
        for source in measured[0]
        for name in Figures._fields
    }


def _overall(samples: Mapping[str, Sample], use: OperatingTarget) -> dict[str, Value]:
    """Return what the threshold does on each source when it was chosen on the others, and in the mean."""
    found: dict[str, Value] = {}
    rates: list[Rates] = []
    for source, sample, others in zip(samples, samples.values(), leaving_out(list(samples.values())), strict=True):
        calibration = fit_across(others)
        rates.append(rates_at([sample], calibration, threshold_for(others, calibration, use.false_alarm_rate)))
        found |= {f"{PREFIX}{source}/{name}": value for name, value in rates[-1]._asdict().items()}
    mean = Rates(*(statistics.fmean(values) for values in zip(*rates, strict=True)))
    values = (mean.false_alarm_rate, mean.recall, use.base_rate, mean.precision(use.base_rate))
    return found | {f"{PREFIX}{name}": value for name, value in zip(OVERALL, values, strict=True)}
