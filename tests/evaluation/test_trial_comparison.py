"""Comparisons: figures per source, means over sources, intervals over seeds, and the files."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline import storage
from pipeline.evaluation import trial_comparison
from pipeline.evaluation.calibration import Sample
from pipeline.evaluation.trial_comparison import Figures, Interval, mean_over_seeds, summarise
from pipeline.evaluation.trial_results import TrialResult

LABELS = np.array([True, True, False, False])
LOGITS = {1.0: [2, 1, -1, -2], 0.75: [2, -1.5, -1, -2], 0.5: [2, -3, -1, -2]}
"""Logits of two cracked and two sound tiles, by their AUC."""


def trial(backbone: str, seed: int, left_out: str, auc: float) -> TrialResult:
    """Return the result of a trial of known AUC."""
    return TrialResult(
        run=f"{backbone}{seed}{left_out}",
        backbone=backbone,
        augment="field",
        seed=seed,
        left_out=left_out,
        training={},
        training_tiles=4,
        repeats_dropped=0,
        seconds=1.0,
        tiles=("1", "2", "3", "4"),
        sample=Sample(np.array(LOGITS[auc], np.float32), LABELS),
    )


RESULTS = [
    trial("slow", 0, "a", 1.0), trial("slow", 0, "b", 0.5), trial("slow", 1, "a", 1.0), trial("slow", 1, "b", 0.75),
    trial("fast", 0, "a", 1.0), trial("fast", 0, "b", 0.75), trial("fast", 1, "a", 1.0), trial("fast", 1, "b", 1.0),
]  # fmt: skip
SPEEDS = {"slow": 10.0, "fast": 50.0}


def test_intervals_follow_students_t() -> None:
    """Of 1, 2, 3 the mean is 2, the standard error 0.577 and t 4.303; one seed has no interval."""
    found = mean_over_seeds([1, 2, 3])
    assert (found.mean, found.n) == (2, 3)
    assert found.high == pytest.approx(2 + 4.303 / 3**0.5)
    assert found.low == pytest.approx(2 - 4.303 / 3**0.5)
    assert mean_over_seeds([0.5]) == Interval(0.5, None, None, 1)


def test_an_interval_excludes_zero_or_not() -> None:
    """Only if all of it is on one side; without an interval nobody knows."""
    bounds = ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.2), (0.0, 0.1), (0.0, 0.0), (None, None))
    found = [Interval(0.0, low, high, 2).excludes_zero for low, high in bounds]
    assert found == [True, True, False, False, False, None]


def test_every_source_weighs_the_same() -> None:
    """Figures of a source are means over seeds, macro figures are means over sources, the best entry comes first."""
    first, second = summarise("out", RESULTS, SPEEDS).entries
    assert (first.name, second.name) == ("fast, field", "slow, field")
    assert {source: found.auc for source, found in second.sources.items()} == {"a": 1.0, "b": 0.625}
    assert second.macro["auc"].mean == pytest.approx((0.75 + 0.875) / 2)
    assert (first.tiles_per_s, first.macro["auc"].n) == (50, 2)


def test_differences_are_seed_by_seed() -> None:
    """Both seeds gain 0.125, so the interval has no width, though the macro AUC varies."""
    (difference,) = summarise("out", RESULTS, SPEEDS).differences
    assert (difference.name, difference.than) == ("fast, field", "slow, field")
    assert difference.auc == Interval(0.125, 0.125, 0.125, 2)
    recall = difference.recall_at_5_percent_false_alarms  # gains 0.25 in one seed, and nothing in the other
    assert (recall.mean, recall.high) == pytest.approx((0.125, 0.125 + 12.706 * 0.125))


def test_photos_of_tiles_told_apart_are_told_apart() -> None:
    """Where a network ranks all tiles right, in every source, it ranks all photos right."""
    for found in trial_comparison.measure_round({result.left_out: result for result in RESULTS[6:]}).values():
        assert (found.photo_auc, found.photo_recall_at_5_percent_false_alarms) == (1, 1)


def test_photos_of_a_source_are_calibrated_on_the_others() -> None:
    """Another source that teaches little makes the photos of a source harder to tell apart, though not its tiles."""
    good, poor = trial("slow", 0, "b", 1.0), trial("slow", 0, "b", 0.5)
    found = [trial_comparison.measure_round({"a": RESULTS[0], "b": other})["a"] for other in (good, poor)]
    assert found[0].auc == found[1].auc == 1
    assert found[1].photo_auc < 0.95 < found[0].photo_auc


def test_each_source_is_calibrated_on_the_others() -> None:
    """The labels of a source do not change its own calibration: with logits negated, its scores are all wrong."""
    right = {result.left_out: result for result in RESULTS[:2]}
    negated = trial("slow", 0, "a", 1.0)
    negated = TrialResult(**{**vars(negated), "sample": Sample(-negated.sample.logits, LABELS)})
    before, after = trial_comparison.measure_round(right), trial_comparison.measure_round({**right, "a": negated})
    assert before["a"].auc == 1
    assert after["a"].auc == 0
    assert before["a"].ece_after < 0.5 < after["a"].ece_after
    assert before["b"].ece_before == after["b"].ece_before
    assert before["b"].ece_after != after["b"].ece_after


def test_the_files_hold_every_figure(tmp_path: Path) -> None:
    """A row of CSV for each trial, everything in JSON, and a picture."""
    found = summarise(storage.canonical(str(tmp_path)), RESULTS, SPEEDS)
    trial_comparison.write_comparison(found)
    rows = list(csv.DictReader((tmp_path / "comparison.csv").read_text().splitlines()))
    assert [(row["backbone"], row["seed"], row["left_out"], float(row["auc"])) for row in rows][:2] == [
        ("fast", "0", "a", 1.0),
        ("fast", "0", "b", 0.75),
    ]
    assert len(rows) == len(RESULTS)
    content = json.loads((tmp_path / "comparison.json").read_text())
    assert content["entries"][0]["macro"]["auc"]["mean"] == found.entries[0].macro["auc"].mean
    assert content["entries"][0]["sources"]["a"].keys() == set(Figures._fields) <= rows[0].keys()
    assert {name for name in content["differences"][0] if name not in {"name", "than"}} == {
        "auc",
        "recall_at_5_percent_false_alarms",
    }
    assert content["differences"][0]["auc"]["n"] == 2
    assert (tmp_path / "quality_speed.png").read_bytes().startswith(b"\x89PNG")
