"""What a plan comes to: photos and bytes by archive, what is done, what is skipped, and how long the rest will take.

For the time a few of its photos are read and scored here and now, and the clock is read.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.schema import MEMBERS
from pipeline.scoring.capacity import Machine, Photo, photos_per_s
from pipeline.scoring.plan import Plan
from pipeline.scoring.reading import is_of_stream, read_unit, units
from pipeline.scoring.scorer import PhotoScorer, Scoring

TRIED_PHOTOS = 6
"""Enough to see how large the photos are; seconds of work."""


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
    """Photos, and parts of the archive, that the listing shows to be unreadable; each will be a failed row."""
    uncounted: int
    """Archives, this one or some nested in it, whose photos are counted only when they are read."""


@dataclass(frozen=True)
class Throughput:
    """What one scorer of this machine took for a few photos, reading and decoding included."""

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
    """None where no photo that is left can be scored."""

    @property
    def left(self) -> int:
        """Photos that have no row yet, as far as they are counted."""
        return sum(archive.photos - archive.done for archive in self.archives)

    def photos_per_s(self, cpus: float) -> float | None:
        """Return how many photos so many CPUs like this one score in a second; None where no pace could be taken."""
        if self.pace is None:
            return None
        tiles = self.pace.tiles / self.pace.photos
        photo = Photo(tiles, self.pace.size_bytes / self.pace.photos, decode_s=0.0)  # it is in the measured pace
        return photos_per_s(Machine(cpus, self.pace.tiles / self.pace.seconds), photo)


def estimate(plan: Plan, done: pa.ChunkedArray, scoring: Scoring) -> Estimate:
    """Sum a plan up, and try a few of its photos.

    Args:
        plan: with all archives listed.
        done: `image_id` of every photo that has its row.
        scoring: what is done with each photo.
    """
    return Estimate(tuple(_by_archive(plan.members, done)), plan.skipped, _pace(plan.without(done), scoring))


def _by_archive(members: pa.Table, done: pa.ChunkedArray) -> Iterator[ArchiveEstimate]:
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


def _pace(todo: pa.Table, scoring: Scoring) -> Throughput | None:
    """Score a few photos, spread evenly over those that are left; streams are not looked into."""
    by_parts = [unit for unit in units(todo) if not is_of_stream(unit)]
    if not by_parts:
        return None
    chosen = _spread(pa.concat_tables(by_parts))
    scorer = PhotoScorer(partial(scoring.make_engine, scoring.model, "cpu"), scoring.rule)
    scorer(_read(chosen.slice(0, 1), scoring))  # not counted: the first one warms the network up
    began_at = time.perf_counter()
    scored = scorer(_read(chosen, scoring))
    seconds, tiles = time.perf_counter() - began_at, pc.sum(scored["tiles"]).as_py()
    return Throughput(scored.num_rows, tiles, pc.sum(scored["size_bytes"]).as_py() or 0, seconds) if tiles else None


def _spread(photos: pa.Table) -> pa.Table:
    last = photos.num_rows - 1
    return photos.take(np.unique(np.linspace(0, last, min(photos.num_rows, TRIED_PHOTOS)).astype(int)))


def _read(photos: pa.Table, scoring: Scoring) -> pa.Table:
    nothing_done = pa.chunked_array([], MEMBERS.field("image_id").type)
    return pa.concat_tables(photo for unit in units(photos) for photo in read_unit(unit, scoring.limits, nothing_done))
