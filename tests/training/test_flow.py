"""A training run on Ray: the model it writes, its resume after an interruption, and any number of workers."""

import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.cluster.session import ClusterConfig
from pipeline.core.errors import UsageError
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.labels.split import TrainValSplit
from pipeline.models import model
from pipeline.models.backbones import Backbone
from pipeline.models.domain import domain_of
from pipeline.models.engines import OpenVinoProbe
from pipeline.training import flow
from pipeline.training.config import Hyperparameters, TrainConfig
from pipeline.training.progress import EpochResult, TrainCallbacks

SMALL = "test_efficientnet.r160_in1k"
"""The smallest network of timm: 0.4 million parameters."""

HYPERPARAMETERS = Hyperparameters(epochs=2, head_epochs=1, batch_size=8, head_learning_rate=0.05)


@dataclass
class RecordingCallbacks(TrainCallbacks):
    """Records the calls of a run."""

    epochs: list[EpochResult] = field(default_factory=list)
    parts: TrainValSplit | None = None
    workers: int | None = None
    problems: list[str] = field(default_factory=list)

    def on_unlabelled(self, rows: int) -> None:
        """These tests label every row."""
        raise AssertionError(rows)

    def on_descriptors(self, done: int, total: int) -> None:
        """Check the numbers."""
        assert 0 < done <= total

    def on_split(self, parts: TrainValSplit) -> None:
        """Record the split."""
        self.parts = parts

    def on_start(self, backbone: Backbone, workers: int) -> None:
        """Record the number of workers."""
        assert backbone.name == SMALL
        self.workers = workers

    def on_step(self, epoch: int, done: int, total: int) -> None:
        """Check the numbers."""
        assert epoch >= 0
        assert 0 < done <= total

    def on_epoch(self, result: EpochResult) -> None:
        """Record the epoch."""
        self.epochs.append(result)

    def on_domain(self, done: int, total: int) -> None:
        """Check the numbers."""
        assert 0 < done <= total

    def on_not_quantised(self, problem: str) -> None:
        """Record the problem."""
        self.problems.append(problem)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 48 bright tiles labelled cracked and dark ones labelled sound, no two alike."""
    folder = tmp_path_factory.mktemp("tiles")
    random = np.random.default_rng(0)
    for number in range(48):
        name = "Positive" if number % 2 else "Negative"
        (folder / name).mkdir(exist_ok=True)
        pixels = random.integers(0, 120, (40, 40, 3)) + 60 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number:03d}.png")
    return folder


def config(tiles: Path, out: Path, workers: int = 1) -> TrainConfig:
    """Return a run that takes seconds."""
    return TrainConfig(
        data=(str(tiles),),
        out=str(out),
        backbone=SMALL,
        weights="none",
        hyperparameters=HYPERPARAMETERS,
        workers=workers,
        val_fraction=0.4,
        cluster=ClusterConfig(cpus=2),
    )


Trained = tuple[Path, RecordingCallbacks, flow.TrainResult]


@pytest.fixture(scope="module")
def by_two(tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model that two workers trained, the calls of the run, and its result."""
    out, callbacks = tmp_path_factory.mktemp("two") / "model", RecordingCallbacks()
    return out, callbacks, flow.train(config(tiles, out, workers=2), callbacks)


@pytest.mark.ray
def test_a_run_leaves_a_model_and_its_history(tiles: Path, by_two: Trained) -> None:
    """The folder holds model, card, README and history and no checkpoints; the same run again does no work."""
    out, callbacks, result = by_two
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [model.WEIGHTS_FILE, *model.INT8_FILES, model.CARD_FILE, model.README_FILE, "history.parquet"]
    )
    assert callbacks.workers == 2
    assert [epoch.phase for epoch in callbacks.epochs] == ["head", "all", "all"]
    assert pq.read_table(out / "history.parquet").column("loss").to_pylist() == [
        epoch.loss for epoch in callbacks.epochs
    ]
    assert model.load_model(str(out)).card == result.card
    assert result.card.metrics["average_precision"] == max(epoch.average_precision for epoch in callbacks.epochs)
    assert not result.already_there
    assert domain_of(model.load_model(str(out))) is not None
    assert result.card.domain_threshold is not None
    assert result.card.int8 is not None
    assert result.card.int8.tiles == result.card.metrics["n"]

    assert flow.train(config(tiles, out), RecordingCallbacks()).already_there
    with pytest.raises(UsageError, match=r"holds the model of another run .* Choose another --out"):
        flow.train(replace(config(tiles, out), hyperparameters=replace(HYPERPARAMETERS, seed=5)), RecordingCallbacks())


