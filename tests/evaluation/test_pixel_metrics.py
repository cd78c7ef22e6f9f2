"""Agreement of maps and masks: against torchmetrics, and against what can be worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torchmetrics.functional.classification import binary_average_precision, binary_jaccard_index

from pipeline.evaluation.pixel_metrics import TOLERANCE_PX, MapQuality, PixelCounts, widen

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Grey, Mask]:
    """A map and a mask of one shape; the map knows something of the mask."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (draw(st.integers(1, 25)), draw(st.integers(1, 25)))
    crack = random.random(shape) < draw(st.floats(0.02, 0.6))
    grey = random.integers(0, draw(st.integers(1, 200)), shape) + crack * draw(st.integers(0, 56))
    return grey.astype(np.uint8), crack


def quality(grey: Grey, crack: Mask) -> MapQuality:
    """Of one photo."""
    tally = PixelCounts()
    tally.add(grey, crack)
    found = tally.quality()
    assert found is not None
    return found


def line(column: int) -> Mask:
    """A crack from top to bottom."""
    crack = np.zeros((20, 30), np.bool_)
    crack[:, column] = True
    return crack


@given(pair=pairs())
def test_it_is_what_torchmetrics_says(pair: tuple[Grey, Mask]) -> None:
    """Average precision of all pixels, and IoU at the level that is said to be the best."""
    grey, crack = pair
    assume(crack.any())
    exact = quality(grey, crack).exact
    scores, truth = torch.from_numpy(grey.ravel() / 255), torch.from_numpy(crack.ravel().astype(np.int64))
    assert exact.average_precision == pytest.approx(float(binary_average_precision(scores, truth)), abs=1e-5)
    ious = [
        float(binary_jaccard_index(torch.from_numpy((grey >= level).ravel()).long(), truth)) for level in range(256)
    ]
    assert exact.iou == pytest.approx(max(ious), abs=1e-5)
    assert ious[round(exact.level * 255)] == pytest.approx(exact.iou, abs=1e-5)
    assert exact.iou == pytest.approx(exact.f1 / (2 - exact.f1))


@given(pair=pairs())
def test_tolerance_never_hurts(pair: tuple[Grey, Mask]) -> None:
    """What is right to the pixel is right within two."""
    grey, crack = pair
    assume(crack.any())
    found = quality(grey, crack)
    assert found.tolerant.average_precision >= found.exact.average_precision - 1e-9
    assert found.tolerant.f1 >= found.exact.f1 - 1e-9


@given(first=pairs(), second=pairs())
def test_photos_are_counted_together(first: tuple[Grey, Mask], second: tuple[Grey, Mask]) -> None:
    """Two tallies make what one of all photos makes."""
    one, other, both = PixelCounts(), PixelCounts(), PixelCounts()
    one.add(*first)
    other.add(*second)
    for pair in (first, second):
        both.add(*pair)
    assert (one + other).quality() == both.quality()


def test_a_perfect_map() -> None:
    """Everything is 1, at a level that is the map's own."""
    found = quality(line(7) * np.uint8(200), line(7))
    assert (found.pixels, found.crack_pixels) == (600, 20)
    for agreement in (found.exact, found.tolerant):
        assert agreement.average_precision == agreement.iou == agreement.f1 == 1
        assert agreement.level == pytest.approx(200 / 255)


@pytest.mark.parametrize(("off_px", "found"), [(TOLERANCE_PX, 1.0), (TOLERANCE_PX + 1, 0.0)])
def test_a_map_beside_the_mask(off_px: int, found: float) -> None:
    """Two pixels off is wrong to the pixel and right within the tolerance; three are wrong in both."""
    beside = quality(line(7 + off_px) * np.uint8(255), line(7))
    assert beside.exact.precision == pytest.approx(20 / 600)  # nothing better than to call everything crack
    assert (beside.tolerant.precision == 1) == bool(found)


def test_without_a_crack_there_is_nothing_to_measure() -> None:
    """Neither of no photos nor of sound ones."""
    tally = PixelCounts()
    assert tally.quality() is None
    tally.add(np.full((5, 5), 9, np.uint8), np.zeros((5, 5), np.bool_))
    assert tally.quality() is None


@given(pair=pairs(), by_px=st.integers(0, 4))
def test_widened_is_the_highest_of_the_square_around(pair: tuple[Grey, Mask], by_px: int) -> None:
    """Looked up pixel by pixel."""
    grey, _ = pair
    height, width = grey.shape
    found = widen(grey, by_px)
    for row, col in {(0, 0), (height - 1, width - 1), (height // 2, width // 3)}:
        around = grey[max(0, row - by_px) : row + by_px + 1, max(0, col - by_px) : col + by_px + 1]
        assert found[row, col] == around.max()
