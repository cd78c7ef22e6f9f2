"""A network whose scores do not depend on a tile's neighbours."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.engine import TorchEngine
from pipeline.model import SHIPPED_MODEL, load_model


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    """Load the model that comes with the package."""
    return TorchEngine(load_model(SHIPPED_MODEL), "cpu")


@pytest.fixture(scope="module")
def tiles() -> NDArray[np.uint8]:
    """Draw tiles from even grey to noise."""
    rng = np.random.default_rng(0)
    return np.stack([rng.integers(128 - 4 * n, 129 + 3 * n, (224, 224, 3), np.uint8) for n in range(32)])


def test_a_score_does_not_depend_on_the_batch(engine: TorchEngine, tiles: NDArray[np.uint8]) -> None:
    """Alone or among 32, a tile gets the same probability, within 1e-5."""
    together = engine(tiles)

    alone = np.concatenate([engine(tiles[n : n + 1]) for n in range(0, 32, 5)])

    assert together.dtype == np.float32
    assert together.shape == (32,)
    assert ((together >= 0) & (together <= 1)).all()
    assert len(set(together.tolist())) > 16  # it tells these tiles apart, so that the comparison means something
    np.testing.assert_allclose(alone, together[::5], atol=1e-5)


def test_a_score_does_not_depend_on_the_neighbours(engine: TorchEngine, tiles: NDArray[np.uint8]) -> None:
    """In another order, in another company: the same probability."""
    np.testing.assert_allclose(engine(tiles[::-1].copy())[::-1][:8], engine(tiles[:8]), atol=1e-5)


def test_in_batches_of_one_size_a_score_is_the_same_to_the_last_bit(
    engine: TorchEngine, tiles: NDArray[np.uint8]
) -> None:
    """Whatever place a tile has and whatever fills the rest: an interrupted run ends with the bits of another."""
    together = engine(tiles)
    order = np.random.default_rng(1).permutation(32)
    assert np.array_equal(engine(tiles[order]), together[order])
    padded = np.concatenate([tiles[:5], np.zeros_like(tiles[5:])])
    assert np.array_equal(engine(padded)[:5], together[:5])
