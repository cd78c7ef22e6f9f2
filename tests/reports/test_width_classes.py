"""Classes of crack widths: bounds, units and colours."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.reports.width_classes import ALL_CLASSES, MM_CLASSES, PX_CLASSES, UNKNOWN, classify


@pytest.mark.parametrize(
    ("width_px", "width_mm", "label"),
    [
        (1.0, 0.0999, "under 0.1 mm"),
        (1.0, 0.1, "0.1 to 0.2 mm"),
        (1.0, 0.3, "0.3 to 0.5 mm"),
        (1.0, 1.0, "1.0 mm and over"),
        (1.99, None, "under 2 px"),
        (4.0, None, "4 to 8 px"),
        (80.0, None, "8 px and over"),
        (None, None, "width unknown"),
    ],
)
def test_a_width_belongs_to_the_class_that_begins_at_or_below_it(
    width_px: float | None, width_mm: float | None, label: str
) -> None:
    """Millimetres count before pixels."""
    assert classify(width_px, width_mm).label == label


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=9).map(sorted))
def test_wider_cracks_are_in_no_lower_class(widths: list[float]) -> None:
    """In both units; a known width has a class."""
    for classes, found in (
        (MM_CLASSES, [classify(1, w) for w in widths]),
        (PX_CLASSES, [classify(w, None) for w in widths]),
    ):
        numbers = [classes.index(one) for one in found]
        assert numbers == sorted(numbers)


def test_names_and_colours_fit_files_and_eyes() -> None:
    """Keys are unique and plain; within a unit, wider is lighter, and no class has the colour of unknown widths."""
    assert len({one.key for one in ALL_CLASSES}) == len(ALL_CLASSES)
    assert all(re.fullmatch(r"[a-z0-9.-]+", one.key) for one in ALL_CLASSES)
    for classes in (MM_CLASSES, PX_CLASSES):
        lightness = [_luma(one.colour) for one in classes]
        assert lightness == sorted(lightness)
        assert all(later - sooner > 10 for sooner, later in pairwise(lightness))
        assert UNKNOWN.colour not in {one.colour for one in classes}


def _luma(colour: str) -> float:
    red, green, blue = bytes.fromhex(colour[1:])
    return 0.299 * red + 0.587 * green + 0.114 * blue
