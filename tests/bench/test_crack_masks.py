"""What a mask says of its crack, without the code that finds cracks."""

import numpy as np
import pytest

from tests.bench.crack_drawing import DrawnCrack, find_cover
from tests.bench.crack_masks import compare, measure_mask
from tests.bench.found_cracks import FoundCrack

SIDE_PX = 440


def draw_mask(angle_deg: float, width_px: float) -> tuple[DrawnCrack, np.ndarray]:
    """A straight crack of 300 pixels, and its mask."""
    half = 150 * np.array([np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))])
    crack = DrawnCrack("straight", np.array([-half, half]) + SIDE_PX / 2, np.full(2, width_px), 0.2)
    box, share = find_cover(crack, SIDE_PX, SIDE_PX)
    mask = np.zeros((SIDE_PX, SIDE_PX), bool)
    mask[box] = share >= 0.5
    return crack, mask


@pytest.mark.parametrize("angle_deg", [0, 10, 22.5, 37, 45, 80, 120])
@pytest.mark.parametrize("width_px", [3.0, 7.0])
def test_length_and_width_of_a_straight_crack(angle_deg: float, width_px: float) -> None:
    """At any angle: thinning takes half a width of either end, and steps of pixels are off by a twentieth."""
    line = measure_mask(draw_mask(angle_deg, width_px)[1])
    assert line.length_px == pytest.approx(300 - width_px, rel=0.06)
    assert line.width_px == pytest.approx(width_px, abs=1.5)


def test_finds_on_and_off_the_mask() -> None:
    """All lengths count; a find that is mostly beside the mask is off."""
    crack, mask = draw_mask(30, 5)
    on = FoundCrack([crack.points], 300.0, 4.0)
    off = FoundCrack([crack.points + np.array([0.0, 60.0])], 300.0, None)
    figures = compare(mask, [on, off])
    assert (figures.length_px, figures.width_px, figures.on, figures.off) == (600, 4, 1, 1)
    assert compare(mask, []).width_px is None
