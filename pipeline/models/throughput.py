"""How many tiles a second a backbone scores, on one thread of this machine's CPU.

The figure that a gain in quality is weighed against; how good a backbone is, is `comparison`'s.
"""

import statistics
import time
from collections.abc import Sequence

import numpy as np

from pipeline.models import backbones, engines, network
from pipeline.models.backbones import RANDOM_WEIGHTS
from pipeline.models.batching import BATCH_TILES, Engine
from pipeline.models.card import Calibration, Card
from pipeline.models.model import Model

ROUNDS = 5
"""Of a batch for each backbone in turn, so that a busy moment of the machine falls on all of them alike."""


def tiles_per_s(names: Sequence[str]) -> dict[str, float]:
    """Measure backbones with the best engine of this machine's CPU for floats; the median of the rounds counts.

    Raises:
        UsageError: timm knows no such backbone.
    """
    engines = {name: _engine(name) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS + 1):
        for name, (engine, tile_px) in engines.items():
            tiles = np.full((BATCH_TILES, tile_px, tile_px, 3), 128, dtype=np.uint8)
            started_s = time.perf_counter()
            np.asarray(engine(tiles))
            seconds[name].append(time.perf_counter() - started_s)
    return {name: BATCH_TILES / statistics.median(taken[1:]) for name, taken in seconds.items()}  # the first warms up


def _engine(name: str) -> tuple[Engine, int]:
    """Build an engine around random weights, which take the same time as others."""
    backbone = backbones.load(name, RANDOM_WEIGHTS)
    card = Card(
        architecture=backbone.name,
        tile_px=backbone.tile_px,
        overlap=0.0,
        mean=backbone.mean,
        std=backbone.std,
        threshold=0.5,
        calibration=Calibration(),
        domain_threshold=None,
        metrics={},
        data=(),
        training={},
        software={},
        note=None,
        weights_sha256="",
    )
    model = Model("memory:", card, network.encode_weights(backbone.network.state_dict()))
    choice = engines.fastest_trusted(model, backbone.tile_px, "cpu", engines.probe_openvino())
    return engines.make(choice.name, backbone.tile_px, model, "cpu"), backbone.tile_px
