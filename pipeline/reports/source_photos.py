"""The photos of a dataset, read once more from their archives.

The readers are those of scoring, and the places come from the plan. If a photo cannot be read any more, because its
archive was moved or replaced or denies access, the reason stands in its place, so that callers can show the others.
"""

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.archives.members import Limits, is_raster
from pipeline.core.errors import DataError, StorageError, UsageError
from pipeline.dataset.commit_log import read_table
from pipeline.dataset.layout import Layout
from pipeline.dataset.moves import read_moves
from pipeline.dataset.run import read_run
from pipeline.images.decode import Pixels, decode
from pipeline.rasters.window_decoder import decode_window
from pipeline.rasters.window_reader import rule_of
from pipeline.scoring.reading import read_unit, split_units

SourcePhoto = Pixels | str
"""Upright pixels, shape (H, W, 3), or the reason why there are none."""

NOT_LISTED = "The archive has not been read to its end yet, so the place of this photo in it is unknown."


def read_source_photos(layout: Layout, archives: Mapping[str, str]) -> Iterator[tuple[str, SourcePhoto]]:
    """Read photos again; yield each exactly once, in the order of their archives.

    Args:
        layout: the dataset that has them in its plan.
        archives: the archive of each photo, by `image_id`.
    """
    for archive in sorted(set(archives.values())):
        missing = {image_id for image_id, place in archives.items() if place == archive}
        reason = NOT_LISTED
        try:
            for image_id, source in _read_archive(layout, archive, missing):
                missing.discard(image_id)
                yield image_id, source
        except (StorageError, UsageError) as error:  # gone, denied, or a store that this machine does not know
            reason = str(error)
        yield from ((image_id, reason) for image_id in sorted(missing))


def _read_archive(layout: Layout, archive: str, image_ids: set[str]) -> Iterator[tuple[str, SourcePhoto]]:
    place = layout.plan(archive)
    if not storage.exists(place):
        return
    members, moves = read_table(place), read_moves(layout)
    chosen = members.filter(pc.is_in(members["image_id"], pa.array(sorted(image_ids), pa.string())))
    windows = rule_of(read_run(layout)["fingerprint"]) if is_raster(archive) else None
    for unit in split_units(chosen):
        for table in read_unit(unit, Limits(), chosen["image_id"].slice(0, 0), moves, windows):
            for row in table.to_pylist():
                yield row["image_id"], _decode(row["data"], row["failure_message"], is_window=windows is not None)


def _decode(data: bytes | None, failure: str | None, *, is_window: bool) -> SourcePhoto:
    if data is None:
        return failure or NOT_LISTED
    try:
        return (decode_window(data) if is_window else decode(data)).pixels
    except DataError as error:
        return error.message
