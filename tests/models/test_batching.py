"""Batches are full and in order."""

from collections.abc import Iterator

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.models.batching import score_in_batches


@settings(deadline=None)
@given(st.lists(st.integers(0, 20)), st.integers(1, 8))
def test_batches_are_full_and_in_order(sizes: list[int], batch_tiles: int) -> None:
    """Chunks of any size become batches of one size; scores come in order, without those of the filling."""
    total = sum(sizes)
    numbered = np.arange(total, dtype=np.uint8).reshape(-1, 1, 1, 1) * np.ones((1, 2, 2, 3), np.uint8)
    batches = []

    def engine(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        batches.append(len(tiles))
        return np.repeat(tiles[:, 0, 0, :1].astype(np.float32), 2, axis=1)

    scores = [*score_in_batches(engine, np.split(numbered, np.cumsum(sizes)[:-1]) if sizes else [], batch_tiles)]

    assert np.concatenate([*scores, np.empty((0, 2))]).tolist() == [[number % 256] * 2 for number in range(total)]
    assert batches == [batch_tiles] * -(-total // batch_tiles)


def test_tiles_are_scored_as_soon_as_a_batch_is_full() -> None:
    """Scoring takes chunks one by one, so that no more than one batch of pixels waits."""
    taken = []

    def chunks() -> Iterator[NDArray[np.uint8]]:
        for number in range(10):
            taken.append(number)
            yield np.zeros((2, 2, 2, 3), np.uint8)

    scores = score_in_batches(lambda tiles: np.zeros((len(tiles), 2), np.float32), chunks(), 4)

    next(scores)
    assert len(taken) == 2
