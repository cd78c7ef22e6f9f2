"""Full batches in order, and a network whose scores do not depend on its neighbours."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.engine import TorchEngine, score_in_batches
from pipeline.model import SHIPPED_MODEL, load_model


@settings(deadline=None)
@given(st.lists(st.integers(0, 20)), st.integers(1, 8))
def test_batches_are_full_and_in_order(sizes: list[int], batch_tiles: int) -> None:
    """Chunks of any size become batches of one size; only the last may be smaller, and none is empty."""
    total = sum(sizes)
    numbered = np.arange(total, dtype=np.uint8).reshape(-1, 1, 1, 1) * np.ones((1, 2, 2, 3), np.uint8)
    batches = []

    def engine(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        batches.append(len(tiles))
        return tiles[:, 0, 0, 0].astype(np.float32)

    scores = [*score_in_batches(engine, np.split(numbered, np.cumsum(sizes)[:-1]) if sizes else [], batch_tiles)]

    assert np.concatenate([*scores, np.empty(0)]).tolist() == [number % 256 for number in range(total)]
    assert batches == [batch_tiles] * (total // batch_tiles) + [total % batch_tiles] * (total % batch_tiles > 0)


def test_tiles_are_scored_as_soon_as_a_batch_is_full() -> None:
    """Chunks are taken one by one: no more than a batch of pixels waits."""
    taken = []

    def chunks() -> Iterator[NDArray[np.uint8]]:
        for number in range(10):
            taken.append(number)
            yield np.zeros((2, 2, 2, 3), np.uint8)

    scores = score_in_batches(lambda tiles: np.zeros(len(tiles), np.float32), chunks(), 4)

    next(scores)
    assert len(taken) == 2


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
