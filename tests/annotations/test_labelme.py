"""labelme: its own example, and what older and newer versions write."""

import numpy as np
import pytest

from pipeline.annotations.entries import Size
from pipeline.annotations.shapes import Area, Dot, Frame, Line, Remark
from tests.helpers.annotation_files import URL, error_of, read_document

PRIMITIVES: dict[str, object] = {
    "version": "4.0.0",
    "flags": {},
    "shapes": [
        {"label": "rectangle", "points": [[32.0, 35.0], [132.0, 135.0]], "shape_type": "rectangle"},
        {"label": "circle", "points": [[195.0, 84.0], [225.0, 125.0]], "shape_type": "circle"},
        {
            "label": "polygon",
            "points": [[69.0, 318.0], [45.0, 403.0], [173.0, 406.0], [198.0, 321.0]],
            "shape_type": "polygon",
        },
        {"label": "line", "points": [[188.0, 178.0], [160.0, 224.0]], "shape_type": "line"},
        {"label": "point", "points": [[345.0, 174.0]], "shape_type": "point"},
        {"label": "line_strip", "points": [[440.5, 181.5], [402.5, 274.5], [544.5, 275.5]], "shape_type": "linestrip"},
    ],
    "imagePath": "primitives.jpg",
    "imageData": None,
    "imageHeight": 450,
    "imageWidth": 560,
}
"""examples/primitives/primitives.json of github.com/wkentaro/labelme, rounded."""


def test_the_example_of_labelme() -> None:
    """Its primitives are read; the circle's second point is on its edge."""
    (photo,) = read_document(PRIMITIVES)
    assert photo.names == ("primitives.jpg", "a1.*")
    assert photo.size == Size(450, 560)
    rectangle, circle, polygon, line, point, strip = photo.shapes
    assert isinstance(rectangle, Frame)
    assert rectangle.corners.tolist() == [[32, 35], [132, 35], [132, 135], [32, 135]]
    assert isinstance(circle, Area)
    assert np.allclose(np.linalg.norm(circle.rings[0] - [195, 84], axis=1), np.hypot(30, 41))
    assert isinstance(polygon, Area)
    assert isinstance(line, Line)
    assert isinstance(point, Dot)
    assert isinstance(strip, Line)
    assert strip.points.shape == (3, 2)


@pytest.mark.parametrize("kind", [None, "polygon"])
def test_polygons_of_old_labelme(kind: str | None) -> None:
    """Before 3.9, a shape had no type."""
    shape = {"label": "crack", "points": [[1, 1], [9, 2], [5, 7]], "shape_type": kind}
    ((found,),) = (photo.shapes for photo in read_document({"shapes": [shape], "imagePath": "a.jpg"}))
    assert isinstance(found, Area)


def test_flags_of_labelme() -> None:
    """A flag that is set is a word about the whole photo: examples/classification/data_annotated/0001.json."""
    (photo,) = read_document({"flags": {"cat": True, "dog": False}, "shapes": [], "imagePath": "0001.jpg"})
    assert [(type(shape), shape.label.names) for shape in photo.shapes] == [(Remark, ("cat",))]


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ({"shape_type": "star"}, "has shape_type 'star'; expected one of polygon, rectangle, oriented_rectangle, "),
        ({"points": [[1, 1], [2, 2]]}, "has an outline of 2 points [[1, 1], [2, 2]]; expected pairs of x and y, 3 to"),
        ({"shape_type": "circle", "points": [[1, 1]] * 3}, "has points 3; expected at most 2 of a circle."),
        ({"shape_type": "circle", "points": [[1, 1]] * 2}, "has the radii (0.0, 0.0); expected two numbers over 0."),
        (
            {"shape_type": "rectangle", "points": [[1, 1]] * 2},
            "has the box (1.0, 1.0, 1.0, 1.0); expected left < right",
        ),
        ({"shape_type": "mask", "points": [[1, 1]], "mask": "!"}, "has mask '!'; expected a picture in base64 (Only "),
        ({"shape_type": "mask", "points": [[1, 1]]}, "has mask None; expected a text."),
        ({"label": None}, "has label None; expected a text."),
    ],
)
def test_wrong_shapes_of_labelme(shape: dict[str, object], told: str) -> None:
    """Each is named."""
    whole = {"label": "crack", "points": [[1, 1], [9, 2], [5, 7]], "shape_type": "polygon", **shape}
    assert error_of({"shapes": [whole], "imagePath": "a.jpg"}).startswith(f"shape 0 of {URL} {told}")
