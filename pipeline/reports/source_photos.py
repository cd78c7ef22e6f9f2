"""The photos of a dataset, read once more from where they lie, for who wants to see them.

They are read by the same readers as for scoring, from the places in the plan. One that cannot be read any more, because
its archive was moved, replaced or is closed to us, comes with the reason: who shows photos goes on without it.
"""

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.archives.members import Limits
from pipeline.core.errors import DataError, StorageError, UsageError
from pipeline.dataset.commit_log import read_table
from pipeline.dataset.layout import Layout
from pipeline.images.decode import decode
from pipeline.reports.heatmap import Pixels
from pipeline.scoring.reading import read_unit, units

SourcePhoto = Pixels | str
"""Upright pixels, shape (H, W, 3), or why there are none."""

NOT_LISTED = "The archive has not been read to its end yet, so where this photo lies in it is not known."


def source_photos(layout: Layout, archives: Mapping[str, str]) -> Iterator[tuple[str, SourcePhoto]]:
    """Read photos again; each comes exactly once, in the order of their archives.

    Args:
        layout: the dataset that lists them.
        archives: `image_id` of each photo to the archive that it lies in.
    """
    for archive in sorted(set(archives.values())):
        left = {image_id for image_id, place in archives.items() if place == archive}
        reason = NOT_LISTED
        try:
            for image_id, original in _of_archive(layout, archive, left):
                left.discard(image_id)
                yield image_id, original
        except (StorageError, UsageError) as error:  # the place is gone, closed, or of a kind that is not known here
            reason = str(error)
        yield from ((image_id, reason) for image_id in sorted(left))


def _of_archive(layout: Layout, archive: str, image_ids: set[str]) -> Iterator[tuple[str, SourcePhoto]]:
    place = layout.plan(archive)
    if not storage.exists(place):
        return
    members = read_table(place)
    wanted = members.filter(pc.is_in(members["image_id"], pa.array(sorted(image_ids), pa.string())))
    for unit in units(wanted):
        for table in read_unit(unit, Limits(), wanted["image_id"].slice(0, 0)):
            for row in table.to_pylist():
                yield row["image_id"], _pixels(row["data"], row["failure_message"])


def _pixels(data: bytes | None, failure: str | None) -> SourcePhoto:
    if data is None:
        return failure or NOT_LISTED
    try:
        return decode(data).pixels
    except DataError as error:
        return error.message
