"""The history of a training run beside its model: a Parquet row an epoch, and the same for TensorBoard.

Both files are written anew after every epoch, so that a run that goes on after a stop leaves one history.
"""

import io
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.training.progress import EpochResult

HISTORY_FILE = "history.parquet"
TENSORBOARD_FILE = "tensorboard/events.out.tfevents.crackscan"

SCHEMA = pa.schema(
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

SCALARS = {
    "loss/training": "loss",
    "loss/validation": "validation_loss",
    "validation/average_precision": "average_precision",
    "validation/auc": "auc",
    "learning_rate": "learning_rate",
    "tiles_per_s": "tiles_per_s",
}
"""What TensorBoard calls the columns it shows."""


def write(folder: str, history: Sequence[EpochResult]) -> None:
    """Write both files of a model folder."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([asdict(result) for result in history], schema=SCHEMA), sink)
    storage.write_whole(storage.join(folder, HISTORY_FILE), sink.getvalue())
    storage.write_whole(storage.join(folder, TENSORBOARD_FILE), _events(history))


def _events(history: Sequence[EpochResult]) -> bytes:
    from torch.utils.tensorboard import SummaryWriter

    with tempfile.TemporaryDirectory() as folder:
        with SummaryWriter(folder) as writer:
            for result in history:
                for name, column in SCALARS.items():
                    writer.add_scalar(name, getattr(result, column), result.epoch)
        return next(Path(folder).iterdir()).read_bytes()
