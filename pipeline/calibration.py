"""From a network's confidence to a probability: one temperature, fitted to held-out tiles.

Knows logits and labels only; the card keeps the result.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.card import Calibration

COLDEST, WARMEST = 0.5, 3.0
"""A few held-out tiles told apart without an error would ask for a temperature of zero: certainty nobody has."""

_STEPS = 181


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.bool_]) -> Calibration:
    """Find the temperature under which the labels are the most likely (Guo et al. 2017, temperature scaling).

    Shapes: (n,) and (n,).
    """
    temperatures = np.geomspace(COLDEST, WARMEST, _STEPS)
    signed = np.where(labels, logits, -logits).astype(np.float64)
    losses = [np.logaddexp(0, -signed / temperature).mean() for temperature in temperatures]
    return Calibration(temperature=round(float(temperatures[int(np.argmin(losses))]), 4))
