"""Metrics of a scoring run for Prometheus, through Ray.

The driver counts, once per table that a scorer hands over. Work that was lost with a worker and repeated counts once,
so that the counters agree with the dataset. Ray Data itself exports what waits between its workers (docs/watching.md).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ray.util import metrics

from pipeline.monitoring.run_stats import Totals

PHOTO_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Bounds of the histograms: from a phone's picture to a panorama."""


class RayMetrics:
    """All metrics of this process; Ray must be running. Prometheus sees them as `ray_crackscan_…`."""

    def __init__(self) -> None:
        counter, histogram = metrics.Counter, metrics.Histogram
        self._photos = counter("crackscan_photos", "Photos that have been scored or failed.", ("status",))
        self._failures = counter("crackscan_failures", "Photos that failed, by reason.", ("stage", "kind"))
        self._tiles = counter("crackscan_tiles", "Tiles that have been scored.")
        self._photo_bytes = counter("crackscan_photo_bytes", "Bytes of the photos' files.")
        self._read_bytes = counter("crackscan_read_bytes", "Bytes that came from storage.")
        self._retries = counter("crackscan_storage_retries", "Requests to storage that were made again.")
        self._cpu_s = counter("crackscan_cpu_seconds", "CPU seconds by stage of the work.", ("stage",))
        self._decode_s = histogram("crackscan_decode_seconds", "Decoding and cutting a photo.", [*PHOTO_S])
        self._score_s = histogram("crackscan_score_seconds", "Scoring all tiles of a photo.", [*PHOTO_S])
        self._uncommitted = metrics.Gauge("crackscan_uncommitted_photos", "Photos that wait for their commit.")

    def count(self, added: Totals) -> None:
        """Count what came in since the last call."""
        counts = {
            self._tiles: added.tiles,
            self._photo_bytes: added.photo_bytes,
            self._read_bytes: added.total_usage.read_bytes,
            self._retries: added.total_usage.retries,
        }
        for counter, value in counts.items():
            _add(counter, value)
        _add(self._photos, added.photos - added.failed, status="ok")
        _add(self._photos, added.failed, status="failed")
        for failure, photos in added.failures.items():
            _add(self._failures, photos, **failure._asdict())
        for stage, usage in added.usages.items():
            _add(self._cpu_s, usage.cpu_s, stage=stage)

    def observe_times(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Observe how long each photo was decoded and scored; rows of schema `SCORED`."""
        for row in rows:
            self._decode_s.observe(row["decode_usage"]["wall_s"])
            self._score_s.observe(row["score_usage"]["wall_s"])

    def set_uncommitted(self, photos: int) -> None:
        """Set how many photos are not committed: the work that a kill would cost now."""
        self._uncommitted.set(photos)


def _add(counter: metrics.Counter, value: float, **tags: str) -> None:
    if value > 0:  # Ray refuses to add 0
        counter.inc(value, tags)
