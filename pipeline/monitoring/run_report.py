"""`run-report.json`: what each run on a dataset did, took and cost, the latest last. Written whole when a run ends.

An object with the list `runs`, so that a resume adds to it. It is told from what reached the driver: work that was lost
with a worker and done again is in the wall time and the cost, and not in the stages.
"""

import json
from collections.abc import Iterator, Sequence
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

Ended = Literal["done", "interrupted", "failed"]

REPORT_S = 10.0
"""How long a request for the report is tried: photos are committed by then, and who was told to stop must stop."""

_log = get_logger("run_report")


@contextmanager
def report_run(layout: Layout, run_id: str, lease: Lease, account: RunStats, prices: Prices | None) -> Iterator[None]:
    """Add a run to the dataset's report when the context ends, however it ends.

    A report that cannot be written is told in the log: it must not hide how the run ended.
    """
    ended: Ended = "failed"
    try:
        yield
        ended = "done"
    except (InterruptedRunError, KeyboardInterrupt):
        ended = "interrupted"
        raise
    finally:
        entry = {"run_id": run_id, "ended": ended, **figures(account, prices)}
        try:
            with limit_retries(REPORT_S):
                lease.check()  # the report is the holder's: another may be about to write his
                storage.write_whole(layout.report, json_bytes({"runs": [*read_reports(layout), entry]}))
        except CrackscanError as error:
            _log.warning("the report could not be written", cause=str(error))


def read_reports(layout: Layout) -> list[dict[str, Any]]:
    """Read what the runs on a dataset have reported; nothing where none has, or where it is damaged."""
    try:
        runs = json.loads(storage.read_bytes(layout.report))["runs"]
    except NotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        _log.warning("the report is damaged and begun anew", cause=repr(error))
        return []
    return [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []


def figures(account: RunStats, prices: Prices | None) -> dict[str, Any]:
    """Return a run's figures as they are reported."""
    made, wall_s = account.tally, account.wall_s
    spent = cost_of(account, prices)
    failures = sorted(made.failures.items(), key=lambda item: (-item[1], item[0]))
    return {
        "began_at": account.began_at.isoformat(timespec="seconds"),
        "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_s": round(wall_s, 3),
        "first_photo_s": None if account.first_photo_s is None else round(account.first_photo_s, 3),
        "photos": made.photos,
        "failed": made.failed,
        "failures": [{**failure._asdict(), "photos": photos} for failure, photos in failures],
        "tiles": made.tiles,
        "tiles_per_s": round(made.tiles / wall_s, 3),
        "photo_bytes": made.photo_bytes,
        "read_bytes": made.total.read_bytes,
        "storage_retries": made.total.retries,
        "stages": {stage: _rounded(asdict(made.effort(stage))) for stage in STAGES},
        "driver": {"cpu_s": round(account.driver_cpu_s, 3), "peak_bytes": process.peak_bytes()},
        "machines": [node._asdict() for node in account.nodes],
        "cost": None if spent is None else {**spent._asdict(), "prices": asdict(prices)},  # type: ignore[arg-type]
    }


def cost_of(account: RunStats, prices: Prices | None) -> Cost | None:
    """Return what a run has cost so far; None where no prices are known."""
    return None if prices is None else prices.cost(account.nodes, account.wall_s)


def cost_in(run: dict[str, Any]) -> Cost | None:
    """Return what a run says of its cost; None where it says nothing that can be one."""
    match run.get("cost"):
        case {"amount": int() | float() as amount, "currency": str() as currency}:
            return Cost(amount, currency)
    return None


def total_cost(runs: Sequence[dict[str, Any]]) -> Cost | None:
    """Add up what runs have cost, of those in the currency of the last; None where none has a cost."""
    costs = [cost for run in runs if (cost := cost_in(run)) is not None]
    if not costs:
        return None
    return Cost(sum(cost.amount for cost in costs if cost.currency == costs[-1].currency), costs[-1].currency)


def _rounded(effort: dict[str, float]) -> dict[str, float]:
    """Leave the memory out where it stands with another stage of the same process."""
    return {name: round(value, 3) for name, value in effort.items() if value or name != "peak_bytes"}
