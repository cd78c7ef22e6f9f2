"""Shapes as pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.annotations.entries import Entry, Size
from pipeline.annotations.rle import encode
from pipeline.annotations.shapes import (
    Area,
    Dot,
    Frame,
    Label,
    Line,
    Raster,
    Remark,
    Shape,
    area,
    check_inside,
    clip_upright,
    draw,
    ellipse,
    frame,
    scale,
    turn,
)
from pipeline.core.errors import UsageError

LABEL = Label(("crack",), Entry("file:///a.json", "shape 1"))
SIZE = Size(30, 40)
COORDINATES = st.floats(-60, 60)
POINTS = st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=8).map(np.array)


@given(ring=POINTS)
def test_an_outline_is_drawn_within_its_bounds(ring: np.ndarray) -> None:
    """No pixel is drawn beyond the corners, nor beside the photo; every corner on the photo is drawn."""
    mask = draw([Area(LABEL, (ring,))], SIZE)
    assert mask.shape == SIZE
    rows, columns = np.nonzero(mask)
    if len(rows):
        assert (np.floor(ring.min(axis=0)) <= [columns.min(), rows.min()]).all()
        assert ([columns.max(), rows.max()] <= np.ceil(ring.max(axis=0))).all()


@given(points=POINTS)
def test_a_line_is_thin(points: np.ndarray) -> None:
    """No pixel is farther from the line's box than its width; a line over the photo leaves a mark."""
    rows, columns = np.nonzero(draw([Line(LABEL, points)], SIZE))
    if len(rows):
        assert (points.min(axis=0) - 3 <= [columns.min(), rows.min()]).all()
        assert ([columns.max(), rows.max()] <= points.max(axis=0) + 3).all()
    crossing = np.array([(0, 15), (40, 15)], np.float64)
    assert (draw([Line(LABEL, crossing)], SIZE).sum(axis=0) == 3).all()


@given(left=st.floats(-9, 38), top=st.floats(-9, 28), width=st.floats(0.01, 60), height=st.floats(0.01, 60))
def test_a_box_covers_every_pixel_that_it_touches(left: float, top: float, width: float, height: float) -> None:
    """And no other: pixel 3 reaches from 3 to 4."""
    right, bottom = left + width, top + height
    mask = draw([frame(LABEL, left, top, right, bottom)], SIZE)
    rows, columns = np.mgrid[:30, :40]
    assert (mask == ((columns + 1 > left) & (columns < right) & (rows + 1 > top) & (rows < bottom))).all()


@given(top=st.integers(-20, 29), left=st.integers(-20, 39))
def test_a_mask_is_cut_off_at_the_edge(top: int, left: int) -> None:
    """A mask that reaches over the photo is drawn where the photo is."""
    part = np.arange(21 * 21).reshape(21, 21) % 3 == 0
    raster = Raster(LABEL, top, left, encode(part), whole_photo=False)
    whole = np.zeros((100, 100), np.bool_)
    whole[30 + top : 51 + top, 30 + left : 51 + left] = part
    assert (draw([raster], SIZE) == whole[30:60, 30:70]).all()


def test_shapes_are_drawn_together() -> None:
    """What any shape covers is covered; dots are pixels, and words about the photo are none."""
    dots = Dot(LABEL, np.array([(3.7, 4.2), (39.5, 29.9)]))
    mask = draw([dots, Remark(LABEL), frame(LABEL, 10, 10, 12, 12)], SIZE)
    assert sorted(zip(*map(list, np.nonzero(mask)), strict=True)) == [
        (4, 3),
        (10, 10),
        (10, 11),
        (11, 10),
        (11, 11),
        (29, 39),
    ]


def test_a_polygon_that_is_a_box() -> None:
    """Four corners with parallel sides, closed or not, are a box; others are an area."""
    square = np.array([(1, 1), (9, 1), (9, 5), (1, 5)], np.float64)
    leaning = turn(square, (5, 3), 30)
    for ring in (square, leaning, np.concatenate([leaning, leaning[:1]])):
        assert isinstance(area(LABEL, ring), Frame)
    bent = np.array([(1, 1), (9, 1), (9.1, 5), (1, 5)], np.float64)
    for ring in (square[:3], bent, np.concatenate([square, np.array([(0.0, 3.0)])])):
        assert isinstance(area(LABEL, ring), Area)


@given(degrees=st.floats(-720, 720))
def test_turning(degrees: float) -> None:
    """Distances stay, a turn back undoes a turn, and a quarter turn takes right to down."""
    points = np.array([(3, 4), (-5, 6)], np.float64)
    turned = turn(points, (1, 2), degrees)
    assert np.allclose(np.linalg.norm(turned - [1, 2], axis=1), np.linalg.norm(points - [1, 2], axis=1))
    assert np.allclose(turn(turned, (1, 2), -degrees), points)
    assert np.allclose(turn(np.array([(1.0, 0.0)]), (0, 0), 90), [(0, 1)])


