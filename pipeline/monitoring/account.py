"""The account of one scoring run: what came of it, what it took, and on which machines, kept while it lasts."""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from pipeline.cluster.session import Node
from pipeline.core.usage import Effort
from pipeline.monitoring import run_stats
from pipeline.monitoring.run_stats import Stage, Tally


class Shown(Protocol):
    """Who shows the figures while they come in, as `counters.Counters`."""

    def count(self, made: Tally) -> None:
        """Count what has come in since the last call."""

    def time(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take in how long photos were worked on, each by itself; schema `SCORED`."""

    def waits(self, photos: int) -> None:
        """Say how many photos are not committed."""


class Account:
    """What a run has come to so far. Only the driver has one."""

    def __init__(self) -> None:
        self.began_at = datetime.now(UTC)
        self.tally = Tally()
        self.nodes: tuple[Node, ...] = ()
        """The machines of Ray when work began."""
        self.first_photo_s: float | None = None
        """Seconds from its beginning to the first photo; None as long as there is none."""
        self._began_s, self._began_cpu_s = time.monotonic(), time.process_time()
        self._shown: Shown | None = None

    @property
    def wall_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began_s

    @property
    def driver_cpu_s(self) -> float:
        """CPU seconds of this process since it began."""
        return time.process_time() - self._began_cpu_s

    def work_begins(self, nodes: tuple[Node, ...], shown: Shown) -> None:
        """Note what it works on, and who is told."""
        self.nodes, self._shown = nodes, shown

    def take(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Count what a scorer has handed over, as `tally.counted`."""
        self._add(run_stats.counted(rows))
        if self.tally.photos and self.first_photo_s is None:
            self.first_photo_s = self.wall_s
        if self._shown is not None:
            self._shown.time([row for row in rows if row["status"] == "ok"])

    def spend(self, stage: Stage, effort: Effort) -> None:
        """Count what a step took that was no photo's."""
        self._add(run_stats.spent(stage, effort))

    def waits(self, photos: int) -> None:
        """Note how many photos are not committed."""
        if self._shown is not None:
            self._shown.waits(photos)

    def _add(self, made: Tally) -> None:
        self.tally += made
        if self._shown is not None:
            self._shown.count(made)
