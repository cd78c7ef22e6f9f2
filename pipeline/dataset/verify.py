"""Every promise of a dataset, checked against its files.

The checks come in two lots: of the files (`inventory`) and, where those are sound, of the rows (`promises`). All of it
streams, so that tens of millions of tiles are checked in bounded memory.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.core import schema
from pipeline.core.errors import DatasetError
from pipeline.dataset.diff import differences
from pipeline.dataset.invariants import ADD_GRIDS, COUNTS, INVARIANTS, SIZES, TABLES, boxes
from pipeline.dataset.inventory import Inventory, PartFile, take_inventory
from pipeline.dataset.layout import Layout
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import connect, file_name, file_rows
from pipeline.images.tiles import TileSpec

__all__ = ["Check", "differences", "verify"]

SHOWN = 3
"""Files or photos that a check names."""
SUMMARY = "summary.json counts what is there."

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Check:
    """A promise, and whether it is kept."""

    promise: str
    broken: int | None = 0
    """How many files or photos break it; None where that cannot be told, since files it needs are broken."""
    open: int = 0
    """How many do not keep it yet, as the dataset is unfinished; that is not broken."""
    names: tuple[str, ...] = ()
    """The first few of them."""


def verify(out: str, on_progress: OnProgress) -> list[Check]:
    """Check every promise of a dataset, in a fixed order.

    Args:
        out: the dataset.
        on_progress: is told files read, and of how many.

    Raises:
        UsageError: there is no dataset.
        DatasetError: `run.json` is damaged.
    """
    layout = Layout(storage.canonical(out))
    run, is_finished = read_run(layout), storage.exists(layout.summary)
    found = take_inventory(layout, on_progress)
    of_files = _of_files(found, run["fingerprint"].get("model_id"), is_finished=is_finished)
    if any(file.damage or not file.is_declared for file in found.committed):
        return [*of_files, *(Check(sentence, broken=None) for sentence in (*_promised(run), SUMMARY))]
    return [*of_files, *_of_rows(layout, found.committed, run, is_finished=is_finished)]


def _of_files(found: Inventory, model_id: str | None, *, is_finished: bool) -> list[Check]:
    files = found.committed
    sound = [file for file in files if file.damage is None]
    parts = {file.part for file in files if file.kind == "part"}
    gaps = sorted({*range(max(parts, default=-1) + 1)} - parts)
    orphans = [storage.name(url) for url in found.orphans]
    return [
        _check("Every file is whole.", [f"{storage.name(file.url)} ({file.damage})" for file in files if file.damage]),
        _check("Every file has the declared columns and version.", _where(sound, lambda file: not file.is_declared)),
        _check("The commit log has no gap.", [f"part-{number:06d}.parquet" for number in gaps]),
        _check("Every file names the run that wrote it.", _where(sound, lambda file: file.written_by != file.token)),
        _check("Every file names the model of run.json.", _where(sound, lambda file: file.model_id != model_id)),
        _check("No file lies there that no commit names.", orphans, is_due=is_finished),
    ]


def _where(files: Sequence[PartFile], is_broken: Callable[[PartFile], bool]) -> list[str]:
    return [storage.name(file.url) for file in files if is_broken(file)]


def _check(promise: str, names: Sequence[str], count: int | None = None, *, is_due: bool = True) -> Check:
    found = len(names) if count is None else count
    return Check(promise, found if is_due else 0, 0 if is_due else found, tuple(names[:SHOWN]))


def _promised(run: Mapping[str, Any]) -> dict[str, tuple[str, bool]]:
    """Return what holds for the rows of this dataset: sentence to SQL, and whether only the finished keep it."""
    return {
        promise.sentence: (promise.broken_by, promise.of_finished)
        for promise in INVARIANTS
        if not (promise.of_unsealed and run.get("sealed"))
    }


def _of_rows(layout: Layout, files: Sequence[PartFile], run: Mapping[str, Any], *, is_finished: bool) -> list[Check]:
    checks = []
    with connect(layout) as connection:
        _make_tables(connection, layout, files, run)
        for sentence, (sql, of_finished) in _promised(run).items():
            count, names = connection.sql(sql).aggregate(f"count(*), min(name, {SHOWN:d})").fetchall()[0]
            checks.append(_check(sentence, names or (), count, is_due=is_finished or not of_finished))
        photos, failed = connection.execute(COUNTS).fetchall()[0]
    commits = sum(file.kind == "part" for file in files)
    counted = {"photos": photos, "failed": failed, "commits": commits}
    wrong = _miscounted(layout, counted) if is_finished else ["it is not there, as the dataset is not finished"]
    return [*checks, _check(SUMMARY, wrong, is_due=is_finished)]


def _make_tables(connection: Any, layout: Layout, files: Sequence[PartFile], run: Mapping[str, Any]) -> None:  # noqa: ANN401 - DuckDB's, which only `results` knows
    """Make what the SQL of `promises` reads."""
    fingerprint = run["fingerprint"]
    try:
        spec = TileSpec(fingerprint["tile_px"], fingerprint["overlap"])
        facts = {"model_id": fingerprint["model_id"], "threshold": float(run["model_card"]["threshold"])}
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{layout.run} is damaged: {error!r}. Restore it, or score into another --out.") from error
    plans = [file.url for file in storage.list_files(layout.plans)] if storage.exists(layout.plans) else []
    file_rows(connection, "plan_files", [url for url in plans if url.endswith(".parquet")], schema.MEMBERS)
    file_rows(connection, "image_files", [file.url for file in files if file.kind != "tiles"], schema.IMAGES)
    file_rows(connection, "tile_files", [file.url for file in files if file.kind == "tiles"], schema.TILES)
    named = [{"filename": file_name(file.url), **_facts(file)} for file in files]
    connection.register("files", pa.Table.from_pylist(named, _FILES))
    connection.register("run", pa.Table.from_pylist([facts], _RUN))
    for statement in TABLES:
        connection.execute(statement)
    for table in boxes(connection.execute(SIZES).fetchall(), spec):
        connection.register("boxes", table)
        connection.execute(ADD_GRIDS)


_FILES = pa.schema([("filename", pa.string()), ("kind", pa.string()), ("part", pa.int32()), ("token", pa.string())])
_RUN = pa.schema([("model_id", pa.string()), ("threshold", pa.float32())])


def _facts(file: PartFile) -> dict[str, object]:
    return {"kind": file.kind, "part": file.part, "token": file.token}


def _miscounted(layout: Layout, counted: Mapping[str, int]) -> list[str]:
    """Tell which figures of `summary.json` are wrong."""
    try:
        told = json.loads(storage.read_bytes(layout.summary))
        figures = {name: told.get(name) for name in counted}
    except (ValueError, AttributeError) as error:
        return [f"it is damaged: {error!r}"]
    return [
        f"{name} is {figures[name]}, and there are {count}" for name, count in counted.items() if figures[name] != count
    ]
