"""What came of a run so far and what it took, counted from what the scorers hand over; numbers only.

`counters` shows it while the run lasts, `run_report` keeps it.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, Protocol

from pipeline.cluster.session import Node
from pipeline.core.usage import Usage

Stage = Literal["list", "read", "decode", "score", "write"]
STAGES: tuple[Stage, ...] = ("list", "read", "decode", "score", "write")
_OF_PHOTOS: tuple[Stage, ...] = ("read", "decode", "score")
"""Stages whose effort comes with the photos; the driver measures the others."""

_FACTS = ("status", "tiles", "size_bytes", "failure_stage", "failure_kind")
COLUMNS = (*_FACTS, *(f"{stage}_effort" for stage in _OF_PHOTOS))
"""What is counted of schema `SCORED`."""


class Failure(NamedTuple):
    """Why a photo failed, as the columns of `images` say it."""

    stage: str
    kind: str


@dataclass(frozen=True)
class Totals:
    """Photos that have been handed over, and what they took; of work that was lost and done again it knows nothing."""

    photos: int = 0
    """Failed ones included."""
    tiles: int = 0
    photo_bytes: int = 0
    """Of the photos' files."""
    failures: Mapping[Failure, int] = field(default_factory=dict)
    """Failed photos by why."""
    efforts: Mapping[Stage, Usage] = field(default_factory=dict)

    def __add__(self, other: "Totals") -> "Totals":
        """Add what came of other photos."""
        stages = [stage for stage in STAGES if stage in {*self.efforts, *other.efforts}]
        return Totals(
            self.photos + other.photos,
            self.tiles + other.tiles,
            self.photo_bytes + other.photo_bytes,
            Counter(self.failures) + Counter(other.failures),
            {stage: self.effort(stage) + other.effort(stage) for stage in stages},
        )

    @property
    def failed(self) -> int:
        """Photos that failed."""
        return sum(self.failures.values())

    @property
    def total(self) -> Usage:
        """What all stages took."""
        return sum(self.efforts.values(), Usage())

    def effort(self, stage: Stage) -> Usage:
        """Return what a stage took."""
        return self.efforts.get(stage, Usage())


def spent(stage: Stage, effort: Usage) -> Totals:
    """Return what a step took that was no photo's."""
    return Totals(efforts={stage: effort})


def count_rows(rows: Iterable[Mapping[str, Any]]) -> Totals:
    """Count photos, and the reading of streams to their end.

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
        efforts={stage: _sum(row[f"{stage}_effort"] for row in rows) for stage in _OF_PHOTOS},
    )


def _sum(efforts: Iterable[Mapping[str, Any] | None]) -> Usage:
    return sum((Usage(**effort) for effort in efforts if effort is not None), Usage())


class MetricsSink(Protocol):
    """Who shows the figures while they come in, as `counters.Counters`."""

    def count(self, made: Totals) -> None:
        """Count what has come in since the last call."""

    def time(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take in how long photos were worked on, each by itself; schema `SCORED`."""

    def waits(self, photos: int) -> None:
        """Say how many photos are not committed."""


class RunStats:
    """What a run has come to so far. Only the driver has one."""

    def __init__(self) -> None:
        self.began_at = datetime.now(UTC)
        self.tally = Totals()
        self.nodes: tuple[Node, ...] = ()
        """The machines of Ray when work began."""
        self.first_photo_s: float | None = None
        """Seconds from its beginning to the first photo; None as long as there is none."""
        self._began_s, self._began_cpu_s = time.monotonic(), time.process_time()
        self._shown: MetricsSink | None = None

    @property
    def wall_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began_s

    @property
    def driver_cpu_s(self) -> float:
        """CPU seconds of this process since it began."""
        return time.process_time() - self._began_cpu_s

    def work_begins(self, nodes: tuple[Node, ...], shown: MetricsSink) -> None:
        """Note what it works on, and who is told."""
        self.nodes, self._shown = nodes, shown

    def take(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Count what a scorer has handed over, as `tally.counted`."""
        self._add(count_rows(rows))
        if self.tally.photos and self.first_photo_s is None:
            self.first_photo_s = self.wall_s
        if self._shown is not None:
            self._shown.time([row for row in rows if row["status"] == "ok"])

    def spend(self, stage: Stage, effort: Usage) -> None:
        """Count what a step took that was no photo's."""
        self._add(spent(stage, effort))

    def waits(self, photos: int) -> None:
        """Note how many photos are not committed."""
        if self._shown is not None:
            self._shown.waits(photos)

    def _add(self, made: Totals) -> None:
        self.tally += made
        if self._shown is not None:
            self._shown.count(made)
