"""The score of a photo: what its tiles say together, whatever their number."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.models.card import PhotoCalibration
from pipeline.models.photo_score import MOST_EVIDENCE, Floats, log_likelihood_ratio, logits_of, score_photo

INDEPENDENT = PhotoCalibration(evidence=1.0, background=0.0, bias=0.0)
GRIDS = arrays.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(-8, 8))


def test_one_tile_is_the_photo() -> None:
    """Without neighbours the ratio is the tile's odds."""
    assert score_photo(np.array([0.7], np.float32), 1, INDEPENDENT) == pytest.approx(0.7)


def test_a_busy_surface_counts_against_its_highest_tiles() -> None:
    """The same alarm says less where one tile in ten is as high."""
    calm = np.full(100, 0.05, np.float32)
    calm[33] = 0.99
    busy = np.where(np.arange(100) % 6 == 0, np.float32(0.6), calm)
    wary = PhotoCalibration(evidence=1.0, background=-0.2, bias=0.0)
    assert score_photo(busy, 10, wary) < score_photo(calm, 10, wary)
    assert score_photo(busy, 10, INDEPENDENT) > score_photo(calm, 10, INDEPENDENT)


def test_by_hand() -> None:
    """Two tiles with odds 2 and 8: the mean of the single odds is 5, that of the pair 16, and of both 10.5."""
    assert log_likelihood_ratio(np.log([[2.0, 8.0]])) == pytest.approx(math.log(10.5))
    cross = np.log([[1.0, 2.0, 1.0], [3.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    pairs = (2 + 2 + 3 + 1 + 1 + 1) + (3 + 2 + 1 + 3 + 1 + 1) + (1 + 2 + 3 + 1) + (6 + 1 + 1 + 1)
    runs = (2 + 3 + 1) + (3 + 2 + 1) + 1 + 1  # rows, columns, diagonals
    assert log_likelihood_ratio(cross) == pytest.approx(math.log((12 / 9 + pairs / 20 + runs / 8) / 3))


@given(GRIDS)
@settings(deadline=None)
def test_turns_and_mirrors_change_nothing(logits: Floats) -> None:
    """A camera held the other way sees the same cracks."""
    expected = log_likelihood_ratio(logits)
    for turned in (logits.T, logits[::-1], logits[:, ::-1], np.rot90(logits)):
        assert log_likelihood_ratio(turned) == pytest.approx(expected)


@given(GRIDS, st.data())
@settings(deadline=None)
def test_it_rises_with_every_tile(logits: Floats, data: st.DataObject) -> None:
    """More evidence in any tile is never less in the photo."""
    row, col = (data.draw(st.integers(0, side - 1)) for side in logits.shape)
    higher = logits.copy()
    higher[row, col] += 1
    assert log_likelihood_ratio(higher) >= log_likelihood_ratio(logits)


@given(st.integers(1, 20), st.integers(1, 20), st.floats(-3, 3))
@settings(deadline=None)
def test_the_number_of_tiles_alone_says_nothing(rows: int, cols: int, logit: float) -> None:
    """A photo of tiles that say neither has even odds; of sound ones it is as sound as one of them, or more so."""
    assert log_likelihood_ratio(np.zeros((rows, cols))) == pytest.approx(0)
    assert log_likelihood_ratio(np.full((rows, cols), -abs(logit))) <= -abs(logit) + math.log(2)


def test_neighbours_count_more_than_tiles_apart() -> None:
    """The same two alarms say more side by side, in any of eight directions."""
    apart = np.full((10, 12), -5.0)
    apart[1, 1] = apart[7, 8] = 4.0
    ratios = []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        beside = np.full((10, 12), -5.0)
        beside[5, 5] = beside[5 + down, 5 + right] = 4.0
        ratios.append(log_likelihood_ratio(beside))
    assert min(ratios) > log_likelihood_ratio(apart) + 1
    assert max(ratios) < min(ratios) + 0.5


def test_certainty_is_bounded() -> None:
    """Scores of 0 and 1 are finite evidence."""
    assert logits_of(np.array([0, 0.5, 1], np.float32)) == pytest.approx([-MOST_EVIDENCE, 0, MOST_EVIDENCE])
    assert (
        0
        < score_photo(np.zeros(252, np.float32), 14, INDEPENDENT)
        < score_photo(np.ones(252, np.float32), 14, INDEPENDENT)
        <= 1
    )


def test_a_tile_that_shows_nothing_does_not_count() -> None:
    """A window of a raster whose last columns show nothing has the score of a photo without them."""
    scores = np.random.default_rng(3).uniform(0, 1, (5, 4)).astype(np.float32)
    padded = np.full((5, 7), np.nan, np.float32)
    padded[:, :4] = scores
    calibration = PhotoCalibration(1.1, -0.06, -0.57)
    assert score_photo(padded.ravel(), 5, calibration) == pytest.approx(score_photo(scores.ravel(), 5, calibration))
    alone = np.full(9, np.nan, np.float32)
    alone[4] = 0.8
    assert score_photo(alone, 3, calibration) == pytest.approx(score_photo(alone[4:5], 1, calibration))
