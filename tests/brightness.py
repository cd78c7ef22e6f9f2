"""`crackscan score` with an engine that needs no network: a tile's score is its mean brightness.

Run as a script: score INPUT into OUT, handing over and committing every photo on its own, which gives many moments to
be killed in. The scores are the same to the last bit however often it is.
"""

import sys
import time

import numpy as np
from numpy.typing import NDArray

from pipeline import hosting, lease, sink
from pipeline.batching import Device, Engine
from pipeline.cluster import ClusterConfig
from pipeline.config import ScoreConfig
from pipeline.errors import CrackscanError
from pipeline.flow import score
from pipeline.model import Model
from pipeline.progress import Watch

SECONDS_A_TILE = 0.002
"""So that the run lasts long enough to be killed."""

LEASE_S = 3.0
"""A writer that stands still for longer is replaced."""


def brightness(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Score tiles, shape (N, T, T, 3) → (N,); grey levels over 255."""
    time.sleep(SECONDS_A_TILE * len(tiles))
    scores: NDArray[np.float32] = (tiles.mean(axis=(1, 2, 3), dtype=np.float64) / 255).astype(np.float32)
    return scores


def make_brightness(_model: Model, _device: Device) -> Engine:
    """Make the engine, in place of the network's."""
    return brightness


def main(out: str, *inputs: str, cpus: int = 2) -> None:
    """Score, and end as the command would."""
    hosting.BLOCK_BYTES = sink.COMMIT_PHOTOS = 1
    lease.TTL_S = LEASE_S
    try:
        score(ScoreConfig(inputs, out, cluster=ClusterConfig(cpus=cpus)), Watch(), make_brightness)
    except CrackscanError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
