"""Metrics of a scoring run for Prometheus, through Ray: what is counted, and under which names.

The driver counts, once per table that a scorer hands over: what was lost with a worker and done again counts once, so
that counters agree with the dataset. What waits between Ray's workers, Ray Data tells itself (docs/watching.md).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ray.util.metrics import Counter, Gauge, Histogram

from pipeline.monitoring.run_stats import Totals

PHOTO_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Bounds of the histograms: from a phone's picture to a panorama."""


class RayMetrics:
    """All metrics of this process; Ray must be running. `ray_crackscan_…` is what they are called outside."""

    def __init__(self) -> None:
        self._photos = Counter("crackscan_photos", "Photos that have been scored or failed.", ("status",))
        self._failures = Counter("crackscan_failures", "Photos that failed, by why.", ("stage", "kind"))
        self._tiles = Counter("crackscan_tiles", "Tiles that have been scored.")
        self._photo_bytes = Counter("crackscan_photo_bytes", "Bytes of the photos' files.")
        self._read_bytes = Counter("crackscan_read_bytes", "Bytes that came from storage.")
        self._retries = Counter("crackscan_storage_retries", "Requests to storage that were made again.")
        self._cpu_s = Counter("crackscan_cpu_seconds", "CPU seconds by stage of the work.", ("stage",))
        self._decode_s = Histogram("crackscan_decode_seconds", "Decoding and cutting a photo.", [*PHOTO_S])
        self._score_s = Histogram("crackscan_score_seconds", "Scoring all tiles of a photo.", [*PHOTO_S])
        self._uncommitted = Gauge("crackscan_uncommitted_photos", "Photos that wait for their commit.")

    def count(self, made: Totals) -> None:
        """Count what has come in since the last call."""
        counts = {
            self._tiles: made.tiles,
            self._photo_bytes: made.photo_bytes,
            self._read_bytes: made.total.read_bytes,
            self._retries: made.total.retries,
        }
        for counter, value in counts.items():
            _add(counter, value)
        _add(self._photos, made.photos - made.failed, status="ok")
        _add(self._photos, made.failed, status="failed")
        for failure, photos in made.failures.items():
            _add(self._failures, photos, **failure._asdict())
        for stage, effort in made.efforts.items():
            _add(self._cpu_s, effort.cpu_s, stage=stage)

    def time(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take in how long photos were worked on, each by itself; schema `SCORED`."""
        for row in rows:
            self._decode_s.observe(row["decode_effort"]["wall_s"])
            self._score_s.observe(row["score_effort"]["wall_s"])

    def waits(self, photos: int) -> None:
        """Say how many photos are not committed: what a kill would cost now."""
        self._uncommitted.set(photos)


def _add(counter: Counter, value: float, **tags: str) -> None:
    if value > 0:  # Ray refuses to add nothing
        counter.inc(value, tags)
