"""Checks every invariant of a dataset against its files.

It checks the files (`inventory`) and, if they are sound, the rows (`invariants`). Everything streams, so that tens of
millions of tiles take bounded memory.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.core.errors import DatasetError
from pipeline.core.progress import OnProgress
from pipeline.dataset import beside, rasters
from pipeline.dataset.diff import differences
from pipeline.dataset.forgetting import read_forgotten
from pipeline.dataset.invariants import ADD_GRIDS, COUNTS, INVARIANTS, SIZES, TABLES, Invariant, make_boxes
from pipeline.dataset.inventory import Inventory, PartFile, take_inventory
from pipeline.dataset.layout import Layout
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import Connection, connect, create_file_view, file_name
from pipeline.images.tiles import TileSpec

__all__ = ["Check", "differences", "verify"]

SHOWN = 3
"""Number of files or photos that a check names."""
SUMMARY = "summary.json counts what is there."


@dataclass(frozen=True)
class Check:
    """An invariant, and whether the dataset keeps it."""

    invariant: str
    broken: int | None = 0
    """Number of files or photos that break it; None if it could not be checked, because files are broken."""
    open: int = 0
    """Number of those that do not keep it yet; an unfinished dataset may have some."""
    names: tuple[str, ...] = ()
    """Names of the first few."""


def verify(out: str, on_progress: OnProgress) -> list[Check]:
    """Check every invariant of a dataset, in a fixed order.

    Args:
        out: the dataset.
        on_progress: called with the number of files read, and of all files.

    Raises:
        UsageError: there is no dataset.
        DatasetError: `run.json` is damaged.
    """
    layout = Layout(storage.canonical(out))
    run, is_finished = read_run(layout), storage.exists(layout.summary)
    found = take_inventory(layout, on_progress)
    checks = _check_files(found, run["fingerprint"].get("model_id"), is_finished=is_finished)
    sentence = "Every scale that was set afterwards is more than 0, and one to a photo."
    checks.append(_check(sentence, beside.find_scale_faults(layout)))
    checks.append(_check("Every verdict is a known answer, on a known subject.", beside.find_verdict_faults(layout)))
    checks.append(_check("Every photo belongs to one element at most.", beside.find_element_faults(layout)))
    checks.append(_check("Every raster has a size, a place if any, and one row.", rasters.find_faults(layout)))
    if any(file.damage or not file.is_declared for file in found.committed):
        sentences = (*(invariant.sentence for invariant in _row_invariants(run)), SUMMARY)
        return [*checks, *(Check(sentence, broken=None) for sentence in sentences)]
    return [*checks, *_check_rows(layout, found.committed, run, is_finished=is_finished)]


def _check_files(found: Inventory, model_id: str | None, *, is_finished: bool) -> list[Check]:
    files = found.committed
    sound = [file for file in files if file.damage is None]
    parts = {file.part for file in files if file.kind == "part"}
    gaps = sorted({*range(max(parts, default=-1) + 1)} - parts)
    orphans = [storage.name(url) for url in found.orphans]
    return [
        _check("Every file is whole.", [f"{storage.name(file.url)} ({file.damage})" for file in files if file.damage]),
        _check(
            "Every file has the declared columns and version.", _names_where(sound, lambda file: not file.is_declared)
        ),
        _check("The commit log has no gap.", [f"part-{number:06d}.parquet" for number in gaps]),
        _check(
            "Every file names the run that wrote it.", _names_where(sound, lambda file: file.written_by != file.token)
        ),
        _check("Every file names the model of run.json.", _names_where(sound, lambda file: file.model_id != model_id)),
        _check("There is no file that no commit names.", orphans, is_due=is_finished),
    ]


def _names_where(files: Sequence[PartFile], is_broken: Callable[[PartFile], bool]) -> list[str]:
    return [storage.name(file.url) for file in files if is_broken(file)]


def _check(invariant: str, names: Sequence[str], count: int | None = None, *, is_due: bool = True) -> Check:
    found = len(names) if count is None else count
    return Check(invariant, found if is_due else 0, 0 if is_due else found, tuple(names[:SHOWN]))


def _row_invariants(run: Mapping[str, Any]) -> list[Invariant]:
    """Return the invariants of this dataset's rows."""
    return [invariant for invariant in INVARIANTS if not (invariant.only_unsealed and run.get("sealed"))]


