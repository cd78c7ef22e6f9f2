"""Each metric gets its share of the totals; `tests/scoring/test_flow.py` scrapes them from a real Ray."""

import re
from typing import Any

import pytest
import ray.util.metrics
from ray.data._internal.execution.interfaces.op_runtime_metrics import OpRuntimeMetrics

from pipeline.monitoring.ray_metrics import RayMetrics
from pipeline.monitoring.run_stats import Totals, count_rows
from tests import ROOT
from tests.monitoring.test_run_stats import FAILED, OK, STEP

RECORDED: dict[tuple[str, tuple[str, ...]], list[float]] = {}


class Recorded:
    """A metric that records its values; refuses what Ray refuses."""

    def __init__(self, name: str, description: str, *facts: Any) -> None:  # noqa: ANN401 - as Ray's
        assert description.endswith(".")
        self.name = name
        self._tags = () if not facts or isinstance(facts[0], list) else facts[0]

    def inc(self, value: float, tags: dict[str, str]) -> None:
        """Record an addition."""
        assert value > 0
        self._record(value, tags)

    def observe(self, value: float) -> None:
        """Record an observation."""
        self._record(value, {})

    def set(self, value: float) -> None:
        """Record a value."""
        self._record(value, {})

    def _record(self, value: float, tags: dict[str, str]) -> None:
        assert tuple(tags) == tuple(self._tags)
        RECORDED.setdefault((self.name.removeprefix("crackscan_"), tuple(tags.values())), []).append(value)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, tuple[str, ...]], list[float]]:
    """Values of all metrics by name and tags."""
    RECORDED.clear()
    for kind in ("Counter", "Gauge", "Histogram"):
        monkeypatch.setattr(ray.util.metrics, kind, Recorded)
    return RECORDED


def test_metrics_of_photos(recorded: dict[tuple[str, tuple[str, ...]], list[float]]) -> None:
    """Counts by status, failures by reason, CPU seconds by stage; a count of 0 adds nothing."""
    metrics = RayMetrics()
    metrics.count(count_rows([OK, FAILED, OK]))
    metrics.count(Totals(usages={"write": STEP}))
    metrics.set_uncommitted(0)
    assert recorded == {
        ("photos", ("ok",)): [2],
        ("photos", ("failed",)): [1],
        ("failures", ("decode", "not_an_image")): [1],
        ("tiles", ()): [12],
        ("photo_bytes", ()): [2010],
        ("read_bytes", ()): [400, 100],
        ("storage_retries", ()): [4, 1],
        ("cpu_seconds", ("read",)): [2.0],
        ("cpu_seconds", ("score",)): [2.0],
        ("cpu_seconds", ("write",)): [1.0],
        ("uncommitted_photos", ()): [0],
    }


def test_times_of_photos(recorded: dict[tuple[str, tuple[str, ...]], list[float]]) -> None:
    """A histogram gets one value per photo."""
    RayMetrics().observe_times([{"decode_usage": {"wall_s": 0.25}, "score_usage": {"wall_s": 1.5}}] * 2)
    assert recorded == {("decode_seconds", ()): [0.25, 0.25], ("score_seconds", ()): [1.5, 1.5]}


def test_the_page_names_every_metric(recorded: dict[tuple[str, tuple[str, ...]], list[float]]) -> None:
    """It uses the names that Prometheus sees, and those of Ray Data's metrics exist."""
    assert recorded == {}
    page = (ROOT / "docs" / "watching.md").read_text(encoding="utf-8")
    ours = {f"ray_{metric.name}" for metric in vars(RayMetrics()).values()}
    documented = set(re.findall(r"^\| `(ray_crackscan_\w+)` \|", page, re.MULTILINE))
    assert {name.removesuffix("_total") for name in documented} == ours  # Ray appends it to the names of counters
    rays = {metric.name for metric in OpRuntimeMetrics.get_metrics()}
    assert set(re.findall(r"ray_data_(\w+)", page)) <= rays
