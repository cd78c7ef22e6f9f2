"""The totals of a run are those of the rows that scorers hand over; metrics see each addition once."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from pipeline.cluster.session import Node
from pipeline.core.usage import Usage
from pipeline.monitoring.run_stats import COLUMNS, Failure, RunStats, Stage, Totals, count_rows

STEP = Usage(2.0, 1.0, 0.5, 100, 1, 7)


def row(**facts: Any) -> dict[str, Any]:  # noqa: ANN401 - of any column
    """A row of schema `SCORED` with the columns that are counted; null if not given."""
    return dict.fromkeys(COLUMNS) | facts


OK = row(status="ok", tiles=6, size_bytes=1000, read_usage=asdict(STEP), score_usage=asdict(STEP))
FAILED = row(status="failed", size_bytes=10, failure_stage="decode", failure_kind="not_an_image")
END = row(read_usage=asdict(STEP))


def usage_of(stage: Stage, usage: Usage = STEP) -> Totals:
    """Totals of a step of the driver."""
    return Totals(usages={stage: usage})


class RecordedMetrics:
    """Metrics that record what they receive."""

    def __init__(self) -> None:
        self.added: list[Totals] = []
        self.timed: list[Mapping[str, Any]] = []
        self.uncommitted: list[int] = []

    def count(self, added: Totals) -> None:
        """Record an addition."""
        self.added.append(added)

    def observe_times(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Record rows."""
        self.timed += rows

    def set_uncommitted(self, photos: int) -> None:
        """Record a number of photos."""
        self.uncommitted.append(photos)


def test_photos_are_counted() -> None:
    """Failed ones by reason; the end of a stream is no photo, but its reading counts."""
    found = count_rows([OK, FAILED, END, OK])
    assert (found.photos, found.tiles, found.photo_bytes, found.failed) == (3, 12, 2010, 1)
    assert found.failures == {Failure("decode", "not_an_image"): 1}
    assert (found.usage("read"), found.usage("score")) == (STEP + STEP + STEP, STEP + STEP)
    assert (found.usage("decode"), found.usage("list")) == (Usage(), Usage())
    assert (found.total_usage.read_bytes, found.total_usage.retries) == (500, 5)


def test_totals_add_up_in_any_order() -> None:
    """The sum of the parts is the total of all rows."""
    parts = [count_rows([OK]), count_rows([FAILED, END]), usage_of("write"), usage_of("write")]
    whole = count_rows([OK, FAILED, END]) + usage_of("write", STEP + STEP)
    assert sum(parts, Totals()) == whole
    assert sum(reversed(parts), Totals()) == whole


def test_metrics_see_each_addition_once() -> None:
    """Additions before work begins count, but metrics do not see them; times are those of scored photos."""
    stats, metrics = RunStats(), RecordedMetrics()
    stats.add_usage("list", STEP)
    stats.begin_work((Node(2),), metrics)
    stats.add_rows([OK, FAILED])
    stats.add_rows([END])
    stats.add_usage("write", STEP)
    stats.set_uncommitted(3)
    assert stats.totals == count_rows([OK, FAILED, END]) + usage_of("list") + usage_of("write")
    assert sum(metrics.added, Totals()) == count_rows([OK, FAILED, END]) + usage_of("write")
    assert (metrics.timed, metrics.uncommitted, stats.nodes) == ([OK], [3], (Node(2),))


def test_the_first_photo_is_timed() -> None:
    """From the start of the run; neither a listing nor the end of a stream is a photo."""
    stats = RunStats()
    stats.add_usage("list", STEP)
    stats.add_rows([END])
    assert stats.first_photo_s is None
    stats.add_rows([OK])
    first_s = stats.first_photo_s
    stats.add_rows([OK | {"score_usage": asdict(STEP)}])
    assert first_s is not None
    assert 0 < first_s == stats.first_photo_s <= stats.wall_s