def _check_rows(layout: Layout, files: Sequence[PartFile], run: Mapping[str, Any], *, is_finished: bool) -> list[Check]:
    checks = []
    with connect(layout) as connection:
        _make_tables(connection, layout, files, run)
        for invariant in _row_invariants(run):
            broken = connection.sql(invariant.broken_by)
            count, names = broken.aggregate(f"count(*), min(name, {SHOWN:d})").fetchall()[0]
            is_due = is_finished or not invariant.only_finished
            checks.append(_check(invariant.sentence, names or (), count, is_due=is_due))
        photos, failed = connection.execute(COUNTS).fetchall()[0]
    commits = sum(file.kind == "part" for file in files)
    counted = {"photos": photos, "failed": failed, "commits": commits}
    wrong = _find_miscounts(layout, counted) if is_finished else ["it is not there, as the dataset is not finished"]
    return [*checks, _check(SUMMARY, wrong, is_due=is_finished)]


def _make_tables(connection: Connection, layout: Layout, files: Sequence[PartFile], run: Mapping[str, Any]) -> None:
    """Create the tables that the SQL of `invariants` reads."""
    fingerprint = run["fingerprint"]
    try:
        spec = TileSpec(fingerprint["tile_px"], fingerprint["overlap"])
        facts = {"model_id": fingerprint["model_id"], "threshold": float(run["model_card"]["threshold"])}
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{layout.run} is damaged: {error!r}. Restore it, or `score` into another --out.") from error
    plans = [file.url for file in storage.list_files(layout.plans)] if storage.exists(layout.plans) else []
    create_file_view(
        connection, "plan_files", [url for url in plans if url.endswith(".parquet")], table_schemas.MEMBERS
    )
    for view, kinds, columns in _VIEWS:
        create_file_view(connection, view, [file.url for file in files if file.kind in kinds], columns)
    named = [{"filename": file_name(file.url), **_facts(file)} for file in files]
    connection.register("files", pa.Table.from_pylist(named, _FILES))
    connection.register("run", pa.Table.from_pylist([facts], _RUN))
    _, forgotten = read_forgotten(layout)
    connection.register("forgotten", pa.table({"image_id": pa.array(forgotten, pa.string())}))
    for statement in TABLES:
        connection.execute(statement)
    for table in make_boxes(connection.execute(SIZES).fetchall(), spec):
        connection.register("boxes", table)
        connection.execute(ADD_GRIDS)


_VIEWS = (
    ("image_files", ("part", "failed"), table_schemas.IMAGES),
    ("tile_files", ("tiles",), table_schemas.TILES),
    ("crack_files", ("cracks",), table_schemas.CRACKS),
)
"""Views of the committed rows: name, kinds of files, and columns."""
_FILES = pa.schema([("filename", pa.string()), ("kind", pa.string()), ("part", pa.int32()), ("token", pa.string())])
_RUN = pa.schema([("model_id", pa.string()), ("threshold", pa.float32())])


def _facts(file: PartFile) -> dict[str, object]:
    return {"kind": file.kind, "part": file.part, "token": file.token}


def _find_miscounts(layout: Layout, counted: Mapping[str, int]) -> list[str]:
    """List the figures of `summary.json` that are wrong."""
    try:
        summary = json.loads(storage.read_bytes(layout.summary))
        figures = {name: summary.get(name) for name in counted}
    except (ValueError, AttributeError) as error:
        return [f"it is damaged: {error!r}"]
    return [
        f"{name} is {figures[name]}, and there are {count}" for name, count in counted.items() if figures[name] != count
    ]
