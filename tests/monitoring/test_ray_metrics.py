"""Each metric gets its share of a tally; `test_flow` scrapes them from a real Ray."""

import re
from typing import Any

import pytest
from ray.data._internal.execution.interfaces.op_runtime_metrics import OpRuntimeMetrics

from pipeline.monitoring import ray_metrics
from pipeline.monitoring.ray_metrics import RayMetrics
from pipeline.monitoring.run_stats import count_rows, spent
from tests import ROOT
from tests.monitoring.test_totals import FAILED, OK, STEP

KEPT: dict[tuple[str, tuple[str, ...]], list[float]] = {}


class Kept:
    """A metric that keeps what it is told; refuses what Ray refuses."""

    def __init__(self, name: str, description: str, *facts: Any) -> None:  # noqa: ANN401 - as Ray's
        assert description.endswith(".")
        self._name = name
        self._tags = () if not facts or isinstance(facts[0], list) else facts[0]

    def inc(self, value: float, tags: dict[str, str]) -> None:
        """Keep an addition."""
        assert value > 0
        self._keep(value, tags)

    def observe(self, value: float) -> None:
        """Keep an observation."""
        self._keep(value, {})

    def set(self, value: float) -> None:
        """Keep a value."""
        self._keep(value, {})

    def _keep(self, value: float, tags: dict[str, str]) -> None:
        assert tuple(tags) == tuple(self._tags)
        KEPT.setdefault((self._name.removeprefix("crackscan_"), tuple(tags.values())), []).append(value)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, tuple[str, ...]], list[float]]:
    """What all metrics are told."""
    KEPT.clear()
    for kind in ("Counter", "Gauge", "Histogram"):
        monkeypatch.setattr(ray_metrics, kind, Kept)
    return KEPT


def test_metrics_of_photos(kept: dict[tuple[str, tuple[str, ...]], list[float]]) -> None:
    """Counts by status, failures by why, CPU seconds by stage; nothing is added where there is nothing."""
    shown = RayMetrics()
    shown.count(count_rows([OK, FAILED, OK]))
    shown.count(spent("write", STEP))
    shown.waits(0)
    assert kept == {
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


def test_times_of_photos(kept: dict[tuple[str, tuple[str, ...]], list[float]]) -> None:
    """Each photo's own."""
    RayMetrics().time([{"decode_effort": {"wall_s": 0.25}, "score_effort": {"wall_s": 1.5}}] * 2)
    assert kept == {("decode_seconds", ()): [0.25, 0.25], ("score_seconds", ()): [1.5, 1.5]}


def test_the_page_names_every_metric(kept: dict[tuple[str, tuple[str, ...]], list[float]]) -> None:
    """As Prometheus sees them, and of Ray Data's only such as there are."""
    assert kept == {}
    page = (ROOT / "docs" / "watching.md").read_text(encoding="utf-8")
    ours = {f"ray_{metric._name}" for metric in vars(RayMetrics()).values()}
    told = set(re.findall(r"^\| `(ray_crackscan_\w+)` \|", page, re.MULTILINE))
    assert {name.removesuffix("_total") for name in told} == ours  # which Ray puts behind the names of counters
    rays = {metric.name for metric in OpRuntimeMetrics.get_metrics()}
    assert set(re.findall(r"ray_data_(\w+)", page)) <= rays
