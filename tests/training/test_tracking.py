"""Tracking on an MLflow server: every epoch once, however often a run is interrupted, and no error ends the run."""

import contextlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from pipeline.core.errors import InterruptedRunError, UsageError
from pipeline.models.model import SHIPPED_MODEL, load_card
from pipeline.training.config import TrainConfig
from pipeline.training.progress import EpochResult
from pipeline.training.tracking import track_run

FIRST = EpochResult(
    epoch=0, phase="head", learning_rate=0.1, tiles=64, loss=0.7, validation_loss=0.6, average_precision=0.8, auc=0.9,
    seconds=2.0, tiles_per_s=32.0,
)  # fmt: skip
EPOCHS = [replace(FIRST, epoch=number, loss=0.7 - number / 10) for number in range(3)]
SETTINGS = TrainConfig(("a", "b"), "model").settings


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of a file store, MLflow's own stand-in for a server."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "runs").as_uri()


def read_runs(uri: str) -> list[Run]:
    """Return the runs of a store."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("crackscan")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def read_losses(uri: str, run: Run) -> list[tuple[int, float]]:
    """Return (epoch, loss) as they were logged."""
    return [(m.step, m.value) for m in MlflowClient(uri).get_metric_history(run.info.run_id, "loss/training")]


def test_a_continued_run_is_one_run_with_every_epoch_once(uri: str) -> None:
    """A run that is interrupted after two epochs and gets all of them again makes no second run and logs none twice."""
    with contextlib.suppress(InterruptedRunError), track_run(uri, "train-1", SETTINGS) as tracking:
        tracking.log_epochs(EPOCHS[:1])
        tracking.log_epochs(EPOCHS[:2])
        raise InterruptedRunError
    assert [run.info.status for run in read_runs(uri)] == ["KILLED"]
    card = load_card(SHIPPED_MODEL)
    with track_run(uri, "train-1", SETTINGS) as tracking:
        assert [run.info.status for run in read_runs(uri)] == ["RUNNING"]
        tracking.log_epochs(EPOCHS[:2])
        tracking.log_epochs(EPOCHS)
        tracking.log_model("file:///model", card)
    [run] = read_runs(uri)
    assert run.info.status == "FINISHED"
    assert read_losses(uri, run) == [(result.epoch, result.loss) for result in EPOCHS]
    assert run.data.params == {name: str(value) for name, value in SETTINGS.items()}
    assert run.data.tags["crackscan.model_id"] == card.model_id
    assert run.data.metrics["model/auc"] == card.metrics["auc"]
    assert tracking.problem is None


def test_runs_of_two_names_are_two_runs(uri: str) -> None:
    """Each has its own status, also one that fails."""
    with track_run(uri, "train-1", SETTINGS):
        pass
    with pytest.raises(ZeroDivisionError), track_run(uri, "train-2", SETTINGS):
        raise ZeroDivisionError
    assert {run.info.run_name: run.info.status for run in read_runs(uri)} == {
        "train-1": "FINISHED",
        "train-2": "FAILED",
    }


def test_a_long_list_of_data_is_cut(uri: str) -> None:
    """A parameter that is too long for MLflow does not refuse the run."""
    with track_run(uri, "train-1", {"data": "tiles " * 2_000}):
        pass
    assert read_runs(uri)[0].data.params == {"data": ("tiles " * 2_000)[:6_000]}


def test_a_server_that_is_away_for_a_while_costs_nothing(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next epoch logs what the server lacks; if it stays away, `problem` says why."""
    log_batch, away = MlflowClient.log_batch, [False]

    def sometimes(client: MlflowClient, *args: Any, **given: Any) -> object:  # noqa: ANN401 - passed on
        if away[0]:
            raise MlflowException("gone for lunch\nwith details")
        return log_batch(client, *args, **given)

    monkeypatch.setattr(MlflowClient, "log_batch", sometimes)
    with track_run(uri, "train-1", SETTINGS) as tracking:
        away[0] = True
        tracking.log_epochs(EPOCHS[:1])
        assert tracking.problem == "gone for lunch"
        away[0] = False
        tracking.log_epochs(EPOCHS[:2])
        assert tracking.problem is None
        away[0] = True
        tracking.log_epochs(EPOCHS)
    [run] = read_runs(uri)
    assert read_losses(uri, run) == [(result.epoch, result.loss) for result in EPOCHS[:2]]
    assert tracking.problem == "gone for lunch"


def test_a_missing_server_is_refused_before_the_work() -> None:
    """It raises UsageError, in one line."""
    with (
        pytest.raises(UsageError, match=r"^--mlflow http://127\.0\.0\.1:9 cannot be used: .*$"),
        track_run("http://127.0.0.1:9", "train-1", SETTINGS),
    ):
        raise AssertionError


def test_without_mlflow_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow is an extra."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UsageError, match=r"pip install 'crackscan\[mlflow\]'"), track_run("http://host", "r", {}):
        raise AssertionError


def test_without_a_server_nothing_is_tracked() -> None:
    """Without `--mlflow`, tracking drops the figures."""
    with track_run(None, "train-1", SETTINGS) as tracking:
        tracking.log_epochs(EPOCHS)
    assert tracking.problem is None
