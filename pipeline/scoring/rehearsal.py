"""Scores a few photos of a job on the Ray that would score all of them, and measures what each part takes.

A rehearsal starts what the job would start: Ray, readers, and scorers that compile the network. So no constant stands
for the machine, the storage or the options, and scorers that slow each other down do so here, too.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.cluster.session import nodes
from pipeline.core.interrupt import Interrupt, iterate_in_thread, stop_on_interrupt
from pipeline.core.table_schemas import MEMBERS
from pipeline.scoring.estimate import Pace, PhotoCost, SamplePhoto, choose_sample, relative_error
from pipeline.scoring.job import ScoreJob
from pipeline.scoring.placement import ScorerOptions, place_scorers
from pipeline.scoring.progress import Progress
from pipeline.scoring.reading import is_stream_unit, split_units

MOST_PHOTOS = 64
"""Photos to try at most."""
LEAST_PHOTOS = 8
"""Photos to try at least, …"""
LEAST_EACH = 2
"""… and for each scorer, so that all of them work at the same time."""
SURE = 0.05
"""Then a mean with this relative standard error is good enough, …"""
MEASURED_S = 8.0
"""… and so is any after this time, from the first photo on."""

OUTSIDE_S = 1.3
"""Seconds of a job that a rehearsal does not see: Python starts and ends, DuckDB lists the worst photos."""
OUT_LOOKUPS = 28
"""Requests to the storage of OUT that a job makes one after the other, from its lease to its summary, in look-ups of a
file that is not there (docs/experiments.md, 2026-11-29)."""

_USAGES = ("read_usage", "decode_usage", "score_usage", "map_usage")


def list_seekable(todo: pa.Table) -> pa.Table:
    """Leave out photos of streams, which have to be read as a whole; schema `MEMBERS`."""
    return pa.concat_tables([MEMBERS.empty_table(), *(unit for unit in split_units(todo) if not is_stream_unit(unit))])


def rehearse(photos: pa.Table, job: ScoreJob, began_at_s: float, interrupt: Interrupt) -> Pace:
    """Score photos until their mean is known well enough; Ray must be running.

    Args:
        photos: of `list_seekable`; at least one.
        job: the job.
        began_at_s: when its command began, on the clock of `time.monotonic`.
        interrupt: ends the rehearsal.

    Returns:
        The pace. Its end leaves out the time in which Ray ends.
    """
    placement = place_scorers(job.scorer_options, nodes())
    start_s, sample = _try(_choose(photos, placement.actors), job, began_at_s, interrupt)
    end_s = OUTSIDE_S + OUT_LOOKUPS * _lookup_s(job.layout.url)
    return Pace(sample.measured, len(sample.costs), placement, nodes(), start_s, end_s)


@dataclass
class _Sample:
    """The photos to try, and what was measured of them."""

    photos: pa.Table
    """Each once; schema `MEMBERS`."""
    points: list[tuple[str, float]]
    """`image_id` and weight in the order of `choose_sample`, where a photo may repeat."""
    least: int
    """Photos to measure before a mean can be good enough."""
    costs: dict[str, PhotoCost] = field(default_factory=dict)
    """By `image_id`."""

    @property
    def measured(self) -> tuple[SamplePhoto, ...]:
        """The beginning of the sample that is measured whole."""
        known = takewhile(lambda point: point[0] in self.costs, self.points)
        return tuple(SamplePhoto(self.costs[image_id], weight) for image_id, weight in known)

    def is_enough(self, measured_s: float) -> bool:
        """Tell whether measuring may end after this time."""
        if len(self.costs) < self.least or not self.measured:
            return False
        return measured_s > MEASURED_S or relative_error(self.measured) < SURE


def _choose(photos: pa.Table, scorers: int) -> _Sample:
    least = max(LEAST_PHOTOS, LEAST_EACH * scorers)
    chosen = choose_sample(photos["size_bytes"].fill_null(0).to_pylist(), max(MOST_PHOTOS, 2 * least))
    ids = photos["image_id"].take([index for index, _ in chosen]).to_pylist()
    points = [(image_id, weight) for image_id, (_, weight) in zip(ids, chosen, strict=True)]
    return _Sample(photos.take([*dict(chosen)]), points, least)


def _try(sample: _Sample, job: ScoreJob, began_at_s: float, interrupt: Interrupt) -> tuple[float, _Sample]:
    """Score the photos of a sample until it is good enough; return the sample, and when its first photo was begun."""
    from pipeline.scoring.ray_data import score_photos  # loads Ray

    start_s, progress = 0.0, Progress(sample.photos.num_rows)
    job.callbacks.on_progress(progress)
    nothing_done = pa.chunked_array([], MEMBERS.field("image_id").type)
    scored = score_photos(sample.photos, job.scoring, _in_small_blocks(job.scorer_options), nothing_done)
    with iterate_in_thread(scored) as passing:
        for table in stop_on_interrupt(passing, interrupt):
            if table is not None:
                now_s, costs = time.monotonic() - began_at_s, dict(_measured(table))
                if not sample.costs:
                    start_s = now_s - sum(cost.scorer_s for cost in costs.values())
                sample.costs |= costs
                progress = progress.with_photos(table)
                if sample.is_enough(now_s - start_s):
                    break
            job.callbacks.on_progress(progress)
    return start_s, sample


def _in_small_blocks(options: ScorerOptions) -> ScorerOptions:
    """Hand photos over as at the beginning of a job, so that each block is measured soon."""
    sizes = options.sizes
    return replace(options, sizes=replace(sizes, block_bytes=min(sizes.block_bytes, sizes.small_unit_bytes)))


def _measured(scored: pa.Table) -> Iterator[tuple[str, PhotoCost]]:
    for row in scored.select(["image_id", "tiles", *_USAGES]).to_pylist():
        read_s, decode_s, score_s, map_s = (_wall_s(row[name]) for name in _USAGES)
        yield row["image_id"], PhotoCost(row["tiles"] or 0, read_s, decode_s + score_s, map_s)


def _wall_s(usage: Mapping[str, Any] | None) -> float:
    return 0.0 if usage is None else float(usage["wall_s"])


def _lookup_s(url: str) -> float:
    """Measure the look-up of a file that is not there; the fastest of three, because the first opens the connection."""
    seconds = []
    for _ in range(3):
        began_at_s = time.perf_counter()
        storage.exists(storage.join(url, "rehearsal"))
        seconds.append(time.perf_counter() - began_at_s)
    return min(seconds)
