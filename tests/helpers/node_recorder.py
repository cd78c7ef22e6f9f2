"""An engine and a reader that note on which machine of a cluster they work, in the folder that `NOTES` names."""

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import ray

from pipeline.archives.members import Limits
from pipeline.dataset.moves import Moves
from pipeline.models.batching import Device, Engine
from pipeline.models.model import Model
from pipeline.scoring.reading import read_measured
from tests.helpers.brightness_engine import make_brightness

NOTES = "CRACKSCAN_TEST_NOTES"
"""Environment variable; set it before the machines start."""


def note(work: str) -> None:
    """Create an empty file named after the work and the machine."""
    (Path(os.environ[NOTES]) / f"{work}-{ray.get_runtime_context().get_node_id()}").touch()


def make_noting_engine(model: Model, device: Device) -> Engine:
    """Make the brightness engine, and note where and for which device."""
    note(device)
    return make_brightness(model, device)


def read_and_note(unit: pa.Table, limits: Limits, done: pa.ChunkedArray, moves: Moves) -> Iterator[pa.Table]:
    """Read as `read_measured`, and note where."""
    note("read")
    yield from read_measured(unit, limits, done, moves)
