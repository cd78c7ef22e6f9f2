"""What a user can ask of a run: read once, at the edge; below the command line there is no environment.

`None` means "not given": the model card, the dataset or the machine decides.
"""

from dataclasses import dataclass, field
from typing import Literal

from pipeline.archives.members import Limits
from pipeline.cluster.session import ClusterConfig
from pipeline.core.errors import UsageError
from pipeline.images.decode import MAX_PIXELS
from pipeline.models.engines import EngineName
from pipeline.monitoring.prices import Prices


@dataclass(frozen=True)
class ScoreConfig:
    """One `score` run."""

    inputs: tuple[str, ...]
    """Folders, photos, archives, globs and `@list.txt`; none to go over what was planned before."""
    out: str
    """Folder or URL of the dataset."""
    model: str | None = None
    """Model folder or URL; None takes the shipped one."""
    tile_px: int | None = None
    """Side of a tile, pixels; None takes the card's."""
    overlap: float | None = None
    """Share of a tile in common with the next; None takes the card's."""
    limit: int | None = None
    """Score at most this many photos, for a trial."""
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
    batch_tiles: int | None = None
    """Tiles the network sees at once; None takes 32, and 128 on a GPU."""
    maps: bool = False
    """Keep a crack map of every photo at or over the threshold."""
    actors: int | None = None
    """Scoring processes; None takes one for each CPU, or as many as keep the GPUs busy."""
    engine: EngineName | Literal["auto"] = "auto"
    """What computes scores; `auto` takes the dataset's, or the fastest whose scores can be relied on."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network runs; `auto` takes the GPUs of the cluster where it has any."""
    prices: Prices | None = None
    """What the machines cost; None where nobody wants to know."""
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    """Which Ray to work on."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.max_failures <= 1:
            raise UsageError(f"--max-failures is {self.max_failures}; expected a share from 0 to 1.")
