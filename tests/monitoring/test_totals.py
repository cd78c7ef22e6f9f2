"""Counts of a run are those of the rows that scorers hand over."""

from dataclasses import asdict
from typing import Any

from pipeline.core.usage import Usage
from pipeline.monitoring.run_stats import COLUMNS, Failure, Totals, count_rows, spent

STEP = Usage(2.0, 1.0, 0.5, 100, 1, 7)


def row(**facts: Any) -> dict[str, Any]:  # noqa: ANN401 - of any column
    """A row of schema `SCORED`, as far as it is counted; what is not given is null."""
    return dict.fromkeys(COLUMNS) | facts


OK = row(status="ok", tiles=6, size_bytes=1000, read_effort=asdict(STEP), score_effort=asdict(STEP))
FAILED = row(status="failed", size_bytes=10, failure_stage="decode", failure_kind="not_an_image")
END = row(read_effort=asdict(STEP))


def test_photos_are_counted() -> None:
    """Failed ones by why; the end of a stream is no photo, and its reading counts."""
    found = count_rows([OK, FAILED, END, OK])
    assert (found.photos, found.tiles, found.photo_bytes, found.failed) == (3, 12, 2010, 1)
    assert found.failures == {Failure("decode", "not_an_image"): 1}
    assert (found.effort("read"), found.effort("score")) == (STEP + STEP + STEP, STEP + STEP)
    assert (found.effort("decode"), found.effort("list")) == (Usage(), Usage())
    assert (found.total.read_bytes, found.total.retries) == (500, 5)


def test_tallies_are_added() -> None:
    """In any order the sum is the tally of all rows."""
    parts = [count_rows([OK]), count_rows([FAILED, END]), spent("write", STEP), spent("write", STEP)]
    whole = count_rows([OK, FAILED, END]) + spent("write", STEP + STEP)
    assert sum(parts, Totals()) == whole
    assert sum(reversed(parts), Totals()) == whole