def test_a_model_that_cannot_be_quantised_is_whole_without() -> None:
    """Training returns the model as it is, and reports why it has no int8 network."""
    callbacks = RecordingCallbacks()
    shipped = model.load_model(model.SHIPPED_MODEL)
    nothing = LabelledTiles((), np.zeros(0, bool), (), (), ())

    parts = TrainValSplit(nothing, nothing, 0)
    openvino = OpenVinoProbe("OpenVINO cannot be loaded", has_bf16=False)
    assert flow.add_int8_network(shipped, parts, callbacks, openvino) is shipped
    assert callbacks.problems == ["OpenVINO cannot be loaded"]


@pytest.mark.ray
@pytest.mark.soak
def test_workers_and_repetition(tiles: Path, by_two: Trained, tmp_path: Path) -> None:
    """One worker repeats to the last byte; two workers are within 0.01 validation AP of one."""
    results = {name: flow.train(config(tiles, tmp_path / name), RecordingCallbacks()) for name in ("one", "again")}
    one, again = ((tmp_path / name / model.WEIGHTS_FILE).read_bytes() for name in ("one", "again"))
    assert one == again
    assert results["one"].card == results["again"].card
    reached = [result.card.metrics["average_precision"] for result in (results["one"], by_two[2])]
    assert reached[0] == pytest.approx(reached[1], abs=0.01)


COMMAND = (
    "--backbone", SMALL, "--weights", "none", "--epochs", "5", "--head-epochs", "1", "--batch-size", "8",
    "--workers", "1", "--cpus", "1", "--val-fraction", "0.4", "--learning-rate", "1e-5",
)  # fmt: skip


def command(tiles: Path, out: Path) -> list[str]:
    """Return the command of a run of six epochs."""
    return [sys.executable, "-m", "pipeline.cli", "train", str(tiles), "--out", str(out), *COMMAND]


def interrupt_after(epochs: int, tiles: Path, out: Path, number: signal.Signals) -> tuple[int, str]:
    """Send a run a signal once it has printed this many epochs; return its exit code and last line."""
    with subprocess.Popen(command(tiles, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if re.match(rf" +{epochs}/6", line):
                break
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    return process.returncode, (errors.splitlines() or [""])[-1]


def history(out: Path) -> list[dict[str, object]]:
    """Return the rows of a run's history."""
    rows: list[dict[str, object]] = pq.read_table(out / "history.parquet").to_pylist()
    return rows


@pytest.mark.ray
def test_an_interrupted_run_continues(tiles: Path, tmp_path: Path) -> None:
    """After an interruption, and after a kill, the same command continues from the last checkpoint."""
    out = tmp_path / "model"
    assert interrupt_after(2, tiles, out, signal.SIGINT) == (
        4,
        "crackscan: Interrupted after the last full epoch; run the same command again to go on.",
    )
    interrupted = history(out)
    assert interrupt_after(4, tiles, out, signal.SIGKILL)[0] == -signal.SIGKILL
    killed = history(out)
    assert not (out / model.CARD_FILE).exists()
    time.sleep(1)  # for the Ray that a killed driver leaves to end
    again = subprocess.run(command(tiles, out), capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stderr
    assert "Wrote model" in again.stdout
    finished = history(out)
    # Ray Train records a checkpoint about a second after the epoch; it may repeat one this short, with the same result.
    for before, after in ((interrupted, killed), (killed, finished)):
        kept = len(before) - 1
        assert after[:kept] == before[:kept], "no epoch that was kept is done again: its timings stay, too"
        assert [row["loss"] for row in after[: len(before)]] == [row["loss"] for row in before]
        assert len(after) > len(before) > 1


@pytest.mark.ray
@pytest.mark.soak
def test_a_killed_worker_is_replaced(tiles: Path, tmp_path: Path) -> None:
    """When one of two workers is killed after the first epoch, the run continues from its checkpoint to its end."""
    out = tmp_path / "model"

    @dataclass
    class Killing(RecordingCallbacks):
        killed: list[int] = field(default_factory=list)

        def on_epoch(self, result: EpochResult) -> None:
            super().on_epoch(result)
            if not self.killed:
                children = psutil.Process().children(recursive=True)
                victim = next(child for child in children if "".join(child.cmdline()).startswith("ray::RayTrainWorker"))
                victim.kill()
                self.killed.append(victim.pid)

    callbacks = Killing()
    flow.train(replace(config(tiles, out, workers=2), hyperparameters=replace(HYPERPARAMETERS, epochs=3)), callbacks)
    assert len(callbacks.killed) == 1
    assert [epoch.epoch for epoch in callbacks.epochs] == [0, 1, 2, 3]
    assert [row["epoch"] for row in history(out)] == [0, 1, 2, 3]
