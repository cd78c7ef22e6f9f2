"""`run-report.json`: figures, usage and cost of each run on a dataset, the latest last. Each run writes it at its end.

A run that watches also writes it after every round.

It is an object with the list `runs`, so that a resumed run adds to it. The figures count what reached the driver: work
that was lost with a worker and repeated is in the wall time and the cost, but not in the stages.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal

from pipeline import storage
from pipeline.core import process
from pipeline.core.errors import CrackscanError, InterruptedRunError, NotFoundError
from pipeline.core.log import get_logger
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import Lease
from pipeline.dataset.run import json_bytes
from pipeline.monitoring.prices import Cost, Prices
from pipeline.monitoring.run_stats import STAGES, RunStats
from pipeline.storage.retry import limit_retries

Ended = Literal["done", "interrupted", "failed", "watching"]
"""How a run ended; `watching` for one that had not ended when it last wrote."""

REPORT_S = 10.0
"""How long requests for the report are retried: all photos are committed by then, and a stopped run must stop soon."""

_log = get_logger("run_report")


@contextmanager
def report_run(
    layout: Layout, run_id: str, lease: Lease, stats: RunStats, prices: Prices | None
) -> Iterator[Callable[[Ended], None]]:
    """Add a run to the dataset's report when the context ends, however it ends; what it yields does so before.

    If the report cannot be written, the log says so: an error must not hide how the run ended.
    """

    def write(ended: Ended) -> None:
        entry = {"run_id": run_id, "ended": ended, **run_figures(stats, prices)}
        try:
            with limit_retries(REPORT_S):
                lease.check()  # only the holder may write the report: a new holder may be about to write its own
                others = [run for run in read_reports(layout) if run.get("run_id") != run_id]
                storage.write_whole(layout.report, json_bytes({"runs": [*others, entry]}))
        except CrackscanError as error:
            _log.warning("the report could not be written", cause=str(error))

    ended: Ended = "failed"
    try:
        yield write
        ended = "done"
    except (InterruptedRunError, KeyboardInterrupt):
        ended = "interrupted"
        raise
    finally:
        write(ended)


def read_reports(layout: Layout) -> list[dict[str, Any]]:
    """Read the reports of all runs on a dataset; empty if there are none, or if the file is damaged."""
    try:
        runs = json.loads(storage.read_bytes(layout.report))["runs"]
    except NotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        _log.warning("the report is damaged and begun anew", cause=repr(error))
        return []
    return [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []


def run_figures(stats: RunStats, prices: Prices | None) -> dict[str, Any]:
    """Return a run's entry in the report, but for its id and how it ended."""
    totals, wall_s = stats.totals, stats.wall_s
    cost = cost_of(stats, prices)
    failures = sorted(totals.failures.items(), key=lambda item: (-item[1], item[0]))
    return {
        "began_at": stats.began_at.isoformat(timespec="seconds"),
        "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_s": round(wall_s, 3),
        "first_photo_s": None if stats.first_photo_s is None else round(stats.first_photo_s, 3),
        "photos": totals.photos,
        "failed": totals.failed,
        "failures": [{**failure._asdict(), "photos": photos} for failure, photos in failures],
        "changes": [change._asdict() for change in stats.changes],
        "tiles": totals.tiles,
        "tiles_per_s": round(totals.tiles / wall_s, 3),
        "photo_bytes": totals.photo_bytes,
        "read_bytes": totals.total_usage.read_bytes,
        "storage_retries": totals.total_usage.retries,
        "stages": {stage: _round(asdict(totals.usage(stage))) for stage in STAGES},
        "driver": {"cpu_s": round(stats.driver_cpu_s, 3), "peak_bytes": process.peak_bytes()},
        "machines": [node._asdict() for node in stats.nodes],
        "cost": None if cost is None else {**cost._asdict(), "prices": asdict(prices)},  # type: ignore[arg-type]
    }


def cost_of(stats: RunStats, prices: Prices | None) -> Cost | None:
    """Return the cost of a run so far; None without prices."""
    return None if prices is None else prices.cost(stats.nodes, stats.wall_s)


def cost_in(run: dict[str, Any]) -> Cost | None:
    """Read the cost from a run's entry; None if it has none, or no valid one."""
    match run.get("cost"):
        case {"amount": int() | float() as amount, "currency": str() as currency}:
            return Cost(amount, currency)
    return None


def total_cost(runs: Sequence[dict[str, Any]]) -> Cost | None:
    """Add up the costs of runs in the currency of the last one; None if no run has a cost."""
    costs = [cost for run in runs if (cost := cost_in(run)) is not None]
    if not costs:
        return None
    return Cost(sum(cost.amount for cost in costs if cost.currency == costs[-1].currency), costs[-1].currency)


def _round(usage: dict[str, float]) -> dict[str, float]:
    """Round to thousandths, and leave out a memory peak of 0: another stage of the same process has it."""
    return {name: round(value, 3) for name, value in usage.items() if value or name != "peak_bytes"}
