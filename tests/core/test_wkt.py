"""Lines as text, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.wkt import format_lines, parse_lines

POINTS = st.lists(st.tuples(st.integers(0, 99_999), st.integers(0, 99_999)), min_size=2, max_size=9)


@given(st.lists(POINTS, min_size=1, max_size=4))
def test_lines_come_back_from_their_text(tenths: list[list[tuple[int, int]]]) -> None:
    """To the tenth of a pixel."""
    lines = [np.array(points) / 10 for points in tenths]
    found = parse_lines(format_lines(lines))
    assert [line.tolist() for line in found] == [line.tolist() for line in lines]


def test_the_text_is_well_known() -> None:
    """As every spatial library reads it."""
    assert format_lines([np.array([[1, 2.25], [3, 4]])]) == "MULTILINESTRING ((1.0 2.2, 3.0 4.0))"


def test_other_geometries_are_refused() -> None:
    """By what they are."""
    with pytest.raises(ValueError, match=r"'POINT \(1 2\)' is no MULTILINESTRING"):
        parse_lines("POINT (1 2)")
