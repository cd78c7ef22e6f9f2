"""Passes scored photos to the dataset writer, the log and the run statistics."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pyarrow as pa

from pipeline.core.log import get_logger, replay
from pipeline.core.usage import Result, measure
from pipeline.dataset.writer import DatasetWriter
from pipeline.monitoring.run_stats import COLUMNS, RunStats

_log = get_logger("flow")

_COLUMNS = [*COLUMNS, "archive", "image", "failure_message", "log"]
"""Columns of a photo that are counted or logged."""


class Collector:
    """Passes every scored photo on, once.

    Args:
        writer: of the dataset.
        stats: of the run.
    """

    def __init__(self, writer: DatasetWriter, stats: RunStats) -> None:
        self._writer, self._stats = writer, stats

    def add(self, photos: pa.Table, ends: pa.Table) -> None:
        """Add photos, and the ends of streams; schema `SCORED`."""
        added = self._measure_write(partial(self._writer.add, photos))
        rows = [row for table in (added, ends) for row in table.select(_COLUMNS).to_pylist()]
        for row in rows:
            _log_row(row)
        if not self._stats.totals.photos and added.num_rows:
            _log.info("first_scored", **_address(rows[0]))
        self._stats.add_rows(rows)
        self._stats.set_uncommitted(self._writer.waiting)

    def commit_if_due(self) -> None:
        """Commit photos that have waited long enough."""
        if self._writer.is_due:
            self.commit()

    def commit(self) -> None:
        """Commit all waiting photos."""
        self._measure_write(self._writer.commit)
        self._stats.set_uncommitted(self._writer.waiting)

    def _measure_write(self, write: Callable[[], Result]) -> Result:
        """Write, and count the CPU time of this thread only: the driver's other threads do other work meanwhile."""
        result, usage = measure(write, time.thread_time)
        self._stats.add_usage("write", usage)
        return result


def _log_row(row: Mapping[str, Any]) -> None:
    """Log what the worker logged about a photo or the end of a stream, and how it ended."""
    address = _address(row)
    replay(row["log"] or (), **address)
    if row["status"] is None:
        _log.info("read to its end", **address)
    if row["status"] == "failed":
        reason = {name: row[f"failure_{name}"] for name in ("stage", "kind", "message")}
        _log.warning("photo failed", **address, **reason)


def _address(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: row[name] for name in ("archive", "image") if row[name] is not None}
