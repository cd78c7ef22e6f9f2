"""Trials compared: figures per left-out source, their means over sources, and intervals over seeds.

Every source weighs the same, however many tiles it has. `training.leave_one_source_out` runs the trials.
"""

import csv
import io
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from pipeline import storage
from pipeline.evaluation import calibration, figures
from pipeline.evaluation.figures import QualityPoint
from pipeline.evaluation.metrics import measure
from pipeline.evaluation.photo_calibration import GRIDS, draw_photos, fit_photos
from pipeline.evaluation.trial_results import TrialResult, group_by_seed
from pipeline.models.card import Calibration

T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's t at 97.5 % for 1 … 10 degrees of freedom; the last one serves beyond, which is on the safe side."""

PHOTO_GRID = GRIDS[-1]
"""Of the photos whose figures a comparison shows: 12 megapixels."""
EVEN = 0.5
"""Any threshold gives photos the same order."""


class Figures(NamedTuple):
    """The figures of one left-out source, or their means over sources."""

    auc: float
    average_precision: float
    recall_at_1_percent_false_alarms: float
    recall_at_5_percent_false_alarms: float
    ece_before: float
    """Expected calibration error of the raw scores at even odds; see `calibration`."""
    ece_after: float
    """The same for scores calibrated on the trials of the other sources."""
    photo_auc: float
    """Of photos of the size `PHOTO_GRID`, put together from the test tiles; tiles and photos are calibrated on the
    trials of the other sources. See `photo_calibration`."""
    photo_recall_at_5_percent_false_alarms: float


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and its 95 % interval by Student's t; one seed has no interval."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def excludes_zero(self) -> bool | None:
        """Whether all of the interval is on one side of zero; None without an interval."""
        return None if self.low is None or self.high is None else self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Entry:
    """One backbone with one recipe."""

    backbone: str
    augment: str
    tiles_per_s: float
    """On one thread of the CPU that ran the comparison."""
    sources: Mapping[str, Figures]
    """Means over the seeds, by left-out source."""
    macro: Mapping[str, Interval]
    """Means over the sources, by figure."""
    rounds: Mapping[int, Mapping[str, Figures]]
    """Seed, left-out source, figures."""

    @property
    def name(self) -> str:
        """The name in tables."""
        return f"{self.backbone}, {self.augment}"


@dataclass(frozen=True)
class Difference:
    """How much higher the means over sources of one entry are than those of another, over the seeds that both have."""

    name: str
    than: str
    auc: Interval
    recall_at_5_percent_false_alarms: Interval


@dataclass(frozen=True)
class Comparison:
    """A finished comparison."""

    out: str
    """Canonical URL of its folder."""
    entries: tuple[Entry, ...]
    """The best macro AUC first."""
    differences: tuple[Difference, ...]
    """Of all other entries to the first one that the user named."""


def summarise(out: str, results: Sequence[TrialResult], tiles_per_s: Mapping[str, float]) -> Comparison:
    """Compare the results of trials."""
    kinds = dict.fromkeys((result.backbone, result.augment) for result in results)
    entries = [
        _enter([result for result in results if (result.backbone, result.augment) == kind], tiles_per_s[kind[0]])
        for kind in kinds
    ]
    best_first = sorted(entries, key=lambda entry: -entry.macro["auc"].mean)
    differences = [_difference(entry, entries[0]) for entry in entries[1:]]
    return Comparison(out, tuple(best_first), tuple(differences))


def mean_over_seeds(values: Sequence[float]) -> Interval:
    """Return the mean and its 95 % interval."""
    mean, n = statistics.fmean(values), len(values)
    if n < 2:
        return Interval(mean, None, None, n)
    half = T_QUANTILES[min(n - 1, len(T_QUANTILES)) - 1] * statistics.stdev(values) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def measure_round(found: Mapping[str, TrialResult]) -> dict[str, Figures]:
    """Measure the trials of one seed by left-out source, each calibrated on the others."""
    return {
        source: _measure(result, [other for name, other in found.items() if name != source])
        for source, result in found.items()
    }


FILES = ("comparison.csv", "quality_speed.png", "comparison.json")
"""The files of a comparison."""


