"""An engine that needs no network: both scores of a tile are its mean brightness.

As a script, it scores INPUT into OUT and hands over and commits each photo separately, so that a kill finds many
moments. However often a run is killed, the scores, the cracks, and the maps of the brighter half, are the same to the
last bit.
"""

import sys
import time

import numpy as np
from numpy.typing import NDArray

from pipeline.cluster.session import ClusterConfig
from pipeline.core.errors import CrackscanError
from pipeline.dataset.writer import COMMIT_S, CommitLimits
from pipeline.models.batching import Device, Engine, TileMapper
from pipeline.models.model import Model
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.flow import score
from pipeline.scoring.placement import BatchSizes

TILE_S = 0.002
"""Seconds for a tile, so that a run lasts long enough to be killed."""

LEASE_TTL_S = 3.0
"""Another writer may take over from one that pauses for longer."""

SINGLE_BLOCKS = BatchSizes(block_bytes=1)
"""Each photo travels in a block of its own."""

SINGLE_COMMITS = CommitLimits(photos=1, seconds=COMMIT_S)
"""Each photo is a commit of its own."""


def score_brightness(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Score tiles, shape (N, T, T, 3) → (N, 2); grey levels over 255."""
    scores = (tiles.mean(axis=(1, 2, 3), dtype=np.float64) / 255).astype(np.float32)
    return np.stack([scores, scores], axis=1)


def map_brightness(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Map tiles, shape (N, T, T, 3) → (N, T, T); grey levels over 255."""
    maps: NDArray[np.float32] = tiles.max(axis=3).astype(np.float32) / 255
    return maps


class BrightnessEngine:
    """Scores and maps tiles, each in `tile_s` seconds."""

    def __init__(self, tile_s: float) -> None:
        self._tile_s = tile_s

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score tiles as `score_brightness`."""
        time.sleep(self._tile_s * len(tiles))
        return score_brightness(tiles)

    def make_mapper(self, *, enlarged: bool) -> TileMapper:  # noqa: ARG002 - brightness is the same in any size
        """Make the mapper, in place of the network's."""
        return map_brightness


def make_brightness(_model: Model, _device: Device) -> Engine:
    """Make the slow engine, in place of the network's."""
    return BrightnessEngine(TILE_S)


def make_fast_brightness(_model: Model, _device: Device) -> Engine:
    """Make the fast engine, in place of the network's."""
    return BrightnessEngine(0)


def main(out: str, *inputs: str, cpus: int = 2) -> None:
    """Score, and exit as the command does."""
    config = ScoreConfig(
        inputs,
        out,
        maps=True,
        cluster=ClusterConfig(cpus=cpus),
        sizes=SINGLE_BLOCKS,
        commit_limits=SINGLE_COMMITS,
        lease_ttl_s=LEASE_TTL_S,
    )
    try:
        score(config, None, make_brightness)
    except CrackscanError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
