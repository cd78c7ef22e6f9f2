"""`crackscan score` with an engine that needs no network: both of a tile's scores are its mean brightness.

Run as a script: score INPUT into OUT, handing over and committing every photo on its own, which gives many moments to
be killed in. The scores, and the maps of what is brighter than the middle, are the same to the last bit however often
it is.
"""

import sys
import time

import numpy as np
from numpy.typing import NDArray

from pipeline.cluster.session import ClusterConfig
from pipeline.core.errors import CrackscanError
from pipeline.dataset import lease, writer
from pipeline.models.batching import Device, Engine
from pipeline.models.crack_maps import TileMapper
from pipeline.models.model import Model
from pipeline.scoring import placement
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.flow import score
from pipeline.scoring.progress import ScoreCallbacks

SECONDS_A_TILE = 0.002
"""So that the run lasts long enough to be killed."""

LEASE_S = 3.0
"""A writer that stands still for longer is replaced."""


def brightness(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Score tiles, shape (N, T, T, 3) → (N, 2); grey levels over 255."""
    time.sleep(SECONDS_A_TILE * len(tiles))
    scores = (tiles.mean(axis=(1, 2, 3), dtype=np.float64) / 255).astype(np.float32)
    return np.stack([scores, scores], axis=1)


def make_brightness(_model: Model, _device: Device) -> Engine:
    """Make the engine, in place of the network's."""
    return brightness


def brightness_map(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Map tiles, shape (N, T, T, 3) → (N, T, T); grey levels over 255."""
    maps: NDArray[np.float32] = tiles.max(axis=3).astype(np.float32) / 255
    return maps


def make_brightness_map(_model: Model, _device: Device) -> TileMapper:
    """Make the mapper, in place of the network's."""
    return brightness_map


def main(out: str, *inputs: str, cpus: int = 2) -> None:
    """Score, and end as the command would."""
    placement.BLOCK_BYTES = writer.COMMIT_PHOTOS = 1
    lease.TTL_S = LEASE_S
    try:
        config = ScoreConfig(inputs, out, cluster=ClusterConfig(cpus=cpus), maps=True)
        score(config, ScoreCallbacks(), make_brightness, make_brightness_map)
    except CrackscanError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
