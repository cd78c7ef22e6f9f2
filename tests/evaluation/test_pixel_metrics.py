"""Agreement of maps and masks: compared with torchmetrics and with results by hand."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_average_precision, binary_jaccard_index

from pipeline.evaluation.pixel_metrics import TOLERANCE_PX, MapQuality, PixelCounts, dilate
from pipeline.labels.mask_files import Mask
from pipeline.models.crack_maps import Grey


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Grey, Mask]:
    """Draw a map and a mask of one shape that correlate."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (draw(st.integers(1, 25)), draw(st.integers(1, 25)))
    crack = random.random(shape) < draw(st.floats(0.02, 0.6))
    grey = random.integers(0, draw(st.integers(1, 200)), shape) + crack * draw(st.integers(0, 56))
    return grey.astype(np.uint8), crack


def quality(grey: Grey, crack: Mask) -> MapQuality:
    """Return the quality of the map of one photo."""
    counts = PixelCounts()
    counts.add(grey, crack)
    found = counts.measure()
    assert found is not None
    return found


def line(column: int) -> Mask:
    """Return a crack from top to bottom."""
    crack = np.zeros((20, 30), np.bool_)
    crack[:, column] = True
    return crack


@given(pair=pairs())
def test_measures_are_those_of_torchmetrics(pair: tuple[Grey, Mask]) -> None:
    """Average precision of all pixels, and IoU at the best level."""
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
    """A pixel that is right exactly is right within two pixels, so the best F1 is no lower.

    The average precision can be: recall that comes at a higher level counts with the precision there.
    """
    grey, crack = pair
    assume(crack.any())
    found = quality(grey, crack)
    assert found.tolerant.f1 >= found.exact.f1 - 1e-9


@given(first=pairs(), second=pairs())
def test_photos_are_counted_together(first: tuple[Grey, Mask], second: tuple[Grey, Mask]) -> None:
    """The sum of two counts equals one count of all photos."""
    one, other, both = PixelCounts(), PixelCounts(), PixelCounts()
    one.add(*first)
    other.add(*second)
    for pair in (first, second):
        both.add(*pair)
    assert (one + other).measure() == both.measure()


def test_a_perfect_map() -> None:
    """Every measure is 1, at the level of the map."""
    found = quality(line(7) * np.uint8(200), line(7))
    assert (found.pixels, found.crack_pixels) == (600, 20)
    for agreement in (found.exact, found.tolerant):
        assert agreement.average_precision == agreement.iou == agreement.f1 == 1
        assert agreement.level == pytest.approx(200 / 255)


@pytest.mark.parametrize(("off_px", "found"), [(TOLERANCE_PX, 1.0), (TOLERANCE_PX + 1, 0.0)])
def test_a_map_beside_the_mask(off_px: int, found: float) -> None:
    """Two pixels off is wrong exactly and right within the tolerance; three pixels off is wrong in both."""
    beside = quality(line(7 + off_px) * np.uint8(255), line(7))
    assert beside.exact.precision == pytest.approx(20 / 600)  # nothing better than to call everything crack
    assert (beside.tolerant.precision == 1) == bool(found)


def test_without_a_crack_there_is_nothing_to_measure() -> None:
    """Neither without photos nor with sound ones."""
    counts = PixelCounts()
    assert counts.measure() is None
    counts.add(np.full((5, 5), 9, np.uint8), np.zeros((5, 5), np.bool_))
    assert counts.measure() is None


@given(pair=pairs(), by_px=st.integers(0, 4))
def test_dilation_takes_the_highest_of_the_square_around(pair: tuple[Grey, Mask], by_px: int) -> None:
    """Compared pixel by pixel."""
    grey, _ = pair
    height, width = grey.shape
    found = dilate(grey, by_px)
    for row, col in {(0, 0), (height - 1, width - 1), (height // 2, width // 3)}:
        around = grey[max(0, row - by_px) : row + by_px + 1, max(0, col - by_px) : col + by_px + 1]
        assert found[row, col] == around.max()
