"""A watch without Ray, on a clock of its own: what happens between two looks is a script.

The engine scores brightness, as in `nights`; each round scores in this process.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Literal

import pyarrow as pa
import pytest

from pipeline.archives.readers import MeasuredListing, list_and_measure
from pipeline.core.errors import CrackscanError
from pipeline.dataset.moves import Moves
from pipeline.monitoring.changes import Change
from pipeline.rasters.window_reader import WindowRule
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.placement import ScorerOptions
from pipeline.scoring.progress import ScoreCallbacks, ScoreSummary
from pipeline.scoring.reading import read_measured, split_units
from pipeline.scoring.scorer import PhotoScorer, Scoring
from pipeline.storage import StoredFile
from pipeline.watch.flow import watch
from pipeline.watch.progress import Standing, WatchCallbacks
from pipeline.watch.schedule import Clock, Schedule
from tests.helpers.brightness_engine import make_fast_brightness
from tests.monitoring.test_run_report import NoMetrics

BEGAN_AT = datetime(2026, 11, 30, 22, 0, tzinfo=UTC)

LEASE_TTL_S = 2.0
"""So that the lease soon tells how the watch stands."""

Act = Callable[[], object]


class ScriptClock(Clock):
    """A clock that goes only while somebody sleeps."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def monotonic(self) -> float:
        """Return the seconds that were slept."""
        return self.passed_s

    def now(self) -> datetime:
        """Return the start and those seconds."""
        return BEGAN_AT + timedelta(seconds=self.passed_s)

    def sleep(self, seconds: float) -> None:
        """Let the clock go on."""
        self.passed_s += seconds


class Watched(WatchCallbacks):
    """What a watch told, look by look; between two looks it acts as a script says, and then presses Ctrl-C."""

    def __init__(self, script: Sequence[Act]) -> None:
        self._script = script
        self.standings: list[Standing] = []
        self.rounds: list[int] = []
        """The looks, counted from 1, that made a round."""
        self.told: list[tuple[int, Change]] = []
        """Changes, with the look that told them."""
        self.summary: ScoreSummary | None = None
        self.error: CrackscanError | None = None

    def on_changes(self, changes: Sequence[Change], *, is_rescored: bool) -> None:  # noqa: ARG002
        """Note them."""
        self.told += [(len(self.standings) + 1, change) for change in changes]

    def open_round(self) -> AbstractContextManager[ScoreCallbacks]:
        """Note the round."""
        self.rounds.append(len(self.standings) + 1)
        return super().open_round()

    def on_looked(self, standing: Standing) -> None:
        """Note it and act."""
        self.standings.append(standing)
        if len(self.standings) <= len(self._script):
            self._script[len(self.standings) - 1]()
        else:
            os.kill(os.getpid(), signal.SIGINT)


def run_watch(
    place: str,
    out: str,
    script: Sequence[Act],
    schedule: Schedule | None = None,
    *,
    on_changed: Literal["report", "fail", "rescore"] = "report",
    limit: int | None = None,
) -> Watched:
    """Watch a place: look, act, look, act, …, look, Ctrl-C; or until the schedule ends it."""
    watched = Watched(script)
    config = ScoreConfig(
        (place,), out, device="cpu", cracks=False, on_changed=on_changed, limit=limit, lease_ttl_s=LEASE_TTL_S
    )
    try:
        watched.summary = watch(config, schedule or Schedule(60.0), watched, make_fast_brightness, ScriptClock())
    except CrackscanError as error:
        watched.error = error
    return watched


def nothing() -> None:
    """Do nothing between two looks."""


@contextmanager
def without_ray(patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """List, read and score in this process; yield how often Ray would have been started."""
    starts = list[str]()

    def start(*_options: object) -> AbstractContextManager[None]:
        starts.append("Ray")
        return nullcontext()

    hosts, metrics = ModuleType("pipeline.scoring.ray_data"), ModuleType("pipeline.monitoring.ray_metrics")
    hosts.score_photos, hosts.list_archives = _score_photos, _list_archives  # type: ignore[attr-defined]
    metrics.RayMetrics = NoMetrics  # type: ignore[attr-defined]
    patch.setitem(sys.modules, hosts.__name__, hosts)
    patch.setitem(sys.modules, metrics.__name__, metrics)
    patch.setattr("pipeline.scoring.flow.ray_session", start)
    patch.setattr("pipeline.scoring.flow.nodes", tuple)
    patch.setattr("pipeline.scoring.flow.check_shared", list)
    yield starts


def _score_photos(
    members: pa.Table, scoring: Scoring, _options: ScorerOptions, done: pa.ChunkedArray
) -> Iterator[pa.Table]:
    scorer = PhotoScorer(lambda: scoring.make_engine(scoring.model, "cpu"), scoring.rule)
    for unit in split_units(members) if members.num_rows else ():
        yield from map(scorer, read_measured(unit, scoring.limits, done, scoring.moves))


def _list_archives(archives: Sequence[StoredFile], moves: Moves, windows: WindowRule) -> Iterator[MeasuredListing]:
    return (list_and_measure(archive, moves.place_of(archive.url), windows) for archive in archives)
