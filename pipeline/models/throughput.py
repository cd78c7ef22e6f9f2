"""How many tiles a backbone scores in a second on one thread of this machine's CPU.

Comparisons weigh a gain in quality against this figure.
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
"""Of one batch for each backbone in turn, so that a busy moment of the machine slows all of them alike."""


def tiles_per_s(names: Sequence[str]) -> dict[str, float]:
    """Measure backbones with this machine's best engine for floats on a CPU, as the median of the rounds.

    Raises:
        UsageError: timm knows no such backbone.
    """
    loaded = {name: _load_engine(name) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS + 1):
        for name, (engine, tile_px) in loaded.items():
            tiles = np.full((BATCH_TILES, tile_px, tile_px, 3), 128, dtype=np.uint8)
            started_s = time.perf_counter()
            np.asarray(engine(tiles))
            seconds[name].append(time.perf_counter() - started_s)
    # The first round warms up.
    return {name: BATCH_TILES / statistics.median(durations[1:]) for name, durations in seconds.items()}


def _load_engine(name: str) -> tuple[Engine, int]:
    """Load an engine with random weights, which take the same time as others."""
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
