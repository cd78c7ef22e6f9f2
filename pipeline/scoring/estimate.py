"""What a plan contains: photos and bytes by archive, done and skipped ones; and how long the rest takes.

Numbers only: `rehearsal` measures them on a sample of the photos.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cluster.session import Node
from pipeline.scoring.placement import BatchSizes, Placement
from pipeline.scoring.plan import Plan, count_photos


@dataclass(frozen=True)
class ArchiveCounts:
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
class Counts:
    """What a plan contains."""

    archives: tuple[ArchiveCounts, ...]
    skipped: Mapping[str, int]
    """Files that are no photos, counted by kind."""
    left: int
    """Photos that the run would score, as far as they are counted."""
    left_bytes: int
    """Of their files."""
    uncounted: int
    """Streams that the run would read."""


@dataclass(frozen=True)
class PhotoCost:
    """What one photo takes, in a mean over photos."""

    tiles: float
    read_s: float
    score_s: float
    """Seconds of one scorer to decode, cut and score it."""
    map_s: float
    """Seconds of one scorer to draw its crack map; 0 for a photo without one."""

    @property
    def scorer_s(self) -> float:
        """Seconds that it keeps a scorer busy."""
        return self.score_s + self.map_s


@dataclass(frozen=True)
class SamplePhoto:
    """A photo of a sample, measured."""

    cost: PhotoCost
    weight: float
    """It stands for a number of photos in proportion to this."""


@dataclass(frozen=True)
class JobTime:
    """How long a job takes, and in what."""

    start_s: float
    """From the command to the moment when its first photo is begun."""
    photos_s: float
    """Reading and scoring all photos."""
    maps_s: float
    """Drawing crack maps."""
    end_s: float
    """From the last photo to the end of the command."""

    @property
    def total_s(self) -> float:
        """All together."""
        return self.start_s + self.photos_s + self.maps_s + self.end_s


@dataclass(frozen=True)
class Pace:
    """What a rehearsal has measured."""

    sample: tuple[SamplePhoto, ...]
    tried: int
    """Number of different photos that were scored for it."""
    placement: Placement
    """The scorers that measured it."""
    nodes: tuple[Node, ...]
    """The machines of Ray."""
    start_s: float
    end_s: float
    """Both as in `JobTime`."""

    @property
    def cost(self) -> PhotoCost:
        """The mean photo of the job."""
        return mean_cost(self.sample)

    @property
    def photos_per_s(self) -> float:
        """Compute the throughput in the middle of a large job."""
        return 1 / max(self.cost.scorer_s / self.placement.actors, self.cost.read_s / self.placement.readers)

    def job_time(self, counts: Counts) -> JobTime:
        """Compute how long the counted photos take."""
        units = max(1, math.ceil(counts.left_bytes / BatchSizes.small_unit_bytes))
        busy = min(self.placement.actors, counts.left, units)  # a scorer without a unit has nothing to do
        maps_s = counts.left * self.cost.map_s / busy
        reading_s = counts.left * self.cost.read_s / min(self.placement.readers, units)
        photos_s = max(counts.left * self.cost.score_s / busy, reading_s - maps_s)
        return JobTime(self.start_s, photos_s, maps_s, self.end_s)


@dataclass(frozen=True)
class Estimate:
    """What `score` would do."""

    counts: Counts
    pace: Pace | None
    """None if no photo could be tried: nothing is left, or all that is left is in streams."""


def count_plan(plan: Plan, done: pa.ChunkedArray, todo: pa.Table) -> Counts:
    """Count a plan's photos.

    Args:
        plan: with all archives listed.
        done: `image_id` of every photo that has its row.
        todo: what the run would score of it; schema `MEMBERS`.
    """
    photos = count_photos(todo)
    size_bytes = int(pc.sum(todo["size_bytes"]).as_py() or 0)
    archives = tuple(_count_by_archive(plan.members, done))
    return Counts(archives, plan.skipped, photos, size_bytes, todo.num_rows - photos)


def mean_cost(sample: Sequence[SamplePhoto]) -> PhotoCost:
    """Compute the mean photo of a job from a sample of it."""
    weights = [photo.weight for photo in sample]
    costs = np.array([(cost.tiles, cost.read_s, cost.score_s, cost.map_s) for cost in (each.cost for each in sample)])
    return PhotoCost(*np.average(costs, axis=0, weights=weights).tolist())


def relative_error(sample: Sequence[SamplePhoto]) -> float:
    """Compute the standard error of the mean scorer's time, as a share of it."""
    weights = np.array([photo.weight for photo in sample])
    seconds = np.array([photo.cost.scorer_s for photo in sample])
    mean = np.average(seconds, weights=weights)
    return float(np.sqrt(np.sum((weights * (seconds - mean)) ** 2)) / weights.sum() / mean) if mean else 0.0


def choose_sample(sizes_bytes: Sequence[int], most: int) -> list[tuple[int, float]]:
    """Choose photos that stand for all: large ones more often, because they take most of the time.

    Systematic sampling along the sorted sizes, with a chance that grows with `size / mean size + 1`: by size alone,
    small files with many pixels would hardly be tried. Every beginning of the sample is spread over all sizes, too, so
    that measuring can end early.

    Args:
        sizes_bytes: of all photos.
        most: how many photos to choose at most.

    Returns:
        The index of each chosen photo, and its weight; a large one may be chosen several times.
    """
    sizes = np.asarray(sizes_bytes, float)
    order = np.argsort(sizes, kind="stable")
    measures = 1 + sizes[order] / (sizes.mean() or 1)
    ends = np.cumsum(measures)
    points = min(most, len(sizes))
    places = (np.array([*_spread(points)]) + 0.5) * ends[-1] / points
    hits = np.searchsorted(ends, places, side="right").clip(max=len(sizes) - 1)
    return [(int(order[hit]), float(1 / measures[hit])) for hit in hits]


def _spread(number: int) -> Iterable[int]:
    """Order 0, 1, … so that every beginning of the order is spread evenly (van der Corput)."""
    bits = max(1, (number - 1).bit_length())
    return sorted(range(number), key=lambda each: f"{each:0{bits}b}"[::-1])


def _count_by_archive(members: pa.Table, done: pa.ChunkedArray) -> Iterator[ArchiveCounts]:
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
        yield ArchiveCounts(row["archive"], **{name: row[f"{name}_sum"] for name in names})