def write_comparison(comparison: Comparison) -> None:
    """Write the files of a comparison, `comparison.json` last, so that a folder with that file is complete."""
    content = (
        _csv(comparison),
        figures.quality_speed([_point(entry) for entry in comparison.entries]),
        f"{json.dumps(as_dict(comparison), indent=2)}\n".encode(),
    )
    for name, data in zip(FILES, content, strict=True):
        storage.write_whole(storage.join(comparison.out, name), data)


def as_dict(comparison: Comparison) -> dict[str, object]:
    """Return the content of `comparison.json`."""
    return {
        "entries": [
            {
                "backbone": entry.backbone,
                "augment": entry.augment,
                "tiles_per_s": entry.tiles_per_s,
                "sources": {source: found._asdict() for source, found in entry.sources.items()},
                "macro": {name: asdict(interval) for name, interval in entry.macro.items()},
                "seeds": list(entry.rounds),
            }
            for entry in comparison.entries
        ],
        "differences": [asdict(difference) for difference in comparison.differences],
    }


def _enter(results: Sequence[TrialResult], tiles_per_s: float) -> Entry:
    rounds = {seed: measure_round(found) for seed, found in group_by_seed(results).items()}
    sources = {
        source: Figures(
            *(statistics.fmean(values) for values in zip(*(of[source] for of in rounds.values()), strict=True))
        )
        for source in next(iter(rounds.values()))
    }
    macro = {
        name: mean_over_seeds([_mean_over_sources(found, name) for found in rounds.values()])
        for name in Figures._fields
    }
    return Entry(results[0].backbone, results[0].augment, tiles_per_s, sources, macro, rounds)


def _mean_over_sources(found: Mapping[str, Figures], name: str) -> float:
    return statistics.fmean(getattr(of_source, name) for of_source in found.values())


def _measure(result: TrialResult, others: Sequence[TrialResult]) -> Figures:
    sample, raw = result.sample, Calibration()
    fitted = calibration.fit_across([other.sample for other in others])
    photo_weights = fit_photos([draw_photos(other.sample, other.pictures, fitted) for other in others], EVEN)
    photos = draw_photos(sample, result.pictures, fitted, [PHOTO_GRID])
    of_tiles = measure(sample.labels, calibration.scores_of(sample, raw))
    of_photos = measure(photos.labels, photos.scores(photo_weights))
    return Figures(
        auc=of_tiles.auc or 0.0,
        average_precision=of_tiles.average_precision or 0.0,
        recall_at_1_percent_false_alarms=of_tiles.recall_at_1_percent_false_alarms or 0.0,
        recall_at_5_percent_false_alarms=of_tiles.recall_at_5_percent_false_alarms or 0.0,
        ece_before=calibration.calibration_error(sample, raw),
        ece_after=calibration.calibration_error(sample, fitted),
        photo_auc=of_photos.auc or 0.0,
        photo_recall_at_5_percent_false_alarms=of_photos.recall_at_5_percent_false_alarms or 0.0,
    )


def _difference(entry: Entry, reference: Entry) -> Difference:
    auc, recall = (_gain(entry, reference, name) for name in ("auc", "recall_at_5_percent_false_alarms"))
    return Difference(entry.name, reference.name, auc, recall)


def _gain(entry: Entry, reference: Entry, name: str) -> Interval:
    seeds = [seed for seed in entry.rounds if seed in reference.rounds]
    of_entry, of_reference = (
        [_mean_over_sources(each.rounds[seed], name) for seed in seeds] for each in (entry, reference)
    )
    return mean_over_seeds([value - other for value, other in zip(of_entry, of_reference, strict=True)])


def _point(entry: Entry) -> QualityPoint:
    auc = entry.macro["auc"]
    half_interval = 0.0 if auc.high is None else auc.high - auc.mean
    return QualityPoint(entry.name, entry.tiles_per_s, auc.mean, half_interval)


def _csv(comparison: Comparison) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["backbone", "augment", "seed", "left_out", *Figures._fields, "tiles_per_s"])
    for entry in comparison.entries:
        for seed, found in entry.rounds.items():
            for source, values in found.items():
                writer.writerow([entry.backbone, entry.augment, seed, source, *values, entry.tiles_per_s])
    return text.getvalue().encode()
