"""Photos that arrive from the scorers: handed to the sink, logged, and put on the run's account."""

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

_NOTED = [*COLUMNS, "archive", "image", "failure_message", "log"]
"""What is counted and logged of a photo."""


class Collector:
    """The sink's counter: nothing goes past the account.

    Args:
        sink: writes the dataset.
        account: the run's.
    """

    def __init__(self, sink: DatasetWriter, account: RunStats) -> None:
        self._sink, self._account = sink, account

    def take(self, photos: pa.Table, ends: pa.Table) -> None:
        """Take photos in, and the ends of streams; schema `SCORED`."""
        taken = self._written(partial(self._sink.add, photos))
        rows = [row for table in (taken, ends) for row in table.select(_NOTED).to_pylist()]
        for row in rows:
            _write_down(row)
        if not self._account.tally.photos and taken.num_rows:
            _log.info("first_scored", **_place(rows[0]))
        self._account.take(rows)
        self._account.waits(self._sink.waiting)

    def commit_if_due(self) -> None:
        """Commit what has waited long enough; to be called now and then."""
        if self._sink.is_due:
            self.commit()

    def commit(self) -> None:
        """Commit what waits."""
        self._written(self._sink.commit)
        self._account.waits(self._sink.waiting)

    def _written(self, work: Callable[[], Result]) -> Result:
        """Write; other threads of the driver do other work meanwhile."""
        result, effort = measure(work, time.thread_time)
        self._account.spend("write", effort)
        return result


def _write_down(row: Mapping[str, Any]) -> None:
    """Log what concerns one photo, or the end of a stream: what its worker logged, and how it ended."""
    place = _place(row)
    replay(row["log"] or (), **place)
    if row["status"] is None:
        _log.info("read to its end", **place)
    if row["status"] == "failed":
        why = {name: row[f"failure_{name}"] for name in ("stage", "kind", "message")}
        _log.warning("photo failed", **place, **why)


def _place(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: row[name] for name in ("archive", "image") if row[name] is not None}
