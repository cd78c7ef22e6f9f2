"""What a plan contains: photos and bytes by archive, done and skipped ones, and how long the rest will take.

To estimate the time, this process reads and scores a few of the photos and measures how long that takes.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.table_schemas import MEMBERS
from pipeline.scoring.capacity import Machine, Photo, photos_per_s
from pipeline.scoring.plan import Plan
from pipeline.scoring.reading import is_stream_unit, read_unit, split_units
from pipeline.scoring.scorer import PhotoScorer, Scoring

SAMPLE_PHOTOS = 6
"""Enough to show how large the photos are; seconds of work."""


@dataclass(frozen=True)
class ArchiveEstimate:
    """One archive or folder of a plan."""

    archive: str
    photos: int
    size_bytes: int
    """Of the photos' files."""
    done: int
    """Photos that have their row."""
    unreadable: int
    """Photos and parts of the archive that are unreadable, as the listing shows; each becomes a failed row."""
    uncounted: int
    """Streams, this archive or ones nested in it, whose photos are counted only when they are read."""


@dataclass(frozen=True)
class Throughput:
    """Time of one scorer of this machine for a few photos, reading and decoding included."""

    photos: int
    tiles: int
    size_bytes: int
    """Of their files."""
    seconds: float


@dataclass(frozen=True)
class Estimate:
    """What `score` would do."""

    archives: tuple[ArchiveEstimate, ...]
    skipped: Mapping[str, int]
    """Files that are no photos, counted by kind."""
    pace: Throughput | None
    """None if no remaining photo can be scored."""

    @property
    def left(self) -> int:
        """Photos without a row, as far as they are counted."""
        return sum(archive.photos - archive.done for archive in self.archives)

    def photos_per_s(self, cpus: float) -> float | None:
        """Estimate the throughput of a number of CPUs like this one; None without a measured pace."""
        if self.pace is None:
            return None
        tiles = self.pace.tiles / self.pace.photos
        photo = Photo(tiles, self.pace.size_bytes / self.pace.photos, decode_s=0.0)  # the measured pace includes it
        return photos_per_s(Machine(cpus, self.pace.tiles / self.pace.seconds), photo)


def estimate(plan: Plan, done: pa.ChunkedArray, scoring: Scoring) -> Estimate:
    """Count a plan's photos, and measure the pace on a few of them.

    Args:
        plan: with all archives listed.
        done: `image_id` of every photo that has its row.
        scoring: how each photo is scored.
    """
    return Estimate(
        tuple(_count_by_archive(plan.members, done)), plan.skipped, _measure_pace(plan.without(done), scoring)
    )


def _count_by_archive(members: pa.Table, done: pa.ChunkedArray) -> Iterator[ArchiveEstimate]:
    is_photo = pc.equal(members["entry"], "photo")
    counted = pa.table({
        "archive": members["archive"],
        "photos": pc.cast(is_photo, pa.int64()),
        "size_bytes": pc.fill_null(members["size_bytes"], 0),
        "done": pc.cast(pc.is_in(members["image_id"], value_set=done), pa.int64()),
        "unreadable": pc.cast(pc.is_valid(members["failure_stage"]), pa.int64()),
        "uncounted": pc.cast(pc.invert(is_photo), pa.int64()),
    })  # fmt: skip
    names = counted.column_names[1:]
    sums = counted.group_by("archive").aggregate([(name, "sum") for name in names]).sort_by("archive")
    for row in sums.to_pylist():
        yield ArchiveEstimate(row["archive"], **{name: row[f"{name}_sum"] for name in names})


def _measure_pace(todo: pa.Table, scoring: Scoring) -> Throughput | None:
    """Score a few photos, spread evenly over the remaining ones; open no stream."""
    seekable = [unit for unit in split_units(todo) if not is_stream_unit(unit)]
    if not seekable:
        return None
    chosen = _take_spread(pa.concat_tables(seekable))
    scorer = PhotoScorer(partial(scoring.make_engine, scoring.model, "cpu"), scoring.rule)
    scorer(_read_photos(chosen.slice(0, 1), scoring))  # not measured: the first photo warms the network up
    began_at = time.perf_counter()
    scored = scorer(_read_photos(chosen, scoring))
    seconds, tiles = time.perf_counter() - began_at, pc.sum(scored["tiles"]).as_py()
    return Throughput(scored.num_rows, tiles, pc.sum(scored["size_bytes"]).as_py() or 0, seconds) if tiles else None


def _take_spread(photos: pa.Table) -> pa.Table:
    last = photos.num_rows - 1
    return photos.take(np.unique(np.linspace(0, last, min(photos.num_rows, SAMPLE_PHOTOS)).astype(int)))


def _read_photos(photos: pa.Table, scoring: Scoring) -> pa.Table:
    nothing_done = pa.chunked_array([], MEMBERS.field("image_id").type)
    return pa.concat_tables(
        photo for unit in split_units(photos) for photo in read_unit(unit, scoring.limits, nothing_done, scoring.moves)
    )
