"""`run-report.json` has figures, usage and cost of each run, however it ended."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import storage
from pipeline.cluster.session import Node
from pipeline.core.errors import InterruptedRunError, StorageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import Lease, hold
from pipeline.monitoring.prices import Cost, Prices
from pipeline.monitoring.run_report import read_reports, report_run, run_figures, total_cost
from pipeline.monitoring.run_stats import RunStats
from tests.monitoring.test_run_stats import FAILED, OK, STEP

FREE = Prices("EUR", 0.0, 0.0)


class NoMetrics:
    """Metrics that nobody sees."""

    def count(self, _added: object) -> None:
        """Do nothing."""

    def observe_times(self, _rows: object) -> None:
        """Do nothing."""

    def set_uncommitted(self, _photos: int) -> None:
        """Do nothing."""


def two_photos() -> RunStats:
    """Figures of two photos on two machines of a CPU each."""
    stats = RunStats()
    stats.begin_work((Node(1.0), Node(1.0, 1.0, "gpu")), NoMetrics())
    stats.add_usage("list", STEP)
    stats.add_rows([OK, FAILED])
    return stats


def run(out: Path, run_id: str, error: BaseException | None = None, prices: Prices | None = None) -> list[Any]:
    """The reports after one more run, which ends with `error` if given."""
    layout = Layout(storage.canonical(str(out)))
    with hold(layout, run_id, lambda _: None) as lease, report_run(layout, run_id, lease, two_photos(), prices):
        if error is not None:
            raise error
    return read_reports(layout)


def test_the_report_has_the_figures_of_the_run() -> None:
    """Photos, failures by reason, stages, machines; no cost without prices."""
    found = run_figures(two_photos(), None)
    assert (found["photos"], found["failed"], found["tiles"], found["photo_bytes"]) == (2, 1, 6, 1010)
    assert found["failures"] == [{"stage": "decode", "kind": "not_an_image", "photos": 1}]
    assert (found["read_bytes"], found["storage_retries"], found["cost"]) == (300, 3, None)
    assert [*found["stages"]] == ["list", "read", "decode", "score", "map", "write"]
    assert found["stages"]["score"] == {
        "wall_s": 2.0, "cpu_s": 1.0, "gpu_s": 0.5, "read_bytes": 100, "retries": 1, "peak_bytes": 7,
    }  # fmt: skip
    assert found["stages"]["write"] == {"wall_s": 0, "cpu_s": 0, "gpu_s": 0, "read_bytes": 0, "retries": 0}
    assert found["machines"][1] == {"group": "gpu", "cpus": 1.0, "gpus": 1.0}
    assert 0 <= found["first_photo_s"] <= found["wall_s"]
    assert found["driver"]["peak_bytes"] > 0
    assert found["began_at"] <= found["ended_at"]


def test_the_cost_is_that_of_the_machines() -> None:
    """Two CPUs at 3,600 an hour cost 2 a second; the report keeps the price table."""
    found = run_figures(two_photos(), Prices("EUR", 3600.0, 0.0))
    assert found["cost"]["amount"] == pytest.approx(2 * found["wall_s"], abs=0.01)
    assert found["cost"]["currency"] == "EUR"
    assert found["cost"]["prices"] == {"currency": "EUR", "cpu_hour": 3600.0, "gpu_hour": 0.0, "machine_hour": {}}


def test_every_run_is_reported_however_it_ends(tmp_path: Path) -> None:
    """A resumed run adds to the report, and the error of a run passes on."""
    run(tmp_path, "one", prices=FREE)
    for run_id, error in (("two", InterruptedRunError("Ctrl-C")), ("three", StorageError("the disk is full"))):
        with pytest.raises(type(error)):
            run(tmp_path, run_id, error)
    ends = [(one["run_id"], one["ended"]) for one in run(tmp_path, "four")]
    assert ends == [("one", "done"), ("two", "interrupted"), ("three", "failed"), ("four", "done")]
    assert [*json.loads((tmp_path / "run-report.json").read_text())] == ["runs"]


def test_a_run_that_lost_the_dataset_reports_nothing(tmp_path: Path) -> None:
    """Only the new writer may write the report."""
    run(tmp_path, "one")
    layout = Layout(storage.canonical(str(tmp_path)))
    with hold(layout, "two", lambda _: None) as lease, report_run(layout, "two", lease, two_photos(), None):
        lease_of_another = json.loads((tmp_path / "lease").read_text()) | {"run_id": "three"}
        (tmp_path / "lease").write_text(json.dumps(lease_of_another))
    assert [one["run_id"] for one in read_reports(layout)] == ["one"]


def test_a_report_that_cannot_be_written_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dataset does not need it."""

    def refuse(_lease: Lease) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(Lease, "check", refuse)
    assert run(tmp_path, "one") == []


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"runs": 5}', '{"other": []}', "\x00"])
def test_a_damaged_report_is_begun_anew(damage: str, tmp_path: Path) -> None:
    """It must not stop a run."""
    (tmp_path / "run-report.json").write_text(damage)
    assert [one["run_id"] for one in run(tmp_path, "one")] == ["one"]


def test_costs_of_runs_are_added() -> None:
    """In the currency of the last one; runs without prices count nothing."""
    runs: list[dict[str, Any]] = [
        {"cost": {"amount": 5.0, "currency": "USD"}},
        {"cost": {"amount": 1.0, "currency": "EUR"}},
        {"cost": None},
        {"cost": {"amount": 0.5, "currency": "EUR"}},
    ]
    assert total_cost(runs) == Cost(1.5, "EUR")
    assert total_cost([{"cost": None}, {}, {"cost": 5}, {"cost": {"amount": "5", "currency": "EUR"}}]) is None
