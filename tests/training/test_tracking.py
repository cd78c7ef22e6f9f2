"""What an MLflow server is told of a training: every epoch once, however often it stops, and never at its cost."""

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
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where MLflow's own file store keeps what its server would."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "runs").as_uri()


def kept(place: str) -> list[Run]:
    """Return the runs there."""
    client = MlflowClient(place)
    experiment = client.get_experiment_by_name("crackscan")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def losses(place: str, run: Run) -> list[tuple[int, float]]:
    """Return (epoch, loss) as they were noted."""
    return [(m.step, m.value) for m in MlflowClient(place).get_metric_history(run.info.run_id, "loss/training")]


def test_a_run_that_goes_on_is_one_run_with_every_epoch_once(place: str) -> None:
    """Interrupted after two epochs and told all of them again: no second run, nothing twice."""
    with contextlib.suppress(InterruptedRunError), track_run(place, "train-1", SETTINGS) as tracking:
        tracking.note(EPOCHS[:1])
        tracking.note(EPOCHS[:2])
        raise InterruptedRunError
    assert [run.info.status for run in kept(place)] == ["KILLED"]
    card = load_card(SHIPPED_MODEL)
    with track_run(place, "train-1", SETTINGS) as tracking:
        assert [run.info.status for run in kept(place)] == ["RUNNING"]
        tracking.note(EPOCHS[:2])
        tracking.note(EPOCHS)
        tracking.finish("file:///model", card)
    [run] = kept(place)
    assert run.info.status == "FINISHED"
    assert losses(place, run) == [(result.epoch, result.loss) for result in EPOCHS]
    assert run.data.params == {name: str(value) for name, value in SETTINGS.items()}
    assert run.data.tags["crackscan.model_id"] == card.model_id
    assert run.data.metrics["model/auc"] == card.metrics["auc"]
    assert tracking.problem is None


def test_another_run_is_another_run(place: str) -> None:
    """And one that fails is shown so."""
    with track_run(place, "train-1", SETTINGS):
        pass
    with pytest.raises(ZeroDivisionError), track_run(place, "train-2", SETTINGS):
        raise ZeroDivisionError
    assert {run.info.run_name: run.info.status for run in kept(place)} == {
        "train-1": "FINISHED",
        "train-2": "FAILED",
    }


def test_a_long_list_of_data_is_cut(place: str) -> None:
    """It is no reason to refuse the run."""
    with track_run(place, "train-1", {"data": "tiles " * 2_000}):
        pass
    assert kept(place)[0].data.params == {"data": ("tiles " * 2_000)[:6_000]}


def test_a_server_that_is_away_for_a_while_costs_nothing(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it lacks comes with the next epoch; if it stays away, why is told."""
    log_batch, away = MlflowClient.log_batch, [False]

    def sometimes(client: MlflowClient, *args: Any, **given: Any) -> object:  # noqa: ANN401 - passed on
        if away[0]:
            raise MlflowException("gone for lunch\nwith details")
        return log_batch(client, *args, **given)

    monkeypatch.setattr(MlflowClient, "log_batch", sometimes)
    with track_run(place, "train-1", SETTINGS) as tracking:
        away[0] = True
        tracking.note(EPOCHS[:1])
        assert tracking.problem == "gone for lunch"
        away[0] = False
        tracking.note(EPOCHS[:2])
        assert tracking.problem is None
        away[0] = True
        tracking.note(EPOCHS)
    [run] = kept(place)
    assert losses(place, run) == [(result.epoch, result.loss) for result in EPOCHS[:2]]
    assert tracking.problem == "gone for lunch"


def test_a_server_that_is_not_there_is_told_before_the_work() -> None:
    """As wrong usage, in one line."""
    with (
        pytest.raises(UsageError, match=r"^--mlflow http://127\.0\.0\.1:9 cannot be used: .*$"),
        track_run("http://127.0.0.1:9", "train-1", SETTINGS),
    ):
        raise AssertionError


def test_without_mlflow_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UsageError, match=r"pip install 'crackscan\[mlflow\]'"), track_run("http://host", "r", {}):
        raise AssertionError


def test_without_a_server_nothing_is_tracked() -> None:
    """And MLflow is not loaded."""
    with track_run(None, "train-1", SETTINGS) as tracking:
        tracking.note(EPOCHS)
    assert tracking.problem is None
