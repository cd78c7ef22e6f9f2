"""Plans whose archives this process lists."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from pipeline.archives.readers import list_archive
from pipeline.dataset.layout import Layout
from pipeline.scoring.inputs import find_inputs
from pipeline.scoring.plan import Plan, make_plan

NOTHING = pa.chunked_array([], pa.string())


def make_listed_plan(spelled: Sequence[str], layout: Layout, done: pa.ChunkedArray = NOTHING) -> Plan:
    """Plan inputs as `crackscan score` does, but write nothing."""
    plan = make_plan(find_inputs(spelled, layout), layout, done)
    plan = plan.with_listed(map(list_archive, plan.unlisted))
    plan.check_not_empty(spelled)
    return plan


def save_listed_plan(spelled: Sequence[str], layout: Layout) -> Plan:
    """Plan inputs, and save the listings in the dataset."""
    plan = make_plan(find_inputs(spelled, layout), layout, NOTHING)
    plan.save()
    tables = [list_archive(file) for file in plan.unlisted]
    for table in tables:
        plan.save_listing(table)
    return plan.with_listed(tables)


def image_names(plan: Plan) -> list[str]:
    """Return the names of the planned photos, sorted."""
    return sorted(plan.members["image"].to_pylist())


def write_zip(place: Path, names: list[str]) -> None:
    """Write a zip whose members contain their own names."""
    with zipfile.ZipFile(place, "w") as archive:
        for name in names:
            archive.writestr(name, name)
