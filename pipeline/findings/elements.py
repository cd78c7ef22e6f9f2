"""`elements.parquet`: which part of which structure each photo shows.

It lies beside the other files, which stay as they are. The views `elements` and `findings` of `sql` show it.
"""

import math
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.dataset.beside import ELEMENTS, elements_url
from pipeline.dataset.commit_log import table_bytes
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import Lease, hold
from pipeline.dataset.rasters import Raster, read_rasters
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import query
from pipeline.findings.element_rules import ElementRule, ElementRules, Photo
from pipeline.rasters.windows import parse_name

_PHOTOS = """
    SELECT archive, image, image_id, longitude, latitude, width_px, height_px FROM images
    WHERE failure_stage IS DISTINCT FROM 'open' ORDER BY archive, image, occurrence
"""
"""A row for an archive that could not be opened is no photo."""

_NOWHERE = (math.nan, math.nan)


class Filed(NamedTuple):
    """What was filed."""

    photos: int
    """Photos that belong to an element now."""
    elements: int
    """Different ones among them."""
    unmatched: Sequence[str]
    """Paths of the other photos."""
    unplaced: int
    """Those of them without a position, which no polygon can have."""
    idle: Sequence[ElementRule]
    """Rules that count for no photo: none fits, or those that do fit an earlier rule."""


def set_elements(out: str, rules: ElementRules) -> Filed:
    """File photos under elements, instead of under those that were given before.

    Args:
        out: the dataset.
        rules: say which photos show which element.

    Raises:
        UsageError: there is no dataset, or no photo of it fits a rule.
        DatasetHeldError: a run is writing the dataset.
    """
    layout = Layout(storage.canonical(out))
    read_run(layout)
    with _hold(layout) as lease:
        rows = query(out, _PHOTOS).to_pylist()
        photos = [*_place(rows, read_rasters(layout))]
        found = rules.find_all(photos)
        filed = _describe(rules, photos, found)
        if not filed.photos:
            raise UsageError(_explain_nothing(layout, rules, photos))
        lease.check()
        storage.write_whole(elements_url(layout), table_bytes(_make_table(rules, rows, found)))
    return filed


def remove_elements(out: str) -> bool:
    """Forget which elements photos show; return whether any were told.

    Raises:
        UsageError: there is no dataset.
        DatasetHeldError: a run is writing the dataset.
    """
    layout = Layout(storage.canonical(out))
    read_run(layout)
    if not storage.exists(elements_url(layout)):
        return False
    with _hold(layout) as lease:
        lease.check()
        storage.remove(elements_url(layout))
    return True


def _hold(layout: Layout) -> AbstractContextManager[Lease]:
    """Take a dataset; who waits for a stale lease waits without a word."""
    return hold(layout, f"elements{uuid.uuid4().hex[:8]}", lambda _holder: None)


def _place(rows: Sequence[dict[str, Any]], rasters: Sequence[Raster]) -> Iterator[Photo]:
    """Yield photos with their positions; that of a raster's window is its middle."""
    on_earth = {raster.archive: raster for raster in rasters if raster.is_on_earth}
    for row in rows:
        raster = on_earth.get(row["archive"])
        place = _find_place(row) if raster is None else _find_middle(row, raster)
        yield Photo(row["archive"], row["image"], place)


def _find_place(row: dict[str, Any]) -> tuple[float, float]:
    place = row["longitude"], row["latitude"]
    return _NOWHERE if None in place or place == (0, 0) else place  # cameras without a fix write 0, 0


def _find_middle(row: dict[str, Any], raster: Raster) -> tuple[float, float]:
    if raster.georeference is None or row["width_px"] is None:
        return _NOWHERE
    top_px, left_px = parse_name(row["image"])
    middle = np.array([[left_px + row["width_px"] / 2, top_px + row["height_px"] / 2]])
    longitude, latitude = raster.georeference.to_lonlat(middle)[0].tolist()
    return longitude, latitude


def _describe(rules: ElementRules, photos: Sequence[Photo], found: Sequence[int | None]) -> Filed:
    used = {number for number in found if number is not None}
    unmatched = [photo for photo, number in zip(photos, found, strict=True) if number is None]
    return Filed(
        photos=len(photos) - len(unmatched),
        elements=len({tuple(rules.rules[number].values.items()) for number in used}),
        unmatched=[photo.image for photo in unmatched],
        unplaced=_count_unplaced(unmatched) if rules.has_areas else 0,
        idle=[rule for number, rule in enumerate(rules.rules) if number not in used],
    )


def _count_unplaced(photos: Sequence[Photo]) -> int:
    return sum(math.isnan(photo.place[0]) for photo in photos)


def _explain_nothing(layout: Layout, rules: ElementRules, photos: Sequence[Photo]) -> str:
    if not photos:
        return f"{layout.url} has no photo yet. Give its elements once some are scored."
    placed = len(photos) - _count_unplaced(photos)
    positions = f" Of its {len(photos):,} photos, {placed:,} have a position." if rules.has_areas else ""
    return (
        f"No photo of {layout.url} fits a rule. Its first is {photos[0].image} in {photos[0].archive}; expected a name "
        f"or a glob that matches it, or a polygon around it.{positions}"
    )


def _make_table(rules: ElementRules, rows: Sequence[dict[str, Any]], found: Sequence[int | None]) -> pa.Table:
    own = [(name, pa.string()) for name in rules.columns if name not in ELEMENTS.names]
    columns = pa.schema([*ELEMENTS, *own])
    filed = [
        {name: row[name] for name in ("archive", "image", "image_id")}
        | {name: value or None for name, value in rules.rules[number].values.items()}
        for row, number in zip(rows, found, strict=True)
        if number is not None
    ]
    return pa.Table.from_pylist(filed, columns)
