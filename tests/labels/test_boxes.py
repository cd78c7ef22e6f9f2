"""Boxes: names and pixels of tiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import DataError
from pipeline.labels.boxes import Box, cut, tile_name

PHOTO = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


def test_names() -> None:
    """The name of a whole file is its URL; a box adds its place as browsers understand it, left before top."""
    assert tile_name("file:///a.jpg", None) == "file:///a.jpg"
    assert tile_name("file:///a.jpg", Box(1, 2, 3, 4)) == "file:///a.jpg#xywh=2,1,4,3"


@given(top=st.integers(0, 5), left=st.integers(0, 7), data=st.data())
def test_cut(top: int, left: int, data: st.DataObject) -> None:
    """A box has the height, the width and the corner that it names."""
    box = Box(top, left, data.draw(st.integers(1, 6 - top)), data.draw(st.integers(1, 8 - left)))
    tile = cut(PHOTO, box)
    assert tile.shape == (box.height_px, box.width_px, 3)
    assert (tile[0, 0] == PHOTO[top, left]).all()


def test_no_box_is_the_whole_photo() -> None:
    """Without a box, `cut` returns the photo itself."""
    assert cut(PHOTO, None) is PHOTO


@pytest.mark.parametrize("box", [Box(0, 0, 7, 8), Box(0, 1, 6, 8), Box(9, 0, 1, 1)])
def test_box_over_the_edge(box: Box) -> None:
    """A box over the edge raises an error and never shrinks."""
    with pytest.raises(DataError, match="The photo is 6 pixels high and 8 wide; the tile ends at"):
        cut(PHOTO, box)
