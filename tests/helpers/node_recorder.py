"""An engine and a reader that note on which machine of a cluster they work; `NOTES` names the folder for it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import ray

from pipeline.archives.members import Limits
from pipeline.models.batching import Device, Engine
from pipeline.models.model import Model
from pipeline.scoring.reading import read_measured
from tests.helpers.brightness_engine import brightness

NOTES = "CRACKSCAN_TEST_NOTES"
"""Environment variable, to be set before the machines are started."""


def note(work: str) -> None:
    """Leave an empty file named after the work and the machine."""
    (Path(os.environ[NOTES]) / f"{work}-{ray.get_runtime_context().get_node_id()}").touch()


def make_noting_brightness(_model: Model, device: Device) -> Engine:
    """Make `brightness`, and note where and for which device."""
    note(device)
    return brightness


def noting_read(unit: pa.Table, limits: Limits, done: pa.ChunkedArray) -> Iterator[pa.Table]:
    """Read as always, and note where."""
    note("read")
    yield from read_measured(unit, limits, done)
