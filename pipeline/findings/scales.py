"""`scales.parquet`: scales of photos that the user gives after scoring, so that nothing is scored again.

It lies beside the other files, which stay as they are. The views of `sql` show millimetres by it.
"""

import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import NamedTuple

import pyarrow as pa

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.dataset.beside import SCALES, scales_url
from pipeline.dataset.commit_log import table_bytes
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import Lease, hold
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import query

FindScale = Callable[[str, str], tuple[float, str] | None]
"""From the columns `archive` and `image` of a photo to its `mm_per_px` and `scale_source`; None leaves the scale that
it was scored with."""

_MEASURED = "SELECT archive, image, image_id FROM images WHERE cracks IS NOT NULL ORDER BY archive, image, occurrence"


class Rescaled(NamedTuple):
    """What was set."""

    photos: int
    """Photos that have a scale of the user's now."""
    measured: int
    """Photos in which cracks were measured, these among them."""


def set_scales(out: str, find: FindScale) -> Rescaled:
    """Give photos another scale than they were scored with, instead of all that were given before.

    Args:
        out: the dataset.
        find: tells the scale of a photo.

    Raises:
        UsageError: there is no dataset, cracks were not measured in it, or no photo of it gets a scale.
        DatasetHeldError: a run is writing the dataset.
    """
    layout = Layout(storage.canonical(out))
    read_run(layout)
    with _hold(layout) as lease:
        photos = query(out, _MEASURED).to_pylist()
        if not photos:
            raise UsageError(
                f"{layout.url} has no photo in which cracks were measured, so a scale would change nothing. Score into "
                "another --out, with a model that was trained with --dense, without --no-cracks."
            )
        set_at = datetime.now(UTC)
        rows = [
            photo | {"mm_per_px": scale[0], "scale_source": scale[1], "set_at": set_at}
            for photo in photos
            if (scale := find(photo["archive"], photo["image"])) is not None
        ]
        if not rows:
            raise UsageError(
                f"No photo of {layout.url} gets a scale. Its first is {photos[0]['image']} in {photos[0]['archive']}; "
                "expected a name, or a glob that matches it."
            )
        lease.check()
        storage.write_whole(scales_url(layout), table_bytes(pa.Table.from_pylist(rows, SCALES)))
    return Rescaled(len(rows), len(photos))


def remove_scales(out: str) -> bool:
    """Go back to the scales that photos were scored with; return whether others had been set.

    Raises:
        UsageError: there is no dataset.
        DatasetHeldError: a run is writing the dataset.
    """
    layout = Layout(storage.canonical(out))
    read_run(layout)
    if not storage.exists(scales_url(layout)):
        return False
    with _hold(layout) as lease:
        lease.check()
        storage.remove(scales_url(layout))
    return True


def _hold(layout: Layout) -> AbstractContextManager[Lease]:
    """Take a dataset; who waits for a stale lease waits without a word."""
    return hold(layout, f"scale{uuid.uuid4().hex[:8]}", lambda _holder: None)
