"""Every epoch's figures: as Parquet beside the model, and as a run of an MLflow server where one is given.

The process that started the training writes both, from the first worker's notes: one writer, and nothing twice where a
run goes on after a stop. A server that goes away in the middle costs nothing: the next epoch sends what it lacks.
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
from pipeline.core.errors import InterruptedRunError, UsageError
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
"""A row an epoch."""

SCALARS = {
    "loss/training": "loss",
    "loss/validation": "validation_loss",
    "validation/average_precision": "average_precision",
    "validation/auc": "auc",
    "learning_rate": "learning_rate",
    "tiles_per_s": "tiles_per_s",
}
"""What MLflow calls the columns it shows."""

EXPERIMENT = "crackscan"
RUN_TAG = "crackscan.run"
"""Names the run, so that the same command goes on with it."""

LONGEST = 6000
"""Characters of a parameter that MLflow takes; a long list of data is cut."""

FOR_MLFLOW = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # no report to anybody
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # instead of 7, minutes in which training could not be watched
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""MLflow reads these from the environment alone; what is set there already stands."""


def write_history(folder: str, history: Sequence[EpochResult]) -> None:
    """Write the history beside the model, whole after every epoch: a resumed run leaves one history, too."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([asdict(result) for result in history], schema=HISTORY), sink)
    storage.write_whole(storage.join(folder, HISTORY_FILE), sink.getvalue())


class Tracking:
    """Is told how a run goes; this one keeps it to itself."""

    problem: str | None = None
    """Why the server may lack something."""

    def note(self, history: Sequence[EpochResult]) -> None:
        """Note the epochs that are done."""

    def finish(self, folder: str, card: Card) -> None:
        """Note the model that came of it."""


class MlflowTracking(Tracking):
    """A run of an MLflow server."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        first = next(iter(SCALARS))
        self._noted = len({metric.step for metric in client.get_metric_history(run_id, first)})

    def note(self, history: Sequence[EpochResult]) -> None:
        """Note the epochs that are done and not noted yet."""
        with self._forgiving():
            for result in history[self._noted :]:
                self._log({name: getattr(result, column) for name, column in SCALARS.items()}, result.epoch)
                self._noted += 1
            self.problem = None

    def finish(self, folder: str, card: Card) -> None:
        """Note the model that came of it: its figures on the validation tiles, its name and place."""
        with self._forgiving():
            self._log({f"model/{name}": value for name, value in card.metrics.items()}, self._noted)
            self._client.set_tag(self._run_id, "crackscan.model_id", card.model_id)
            self._client.set_tag(self._run_id, "crackscan.model", folder)

    def end(self, status: str) -> None:
        """Close the run: FINISHED, FAILED, or KILLED where it was interrupted."""
        with self._forgiving():
            self._client.set_terminated(self._run_id, status)

    def _log(self, values: Mapping[str, Value], step: int) -> None:
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
        found = [Metric(name, float(value), now_ms, step) for name, value in numbers.items()]
        self._client.log_batch(self._run_id, metrics=found)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Remember what the server answers instead of a yes: it is no reason to lose a training."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            self.problem = _first_line(error)


@contextmanager
def track_run(uri: str | None, run: str, settings: Mapping[str, object]) -> Iterator[Tracking]:
    """Open a run on a server, or go on with it, and close it as the context ends.

    Args:
        uri: of the server; None tracks nothing. MLflow takes its credentials from its own environment variables.
        run: names it; one of the same name goes on.
        settings: shown as its parameters.

    Raises:
        UsageError: MLflow is not installed, or the server cannot be used.
    """
    if uri is None:
        yield Tracking()
        return
    tracking, status = _opened(uri, run, settings), "FAILED"
    try:
        yield tracking
        status = "FINISHED"
    except InterruptedRunError:
        status = "KILLED"
        raise
    finally:
        tracking.end(status)


def _opened(uri: str, run: str, settings: Mapping[str, object]) -> MlflowTracking:
    for name, value in FOR_MLFLOW.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise UsageError("--mlflow needs MLflow, which is not installed: pip install 'crackscan[mlflow]'.") from error
    try:
        client = MlflowClient(uri)
        return MlflowTracking(client, _run_of(client, run, settings))
    except MlflowException as error:
        raise UsageError(f"--mlflow {uri} cannot be used: {_first_line(error)}") from error


def _run_of(client: "MlflowClient", run: str, settings: Mapping[str, object]) -> str:
    """Return the id of the run of this name, a new one where there is none."""
    from mlflow.entities import Param

    found = client.get_experiment_by_name(EXPERIMENT)
    experiment = client.create_experiment(EXPERIMENT) if found is None else found.experiment_id
    for known in client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{run}'", max_results=1):
        client.update_run(known.info.run_id, status="RUNNING")
        return str(known.info.run_id)
    new = client.create_run(experiment, run_name=run, tags={RUN_TAG: run})
    client.log_batch(new.info.run_id, params=[Param(name, str(value)[:LONGEST]) for name, value in settings.items()])
    return str(new.info.run_id)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
