"""CVAT for images: the example of its documentation, masks, and turned shapes."""

import numpy as np
import pytest

from pipeline.annotations.entries import Size
from pipeline.annotations.shapes import Area, Dot, Frame, Line, Raster, Remark
from tests.helpers.annotation_files import URL, error_of, read_document

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>4</id><name>segmentation</name><mode>annotation</mode></task></meta>
  <image id="0" name="filename000.jpg" width="1600" height="1200">
    <box label="plate" xtl="797.33" ytl="870.92" xbr="965.52" ybr="928.94" occluded="0" z_order="4">
    </box>
    <polygon label="car" points="561.30,916.23;561.30,842.77;554.72,761.63" occluded="0" z_order="1">
    </polygon>
    <polyline label="traffic_line" points="462.10,0.00;126.80,1200.00" occluded="0" z_order="3">
    </polyline>
    <points label="wheel" points="574.90,939.48;1170.16,907.90;1130.69,445.26;600.16,459.48" occluded="0" z_order="5">
    </points>
    <tag label="good_frame" source="manual">
    </tag>
  </image>
</annotations>"""
"""The example of docs.cvat.ai/docs/other/xml_format, its polygon cut to three corners."""


def test_the_example_of_cvat() -> None:
    """Its shapes and its tag are read."""
    (photo,) = read_document(CVAT)
    assert photo.names == ("filename000.jpg",)
    assert photo.size == Size(1200, 1600)
    box, polygon, line, points, tag = photo.shapes
    assert isinstance(box, Frame)
    assert box.corners[[0, 2]].tolist() == [[797.33, 870.92], [965.52, 928.94]]
    assert isinstance(polygon, Area)
    assert isinstance(line, Line)
    assert line.points.tolist() == [[462.1, 0], [126.8, 1200]]
    assert isinstance(points, Dot)
    assert len(points.points) == 4
    assert isinstance(tag, Remark)
    assert [shape.label.names[0] for shape in photo.shapes] == ["plate", "car", "traffic_line", "wheel", "good_frame"]


def image(shape: str) -> str:
    """Return a CVAT export of one photo with one shape."""
    return f'<annotations><image id="0" name="a.jpg" width="60" height="50">{shape}</image></annotations>'


def test_a_mask_of_cvat() -> None:
    """Its runs go along the rows within its box, and begin with background."""
    ((shape,),) = (
        p.shapes for p in read_document(image('<mask label="c" rle="1, 2, 3" left="7" top="4" width="3" height="2"/>'))
    )
    assert isinstance(shape, Raster)
    assert (shape.left_px, shape.top_px) == (7, 4)
    assert shape.runs.decode().tolist() == [[False, True, True], [False, False, False]]


def test_turned_shapes_of_cvat() -> None:
    """They turn clockwise around their centre: a box lying down stands up after 90 degrees, an ellipse, too."""
    ((box,),) = (
        p.shapes for p in read_document(image('<box label="c" xtl="0" ytl="20" xbr="40" ybr="30" rotation="90"/>'))
    )
    assert isinstance(box, Frame)
    assert np.allclose(box.corners, [[25, 5], [25, 45], [15, 45], [15, 5]])
    ellipse = '<ellipse label="c" cx="20" cy="25" rx="20" ry="5" rotation="90"/>'
    ((outline,),) = (p.shapes for p in read_document(image(ellipse)))
    assert isinstance(outline, Area)
    assert np.allclose(np.ptp(outline.rings[0], axis=0), [10, 40])


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        (
            "<cuboid/>",
            "cuboid 0 of image 'a.jpg' of {} has the shape 'cuboid'; expected one of box, polygon, polyline, ",
        ),
        (
            '<box xtl="1"/>',
            "box 0 of image 'a.jpg' of {} has ytl None; expected a number from -1,000,000 to 1,000,000.",
        ),
        (
            '<polygon points="1,2;3,4"/>',
            "polygon 0 of image 'a.jpg' of {} has an outline of 2 points [['1', '2'], ['3', ",
        ),
        (
            '<polygon points="1,2;3;4,5"/>',
            "polygon 0 of image 'a.jpg' of {} has an outline of 2.5 points [['1', '2'], ['3'], ",
        ),
        ('<mask width="2" height="2" rle="1,x"/>', "mask 0 of image 'a.jpg' of {} has the run length 'x'; expected a "),
    ],
)
def test_wrong_shapes_of_cvat(shape: str, told: str) -> None:
    """Each is named, with its photo."""
    assert error_of(image(shape)).startswith(told.format(URL))


def test_photos_of_one_name_in_two_subsets() -> None:
    """A project's photos lie in folders of their subsets; a name that is there once needs none."""
    image = '<image name="{}" subset="{}" width="9" height="9"/>'
    pairs = (("a.jpg", "Train"), ("a.jpg", "Test"), ("b.jpg", "Train"))
    photos = read_document(f"<annotations>{''.join(image.format(*pair) for pair in pairs)}</annotations>")
    assert [photo.names for photo in photos] == [("Train/a.jpg",), ("Test/a.jpg",), ("b.jpg",)]
