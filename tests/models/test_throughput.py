"""Throughput of backbones."""

import pytest

from pipeline.models.throughput import tiles_per_s

SMALL, LARGER = "test_efficientnet.r160_in1k", "tf_efficientnet_lite0"


@pytest.mark.ray  # takes seconds: sixteen batches
def test_a_small_network_is_faster() -> None:
    """Measured in the same moments, a network of a tenth of the size scores more tiles per second."""
    found = tiles_per_s([LARGER, SMALL])
    assert found.keys() == {LARGER, SMALL}
    assert found[SMALL] > found[LARGER] > 0
