"""What a user can ask of a run; only the command line reads options and environment.

`None` means "not given": the model card, the dataset or the machine decides.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from pipeline.archives.members import Limits
from pipeline.cluster.session import ClusterConfig
from pipeline.core.errors import UsageError
from pipeline.dataset.writer import CommitLimits
from pipeline.images.decode import MAX_PIXELS
from pipeline.models.engines import EngineName
from pipeline.monitoring.prices import Prices
from pipeline.scoring.placement import BatchSizes


@dataclass(frozen=True)
class ScoreConfig:
    """One `score` run."""

    inputs: tuple[str, ...]
    """Folders, photos, archives, globs and `@list.txt`; empty for `retry`, which takes the planned inputs."""
    out: str
    """Folder or URL of the dataset."""
    model: str | None = None
    """Model folder or URL; None takes the shipped model."""
    tile_px: int | None = None
    """Side of a tile, pixels; None takes the model card's."""
    overlap: float | None = None
    """Share of a tile that it has in common with the next; None takes the model card's."""
    limit: int | None = None
    """Score at most this many photos, for a trial."""
    on_changed: Literal["report", "fail", "rescore"] = "report"
    """What to do about archives and photos that were replaced after they were listed: tell, stop, or score anew."""
    max_failures: float = 0.5
    """Stop when more than this share of the photos fails …"""
    max_failures_after: int = 100
    """… once this many were tried."""
    max_pixels: int = MAX_PIXELS
    """Larger photos fail."""
    max_photo_bytes: int = Limits.photo_bytes
    """Larger files fail, and are never read whole."""
    max_ratio: float = Limits.ratio
    """Compressed members may grow by this factor; more is a zip bomb."""
    overview: int | None = None
    """Which overview of rasters to score, from 1; 0 for the rasters themselves. None takes the dataset's, or 0."""
    batch_tiles: int | None = None
    """Tiles that the network sees at once; None takes 8, and 128 on a GPU."""
    maps: bool = False
    """Whether to keep a crack map of every photo at or over the threshold."""
    cracks: bool | None = None
    """Whether to measure cracks; None measures where the dataset has them or, if it is new, the model can."""
    mm_per_px: float | None = None
    """Millimetres of the surface to a pixel of every photo; None takes the table's, or each photo's own."""
    scale_table: str | None = None
    """Path or URL of a table of scales, CSV or Parquet; see `scale_table`."""
    scale_from: Literal["precise", "coarse"] = "precise"
    """Whether the distance of the autofocus gives millimetres, too, where nothing better does."""
    actors: int | None = None
    """Scoring processes; None takes one for each CPU, or as many as keep the GPUs busy."""
    engine: EngineName | Literal["auto"] = "auto"
    """What computes scores; `auto` takes the dataset's engine, or the fastest with trusted scores."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network runs; `auto` takes the GPUs of the cluster, if there are any."""
    prices: Prices | None = None
    """What the machines cost; None computes no cost."""
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    """Which Ray to work on."""
    sizes: BatchSizes = field(default_factory=BatchSizes)
    """How much is handed over at a time."""
    commit_limits: CommitLimits | None = None
    """When waiting photos are committed; None takes the dataset writer's limits."""
    lease_ttl_s: float | None = None
    """The dataset's lease is stale after this time without renewal; None takes the lease's."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.max_failures <= 1:
            raise UsageError(f"--max-failures is {self.max_failures}; expected a share from 0 to 1.")
        if self.mm_per_px is not None and not 0 < self.mm_per_px < math.inf:
            raise UsageError(f"--mm-per-px is {self.mm_per_px}; expected millimetres to a pixel, more than 0.")
        if self.scale_from not in {"precise", "coarse"}:
            raise UsageError(f"--scale-from is {self.scale_from!r}; expected precise or coarse.")