def test_an_ellipse() -> None:
    """Its outline is within a pixel of the area."""
    found = draw([ellipse(LABEL, (20, 15), (18, 7), 0)], SIZE)
    rows, columns = np.mgrid[:30, :40]
    distance = np.hypot((columns - 20) / 18, (rows - 15) / 7)
    assert found[distance < 0.9].all()
    assert not found[distance > 1.15].any()


def test_parts_become_pixels() -> None:
    """Coordinates are multiplied, x by the width; masks and words stay."""
    points = np.array([(0.5, 0.5), (1, 1), (0, 1)])
    for shape in (Area(LABEL, (points,)), Line(LABEL, points), Dot(LABEL, points)):
        scaled = scale(shape, (40, 30))
        assert isinstance(scaled, Area | Line | Dot)
        found = scaled.rings[0] if isinstance(scaled, Area) else scaled.points
        assert found.tolist() == [[20, 15], [40, 30], [0, 30]]
    scaled = scale(frame(LABEL, 0, 0, 0.5, 0.5), (40, 30))
    assert isinstance(scaled, Frame)
    assert scaled.corners[2].tolist() == [20, 15]
    assert scale(Remark(LABEL), (2, 2)) == Remark(LABEL)


def test_boxes_end_with_the_photo() -> None:
    """An upright box is cut off at the edge; a turned one is left as it is."""
    assert clip_upright(frame(LABEL, -5, 3, 99, 20), SIZE).corners.tolist() == [[0, 3], [40, 3], [40, 20], [0, 20]]
    turned = Frame(LABEL, turn(frame(LABEL, -5, 3, 99, 20).corners, (0, 0), 10))
    assert clip_upright(turned, SIZE) is turned


RUNS = encode(np.ones((5, 6), np.bool_))
ENDS = "Correct or remove the entry, or export the annotations again."


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (frame(LABEL, -9, -9, 0, 5), "Frame"),
        (frame(LABEL, 40, 0, 45, 5), "Frame"),
        (Area(LABEL, (np.array([(50, 1), (60, 1), (60, 9)]),)), "Area"),
        (Line(LABEL, np.array([(-5, 1), (-1, 9)])), "Line"),
        (Dot(LABEL, np.array([(5, 31)])), "Dot"),
        (Raster(LABEL, 30, 0, RUNS, whole_photo=False), "Raster"),
        (Raster(LABEL, 0, -6, RUNS, whole_photo=False), "Raster"),
    ],
)
def test_shapes_beside_the_photo(shape: Shape, kind: str) -> None:
    """A shape of which nothing is on its photo belongs to another photo."""
    with pytest.raises(UsageError) as error:
        check_inside(shape, SIZE)
    assert str(error.value) == (
        f"shape 1 of file:///a.json has a place outside of its photo {kind!r}; expected some of it on the photo, which "
        f"is 30 pixels high and 40 wide. {ENDS}"
    )


@pytest.mark.parametrize(
    "shape",
    [
        frame(LABEL, -9, -9, 0.5, 5),
        frame(LABEL, 39.5, 29.5, 45, 50),
        Dot(LABEL, np.array([(40, 30)])),
        Raster(LABEL, 29, -5, RUNS, whole_photo=False),
        Remark(LABEL),
    ],
)
def test_shapes_partly_on_the_photo(shape: Shape) -> None:
    """One pixel is enough, and a point may lie on the edge."""
    assert not _is_refused(shape)


def _is_refused(shape: Shape) -> bool:
    try:
        check_inside(shape, SIZE)
    except UsageError:
        return True
    return False


def test_masks_and_coordinates_of_other_photos() -> None:
    """A mask of a whole photo has its size, and no coordinate is far beyond every photo."""
    with pytest.raises(UsageError, match=r"has a mask \(5, 6\); expected the size of its photo: 30 pixels high and 40"):
        check_inside(Raster(LABEL, 0, 0, RUNS, whole_photo=True), SIZE)
    with pytest.raises(UsageError, match=r"has a coordinate 2000000.0; expected pixels of a photo: 30 pixels high"):
        check_inside(frame(LABEL, 0, 0, 2e6, 5), SIZE)


@pytest.mark.parametrize("sides", [(5, 5, 5, 9), (5, 5, 9, 5), (9, 5, 5, 9)])
def test_a_box_has_an_extent(sides: tuple[float, float, float, float]) -> None:
    """One without is a slip of the mouse."""
    with pytest.raises(UsageError, match=r"expected left < right and top < bottom\."):
        frame(LABEL, *sides)
