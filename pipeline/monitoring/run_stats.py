"""Counts and resource usage of a run, added up by the driver from the rows that scorers hand over.

`ray_metrics` shows the figures while the run lasts, `run_report` keeps them.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, Protocol

from pipeline.cluster.session import Node
from pipeline.core.usage import Usage
from pipeline.monitoring.changes import Change

Stage = Literal["list", "read", "decode", "score", "map", "write"]
STAGES: tuple[Stage, ...] = ("list", "read", "decode", "score", "map", "write")
_PHOTO_STAGES: tuple[Stage, ...] = ("read", "decode", "score", "map")
"""Stages whose usage comes with the photos; the driver measures the others."""

_FACTS = ("status", "tiles", "size_bytes", "failure_stage", "failure_kind")
COLUMNS = (*_FACTS, *(f"{stage}_usage" for stage in _PHOTO_STAGES))
"""The columns of schema `SCORED` that are counted."""


class Failure(NamedTuple):
    """Why a photo failed: values of two columns of `images`."""

    stage: str
    kind: str


@dataclass(frozen=True)
class Totals:
    """Counts and usage of the photos that reached the driver; work that was lost and repeated counts once."""

    photos: int = 0
    """With the failed ones."""
    tiles: int = 0
    photo_bytes: int = 0
    """Size of the photos' files."""
    failures: Mapping[Failure, int] = field(default_factory=dict)
    """Failed photos by reason."""
    usages: Mapping[Stage, Usage] = field(default_factory=dict)
    """Resource usage by stage; without the stages that were not measured."""

    def __add__(self, other: "Totals") -> "Totals":
        """Add the totals of other photos."""
        stages = [stage for stage in STAGES if stage in {*self.usages, *other.usages}]
        return Totals(
            self.photos + other.photos,
            self.tiles + other.tiles,
            self.photo_bytes + other.photo_bytes,
            Counter(self.failures) + Counter(other.failures),
            {stage: self.usage(stage) + other.usage(stage) for stage in stages},
        )

    @property
    def failed(self) -> int:
        """Number of failed photos."""
        return sum(self.failures.values())

    @property
    def total_usage(self) -> Usage:
        """Usage of all stages."""
        return sum(self.usages.values(), Usage())

    def usage(self, stage: Stage) -> Usage:
        """Return the usage of one stage."""
        return self.usages.get(stage, Usage())


def count_rows(rows: Iterable[Mapping[str, Any]]) -> Totals:
    """Count photos, and add up their usage and that of reading streams to their end.

    Args:
        rows: of schema `SCORED`, with at least `COLUMNS`.
    """
    rows = list(rows)
    photos = [row for row in rows if row["status"] is not None]  # the end of a stream has none
    failed = [row for row in photos if row["status"] == "failed"]
    return Totals(
        photos=len(photos),
        tiles=sum(row["tiles"] or 0 for row in photos),
        photo_bytes=sum(row["size_bytes"] or 0 for row in photos),
        failures=Counter(Failure(row["failure_stage"], row["failure_kind"]) for row in failed),
        usages={stage: _add_up(row[f"{stage}_usage"] for row in rows) for stage in _PHOTO_STAGES},
    )


def _add_up(usages: Iterable[Mapping[str, Any] | None]) -> Usage:
    return sum((Usage(**usage) for usage in usages if usage is not None), Usage())


class Metrics(Protocol):
    """Receives the figures as they come in, as `ray_metrics.RayMetrics` does."""

    def count(self, added: Totals) -> None:
        """Count what came in since the last call."""

    def observe_times(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Observe how long each photo was decoded and scored; rows of schema `SCORED`."""

    def set_uncommitted(self, photos: int) -> None:
        """Set how many photos are not committed."""


class RunStats:
    """The figures of a run so far. Only the driver has one."""

    def __init__(self) -> None:
        self.began_at = datetime.now(UTC)
        self.totals = Totals()
        self.nodes: tuple[Node, ...] = ()
        """The machines of Ray when work began."""
        self.changes: tuple[Change, ...] = ()
        """What has changed among the inputs since they were listed."""
        self.new_changes: tuple[Change, ...] = ()
        """Those of it that no earlier run has told."""
        self.first_photo_s: float | None = None
        """Seconds from the start of the run to its first photo; None before that."""
        self._began_s, self._began_cpu_s = time.monotonic(), time.process_time()
        self._metrics: Metrics | None = None

    @property
    def wall_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began_s

    @property
    def driver_cpu_s(self) -> float:
        """CPU seconds of this process since the run began."""
        return time.process_time() - self._began_cpu_s

    def begin_work(self, nodes: tuple[Node, ...], metrics: Metrics) -> None:
        """Note the machines, and show the figures through `metrics` from now on."""
        self.nodes, self._metrics = nodes, metrics

    def add_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add the rows that a scorer handed over, as `count_rows`."""
        self._add(count_rows(rows))
        if self.totals.photos and self.first_photo_s is None:
            self.first_photo_s = self.wall_s
        if self._metrics is not None:
            self._metrics.observe_times([row for row in rows if row["status"] == "ok"])

    def add_usage(self, stage: Stage, usage: Usage) -> None:
        """Add the usage of a step of the driver."""
        self._add(Totals(usages={stage: usage}))

    def set_uncommitted(self, photos: int) -> None:
        """Show how many photos are not committed."""
        if self._metrics is not None:
            self._metrics.set_uncommitted(photos)

    def _add(self, added: Totals) -> None:
        self.totals += added
        if self._metrics is not None:
            self._metrics.count(added)
