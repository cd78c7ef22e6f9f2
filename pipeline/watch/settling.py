"""Which files are complete: a file that is still written changes its size or its time of change from look to look.

It goes by this machine's monotonic clock: the times of files come from cameras and file servers, whose clocks may be
wrong, and from tools that set them as they like. In object stores a file appears whole, or not at all.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives.listing import archive_of
from pipeline.scoring.inputs import Inputs, Waiting

SETTLE_S = 10.0
"""A file is complete that is the same at two looks, at least this long apart."""

OBJECT_STORES = ("s3://", "gs://", "abfs://", "az://", "http://", "https://")
"""Where files appear whole; `sftp://` and its like are disks of other machines."""

_SEEN = pa.schema([("key", pa.string()), ("version", pa.string()), ("since_s", pa.float64())])
"""Files at a look: `image_id`, or address of an archive; version; the first look that found it so."""


class Settling:
    """Remembers how files were at the last look.

    Args:
        monotonic: the clock, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seen = _SEEN.empty_table()

    def hold_back(self, inputs: Inputs) -> Inputs:
        """Return the inputs without the files that may not be complete, which are its `waiting`."""
        now_s = self._monotonic()
        seen = pa.concat_tables([_SEEN.empty_table(), *_find_written(inputs, now_s)])
        self._seen = self._date(seen)
        young = self._seen["key"].filter(pc.greater(self._seen["since_s"], now_s - SETTLE_S)).combine_chunks()
        urls = {file.url for file in inputs.archives} & {*young.to_pylist()}
        return replace(
            inputs,
            loose=tuple(found._replace(photos=_leave_out(found.photos, young)) for found in inputs.loose),
            archives=tuple(file for file in inputs.archives if file.url not in urls),
            waiting=Waiting(
                frozenset(urls), young.filter(pc.invert(pc.is_in(young, value_set=pa.array(sorted(urls), pa.string()))))
            ),
        )

    def _date(self, seen: pa.Table) -> pa.Table:
        """Date files back to the first look that found them as they are."""
        at = pc.index_in(seen["key"], value_set=self._seen["key"])
        is_same = pc.fill_null(pc.equal(self._seen["version"].take(at), seen["version"]), False)  # noqa: FBT003 - Arrow's
        since_s = pc.if_else(is_same, self._seen["since_s"].take(at), seen["since_s"])
        return seen.set_column(2, _SEEN.field("since_s"), since_s)


def _find_written(inputs: Inputs, now_s: float) -> Iterator[pa.Table]:
    """Find all files that lie where one can see them grow; schema `_SEEN`."""

    def grows(address: str) -> bool:
        return not inputs.moves.place_of(address).startswith(OBJECT_STORES)

    for found in inputs.loose:
        if grows(archive_of(found.photos)):
            since_s = pa.repeat(now_s, found.photos.num_rows)
            yield pa.table([found.photos["image_id"], found.photos["version"], since_s], schema=_SEEN)
    rows = [{"key": file.url, "version": file.version, "since_s": now_s} for file in inputs.archives if grows(file.url)]
    yield pa.Table.from_pylist(rows, schema=_SEEN)


def _leave_out(photos: pa.Table, young: pa.Array) -> pa.Table:
    return photos.filter(pc.invert(pc.is_in(photos["image_id"], value_set=young))) if len(young) else photos
