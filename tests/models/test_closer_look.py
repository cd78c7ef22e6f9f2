"""A second look at tiles that may be cracked: which tiles get one, how large, and what it changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.images.decode import Pixels
from pipeline.models.card import Places
from pipeline.models.closer_look import choose_places, count_highest, enlarge_tiles, join_places

FROM_LOGIT = -1.0


def grey_tiles(greys: list[int]) -> Pixels:
    """Draw tiles of one grey each."""
    return np.stack([np.full((7, 7, 3), grey, np.uint8) for grey in greys])


@given(
    st.lists(st.tuples(st.floats(-4, 4, width=32), st.integers(0, 255)), min_size=1, max_size=12),
    st.integers(1, 5),
    st.sampled_from([None, 10]),
    st.sampled_from([None, 1.5]),
)
def test_only_doubtful_tiles_get_a_second_look(
    found: list[tuple[float, int]], at_once: int, side_px: int | None, to_logit: float | None
) -> None:
    """Their logits meet the pooled ones half-way, and `pool` always gets the same number of pictures."""
    logits = np.array([logit for logit, _ in found], np.float32)
    tiles = grey_tiles([grey for _, grey in found])
    shapes = []

    def pool(pictures: Pixels) -> NDArray[np.float32]:
        shapes.append(pictures.shape)
        means: NDArray[np.float32] = pictures.mean(axis=(1, 2, 3), dtype=np.float32)
        return means

    joined = logits.copy()
    join_places(joined, tiles, Places(0.5, FROM_LOGIT, to_logit, side_px), pool, at_once)
    doubtful = (logits >= FROM_LOGIT) & (logits < (to_logit or np.inf))
    expected = np.where(doubtful, (logits + tiles[:, 0, 0, 0]) / 2, logits)
    assert joined == pytest.approx(expected, rel=1e-5)
    assert shapes == [(at_once, side_px or 7, side_px or 7, 3)] * -(-int(doubtful.sum()) // at_once)


def test_pictures_are_as_large_as_the_card_says() -> None:
    """A flat tile stays as grey as it was, and none is made smaller; without a side, tiles are not copied."""
    tiles = grey_tiles([3, 200])
    enlarged = enlarge_tiles(tiles, Places(side_px=10))
    assert enlarged.shape == (2, 10, 10, 3)
    assert enlarged[:, 4, 4, 0].tolist() == [3, 200]
    assert enlarge_tiles(tiles, Places(side_px=5)).shape == tiles.shape
    assert enlarge_tiles(tiles, Places()) is tiles
    assert enlarge_tiles(tiles, None) is tiles


def test_new_models_look_at_whole_steps_of_the_deepest_stage() -> None:
    """224 px become 320; a hundredth of the places are the highest ones, and at least one."""
    assert [choose_places(side).side_px for side in (160, 224, 300)] == [224, 320, 416]
    assert [count_highest(places) for places in (1, 49, 160 * 160)] == [1, 1, 256]
