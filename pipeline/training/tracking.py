"""Keeps the figures of every epoch: in Parquet beside the model and, with `--mlflow`, on an MLflow server.

The process that started the training writes both, from the first worker's reports: it is the only writer, and a run
that continues after an interruption repeats nothing. If the server is away for a while, the next epoch sends what it
lacks.
"""

import io
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.core.errors import DatasetError, InterruptedRunError, UsageError
from pipeline.dataset.commit_log import read_table
from pipeline.models.card import Card, Value
from pipeline.training.progress import EpochResult

if TYPE_CHECKING:
    from mlflow import MlflowClient

HISTORY_FILE = "history.parquet"
HISTORY = pa.schema(
    [
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("phase", pa.string(), nullable=False),
        pa.field("learning_rate", pa.float64(), nullable=False),
        pa.field("tiles", pa.int32(), nullable=False),
        pa.field("loss", pa.float64(), nullable=False),
        pa.field("validation_loss", pa.float64(), nullable=False),
        pa.field("average_precision", pa.float64(), nullable=False),
        pa.field("auc", pa.float64(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("tiles_per_s", pa.float64(), nullable=False),
    ]
)
"""One row per epoch."""

SCALARS = {
    "loss/training": "loss",
    "loss/validation": "validation_loss",
    "validation/average_precision": "average_precision",
    "validation/auc": "auc",
    "learning_rate": "learning_rate",
    "tiles_per_s": "tiles_per_s",
}
"""The columns that MLflow shows, by its names for them."""

EXPERIMENT = "crackscan"
RUN_TAG = "crackscan.run"
"""The tag by which the same command finds its run again."""

MAX_PARAMETER_CHARS = 6000
"""MLflow takes no longer parameter; a long list of data is cut."""

MLFLOW_ENV = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # sends no reports
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # instead of 7, minutes in which training could not be watched
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""MLflow reads these only from the environment; values that are set already stay."""


def write_history(folder: str, history: Sequence[EpochResult]) -> None:
    """Write the whole history beside the model after every epoch, so that a resumed run leaves one history, too."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([asdict(result) for result in history], schema=HISTORY), buffer)
    storage.write_whole(storage.join(folder, HISTORY_FILE), buffer.getvalue())


def has_history(folder: str) -> bool:
    """Tell whether a folder holds the history of a run."""
    url = storage.join(folder, HISTORY_FILE)
    try:
        return storage.exists(url) and bool(read_table(url).schema.names == HISTORY.names)
    except DatasetError:
        return False


class Tracking:
    """Receives the figures of a run; this class drops them."""

    problem: str | None = None
    """Why the server may lack a part of the run."""

    def log_epochs(self, history: Sequence[EpochResult]) -> None:
        """Log the epochs that are done."""

    def log_model(self, folder: str, card: Card) -> None:
        """Log the finished model."""


class MlflowTracking(Tracking):
    """A run of an MLflow server."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        first = next(iter(SCALARS))
        self._logged = len({metric.step for metric in client.get_metric_history(run_id, first)})

    def log_epochs(self, history: Sequence[EpochResult]) -> None:
        """Log the epochs that are done and not logged yet."""
        with self._keep_problem():
            for result in history[self._logged :]:
                self._log({name: getattr(result, column) for name, column in SCALARS.items()}, result.epoch)
                self._logged += 1
            self.problem = None

    def log_model(self, folder: str, card: Card) -> None:
        """Log the finished model: its figures on the validation tiles, its id and its folder."""
        with self._keep_problem():
            self._log({f"model/{name}": value for name, value in card.metrics.items()}, self._logged)
            self._client.set_tag(self._run_id, "crackscan.model_id", card.model_id)
            self._client.set_tag(self._run_id, "crackscan.model", folder)

    def end(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or, after an interruption, KILLED."""
        with self._keep_problem():
            self._client.set_terminated(self._run_id, status)

    def _log(self, values: Mapping[str, Value], step: int) -> None:
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
        metrics = [Metric(name, float(value), now_ms, step) for name, value in numbers.items()]
        self._client.log_batch(self._run_id, metrics=metrics)

    @contextmanager
    def _keep_problem(self) -> Iterator[None]:
        """Keep the server's error as `problem`: it must not end the training."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            self.problem = _first_line(error)


@contextmanager
def track_run(uri: str | None, run: str, settings: Mapping[str, object]) -> Iterator[Tracking]:
    """Open or reopen a run on a server, and close it as the context ends.

    Args:
        uri: of the server; None tracks nothing. MLflow takes its credentials from its own environment variables.
        run: its name; a run of this name is reopened.
        settings: its parameters.

    Raises:
        UsageError: MLflow is not installed, or the server cannot be used.
    """
    if uri is None:
        yield Tracking()
        return
    tracking, status = _open_run(uri, run, settings), "FAILED"
    try:
        yield tracking
        status = "FINISHED"
    except InterruptedRunError:
        status = "KILLED"
        raise
    finally:
        tracking.end(status)


def _open_run(uri: str, run: str, settings: Mapping[str, object]) -> MlflowTracking:
    for name, value in MLFLOW_ENV.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise UsageError("--mlflow needs MLflow, which is not installed: pip install 'crackscan[mlflow]'.") from error
    try:
        client = MlflowClient(uri)
        return MlflowTracking(client, _find_or_create_run(client, run, settings))
    except MlflowException as error:
        raise UsageError(f"--mlflow {uri} cannot be used: {_first_line(error)}") from error


def _find_or_create_run(client: "MlflowClient", run: str, settings: Mapping[str, object]) -> str:
    """Return the id of the run of this name; create it if there is none."""
    from mlflow.entities import Param

    experiment = client.get_experiment_by_name(EXPERIMENT)
    experiment_id = client.create_experiment(EXPERIMENT) if experiment is None else experiment.experiment_id
    for known in client.search_runs([experiment_id], f"tags.`{RUN_TAG}` = '{run}'", max_results=1):
        client.update_run(known.info.run_id, status="RUNNING")
        return str(known.info.run_id)
    new = client.create_run(experiment_id, run_name=run, tags={RUN_TAG: run})
    client.log_batch(
        new.info.run_id, params=[Param(name, str(value)[:MAX_PARAMETER_CHARS]) for name, value in settings.items()]
    )
    return str(new.info.run_id)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
