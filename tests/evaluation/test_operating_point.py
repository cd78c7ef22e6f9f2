"""The operating point: calibration and threshold from all trials, figures from sources that were left out."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.evaluation import calibration
from pipeline.evaluation.calibration import Sample
from pipeline.evaluation.operating_point import OperatingTarget, choose_operating_point
from pipeline.evaluation.trial_results import RESULTS, TrialResult


def trial(left_out: str, seed: int, shift: float = 0.0) -> TrialResult:
    """Return the result of a network that is mostly right, with logits shifted by `shift`."""
    random = np.random.default_rng((seed, len(left_out)))
    labels = np.arange(400) % 2 == 0
    logits = random.normal(np.where(labels, 2, -2) + shift, 1.5).astype(np.float32)
    return TrialResult(
        run=f"{left_out}{seed}",
        backbone="net",
        augment="field",
        seed=seed,
        left_out=left_out,
        training={},
        training_tiles=1,
        repeats_dropped=0,
        seconds=1.0,
        tiles=tuple(map(str, range(len(labels)))),
        sample=Sample(logits, labels),
    )


TRIALS = [trial(source, seed, shift) for seed in (0, 1) for source, shift in (("a", 0.0), ("bb", 1.0), ("ccc", -1.0))]


def write(folder: Path, results: list[TrialResult]) -> OperatingTarget:
    """Write trials as a comparison does, and return a target with them."""
    for number, result in enumerate(results):
        url = storage.join(storage.canonical(str(folder)), RESULTS, f"{number}.json")
        storage.write_whole(url, result.to_json({}).encode())
    return OperatingTarget(str(folder), false_alarm_rate=0.05, base_rate=0.1)


def test_the_fit_uses_all_trials(tmp_path: Path) -> None:
    """The calibration is that of all sources; at the threshold, the middle source has five per cent false alarms."""
    found = choose_operating_point(write(tmp_path, TRIALS), "net", "field")
    by_source = {source: [each.sample for each in TRIALS if each.left_out == source] for source in ("a", "bb", "ccc")}
    samples = [Sample(*map(np.concatenate, zip(*parts, strict=True))) for parts in by_source.values()]
    assert found.calibration == calibration.fit_across(samples)
    rates = calibration.rates_at(samples[:1], found.calibration, found.threshold)
    assert 0.045 < rates.false_alarm_rate < 0.05 + 1e-6


def test_the_figures_of_a_source_come_from_the_others(tmp_path: Path) -> None:
    """A threshold chosen on the others calls more sound tiles cracked in a source with higher logits."""
    metrics = choose_operating_point(write(tmp_path, TRIALS), "net", "field").metrics
    rates = [metrics[f"left_out/{source}/false_alarm_rate"] for source in ("ccc", "a", "bb")]
    assert rates == sorted(rates)  # type: ignore[type-var]  # all are numbers
    assert float(rates[2] or 0) > 0.05
    mean = metrics["left_out/false_alarm_rate"]
    assert isinstance(mean, float)
    assert mean == pytest.approx(np.mean([float(rate or 0) for rate in rates]))
    recall = float(metrics["left_out/recall"] or 0)
    assert metrics["left_out/precision_at_base_rate"] == pytest.approx(recall * 0.1 / (recall * 0.1 + mean * 0.9))
    assert {name.split("/")[1] for name in metrics if name.count("/") == 2} == {"a", "bb", "ccc"}
    assert json.dumps(metrics)


def test_unsuitable_trials_raise_an_error(tmp_path: Path) -> None:
    """No trials of this kind, no complete round, or two settings in one folder: each error says what to do."""
    with pytest.raises(
        UsageError, match=r"no trials of net with --augment field; it holds none\. Run `crackscan models"
    ):
        choose_operating_point(OperatingTarget(str(tmp_path / "none")), "net", "field")
    target = write(tmp_path / "some", TRIALS)
    with pytest.raises(UsageError, match=r"no trials of net with --augment plain; it holds net with --augment field\."):
        choose_operating_point(target, "net", "plain")
    with pytest.raises(UsageError, match=r"has no seed in which each of a, bb was left out"):
        choose_operating_point(write(tmp_path / "part", [TRIALS[0], TRIALS[4]]), "net", "field")
    with pytest.raises(UsageError, match="of more than one setting or set of data"):
        choose_operating_point(write(tmp_path / "twice", [*TRIALS, replace(TRIALS[0], run="other")]), "net", "field")


@pytest.mark.parametrize(
    ("rates", "option"), [({"false_alarm_rate": 0.0}, "--false-alarms"), ({"base_rate": 1.0}, "--base-rate")]
)
def test_rates_are_parts(rates: dict[str, float], option: str) -> None:
    """A rate is neither 0 nor 1."""
    with pytest.raises(UsageError, match=rf"^{option} is [01]; expected a number between 0 and 1"):
        OperatingTarget("trials", **rates)
