"""The history files: one row an epoch, the same for TensorBoard, and one history after a stop."""

import io
from dataclasses import asdict, fields
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from pipeline.training import history
from pipeline.training.history import HISTORY_FILE, SCHEMA, TENSORBOARD_FILE
from pipeline.training.progress import EpochResult


def epoch(number: int) -> EpochResult:
    """Return an epoch whose figures are known."""
    return EpochResult(
        epoch=number,
        phase="head" if number == 0 else "all",
        learning_rate=0.25,
        tiles=64,
        loss=1.0 / (number + 1),
        validation_loss=0.5,
        average_precision=0.75,
        auc=0.875,
        seconds=2.0,
        tiles_per_s=32.0,
    )


def test_the_schema_has_every_figure() -> None:
    """A figure added to an epoch must be given a column."""
    assert SCHEMA.names == [field.name for field in fields(EpochResult)]


@pytest.mark.filterwarnings("default::Warning")
def test_both_files_hold_every_epoch(tmp_path: Path) -> None:
    """Parquet rows are the epochs; TensorBoard shows the same numbers; writing again replaces both."""
    history.write(f"file://{tmp_path}", [epoch(0)])
    history.write(f"file://{tmp_path}", [epoch(0), epoch(1)])
    rows = pq.read_table(io.BytesIO((tmp_path / HISTORY_FILE).read_bytes())).to_pylist()
    assert rows == [asdict(epoch(0)), asdict(epoch(1))]
    assert [path.name for path in (tmp_path / "tensorboard").iterdir()] == [Path(TENSORBOARD_FILE).name]
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss/training")] == [(0, 1.0), (1, 0.5)]
    assert [event.value for event in events.Scalars("validation/auc")] == [0.875, 0.875]
