"""The history file: one row per epoch, and one history after an interruption."""

import io
from dataclasses import asdict, fields
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.training.progress import EpochResult
from pipeline.training.tracking import HISTORY, HISTORY_FILE, write_history


def epoch(number: int) -> EpochResult:
    """Return an epoch with given figures."""
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
    """Every field of an epoch has a column."""
    assert HISTORY.names == [field.name for field in fields(EpochResult)]


def test_the_file_holds_every_epoch(tmp_path: Path) -> None:
    """Each epoch is a row; writing again replaces the file."""
    write_history(f"file://{tmp_path}", [epoch(0)])
    write_history(f"file://{tmp_path}", [epoch(0), epoch(1)])
    rows = pq.read_table(io.BytesIO((tmp_path / HISTORY_FILE).read_bytes())).to_pylist()
    assert rows == [asdict(epoch(0)), asdict(epoch(1))]
    assert [path.name for path in tmp_path.iterdir()] == [HISTORY_FILE]
