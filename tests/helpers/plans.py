"""A plan with all archives listed in this process, as tests of several modules need it."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from pipeline.archives.readers import list_archive
from pipeline.dataset.layout import Layout
from pipeline.scoring.inputs import find_inputs
from pipeline.scoring.plan import Plan, make_plan

NOTHING = pa.chunked_array([], pa.string())


def planned(spelled: Sequence[str], layout: Layout, done: pa.ChunkedArray = NOTHING) -> Plan:
    """Plan inputs as `crackscan score` does; nothing is written."""
    plan = make_plan(find_inputs(spelled, layout), layout, done)
    plan = plan.with_listed(map(list_archive, plan.unlisted))
    plan.check_not_empty(spelled)
    return plan


def kept(spelled: Sequence[str], layout: Layout) -> Plan:
    """Plan inputs, and keep the listings in the dataset."""
    plan = make_plan(find_inputs(spelled, layout), layout, NOTHING)
    plan.keep()
    tables = [list_archive(file) for file in plan.unlisted]
    for table in tables:
        plan.keep_listing(table)
    return plan.with_listed(tables)


def images(made: Plan) -> list[str]:
    """Names of the planned photos, sorted."""
    return sorted(made.members["image"].to_pylist())


def write_zip(place: Path, names: list[str]) -> None:
    """Write a zip whose members hold their own names."""
    with zipfile.ZipFile(place, "w") as archive:
        for name in names:
            archive.writestr(name, name)
