"""A comparison on Ray: trials side by side, and its resume after an interruption."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from PIL import Image

from pipeline.cluster.session import ClusterConfig
from pipeline.core.errors import UsageError
from pipeline.evaluation.trial_results import TrialResult, read_results
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.training import leave_one_source_out
from pipeline.training.config import TRIAL
from pipeline.training.leave_one_source_out import run_side_by_side
from pipeline.training.trials import LeaveOneSourceOutConfig

SMALL = "test_efficientnet.r160_in1k"
"""The smallest network of timm: 0.4 million parameters."""

SOURCES = ("deck", "metu", "uav")
HYPERPARAMETERS = replace(TRIAL, epochs=2, head_epochs=0, batch_size=4, learning_rate=0.001)


@dataclass
class RecordingCallbacks:
    """Records the calls of a comparison."""

    planned: tuple[int, int] | None = None
    at_once: int | None = None
    results: list[TrialResult] = field(default_factory=list)

    def on_unlabelled(self, rows: int) -> None:
        """These tests label every row."""
        raise AssertionError(rows)

    def on_unused(self, tiles: LabelledTiles) -> None:
        """These tests use every picture."""
        raise AssertionError(tiles.unmatched, tiles.undecoded)

    def on_plan(self, finished: int, waiting: int) -> None:
        """Record it."""
        self.planned = finished, waiting

    def on_descriptors(self, done: int, total: int) -> None:
        """Check the numbers."""
        assert 0 < done <= total

    def on_start(self, side_by_side: int) -> None:
        """Record it."""
        self.at_once = side_by_side

    def on_progress(self, done: float) -> None:
        """Check the numbers."""
        assert self.planned is not None
        assert 0 <= done <= self.planned[1]

    def on_trial(self, result: TrialResult) -> None:
        """Record it."""
        self.results.append(result)

    def on_speed(self) -> None:
        """Ignore it."""


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make three sources of bright tiles labelled cracked and dark ones labelled sound, two of metu's also in uav."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for source in SOURCES:
        for number in range(16):
            folder = tmp_path / source / ("Positive" if number % 2 else "Negative")
            folder.mkdir(parents=True, exist_ok=True)
            pixels = (random.integers(0, 120, (40, 40, 3)) + 60 * (number % 2)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:03d}.png")
            if source == "metu" and number < 2:
                copy = tmp_path / "uav" / folder.name
                copy.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels[:, ::-1]).save(copy / f"copy-{number}.png")
    return tmp_path


def config(**given: object) -> LeaveOneSourceOutConfig:
    """Return a comparison that takes seconds."""
    defaults: dict[str, object] = {
        "data": SOURCES, "out": "out", "backbones": (SMALL,), "augments": ("plain",), "seeds": (0,),
        "hyperparameters": HYPERPARAMETERS, "weights": "none", "cluster": ClusterConfig(cpus=2),
    }  # fmt: skip
    return LeaveOneSourceOutConfig(**(defaults | given))  # type: ignore[arg-type]  # each is its field's


def test_jobs_run_side_by_side() -> None:
    """Jobs that wait for each other end, and each result is yielded once."""
    meeting = Barrier(2)

    def meet(number: int) -> int:
        meeting.wait(timeout=30)
        return number

    results = run_side_by_side([partial(meet, number) for number in range(6)], 2)
    assert sorted(result for result in results if result is not None) == list(range(6))


def test_the_error_of_a_job_is_raised() -> None:
    """The consumer of the results gets the error of a job."""

    def fail() -> int:
        raise UsageError("broken")

    with pytest.raises(UsageError, match="broken"):
        list(run_side_by_side([fail], 1))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": ("deck", "nowhere")}, "nowhere does not exist"),
        ({"data": ("deck", "deck/Positive")}, "deck/Positive cannot be left out and tested on: of its 0 tiles"),
        ({"backbones": ("nope",)}, "knows no backbone 'nope'"),
    ],
)
def test_wrong_usage_is_refused_before_the_work(sources: Path, given: dict[str, object], message: str) -> None:
    """Wrong usage trains nothing, starts no Ray and writes nothing."""
    with pytest.raises(UsageError, match=message):
        leave_one_source_out.run_trials(config(**given), RecordingCallbacks())
    assert not (sources / "out").exists()


COMMAND = (
    sys.executable, "-m", "pipeline.cli", "models", "compare", *SOURCES, "--out", "out", "--backbone", SMALL,
    "--augment", "plain", "--seed", "0", "--weights", "none", "--epochs", "2", "--head-epochs", "0",
    "--batch-size", "4", "--learning-rate", "0.001", "--cpus", "1",
)  # fmt: skip


def interrupt_after_a_trial() -> tuple[int, str]:
    """Run the command until it has printed a trial, send it Ctrl-C, and return its exit code and stderr."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if re.search(r"seed 0, without \w+: AUC", line):
                break
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
        return process.returncode, errors


@pytest.mark.ray
@pytest.mark.soak
def test_an_interrupted_comparison_continues(sources: Path) -> None:
    """Ctrl-C exits with code 4 and keeps results; the next run does the rest, two at a time; a third has none to do."""
    code, errors = interrupt_after_a_trial()
    assert code == 4, errors
    assert re.search(r"Interrupted after 1 of 3 trials; run the same command again to go on\.$", errors.strip())
    kept = {path: path.stat().st_mtime_ns for path in (sources / "out" / "trials").iterdir()}
    assert len(kept) == 1

    callbacks = RecordingCallbacks()
    found = leave_one_source_out.run_trials(config(), callbacks)
    assert (callbacks.planned, callbacks.at_once) == ((1, 2), 2)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    results = {result.left_out: result for result in read_results("out")}
    assert results.keys() == found.entries[0].sources.keys() == set(SOURCES)
    assert {name: (result.training_tiles, result.repeats_dropped) for name, result in results.items()} == {
        "deck": (34, 0),
        "metu": (32, 2),
        "uav": (30, 2),
    }
    assert all(result.sample.labels.any() and not result.sample.labels.all() for result in results.values())
    assert not (sources / "out" / "checkpoints").exists()

    again = RecordingCallbacks()
    assert leave_one_source_out.run_trials(config(), again).entries[0].rounds == found.entries[0].rounds
    assert (again.planned, again.at_once, again.results) == ((3, 0), None, [])
