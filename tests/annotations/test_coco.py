"""COCO instances: the example of its documentation, and what tools make of it."""

import pytest

from pipeline.annotations.entries import Size
from pipeline.annotations.shapes import Area, Frame
from tests.helpers.annotation_files import URL, error_of, read_document

ENDS = "Correct or remove the entry, or export the annotations again."


def test_the_example_of_coco() -> None:
    """The photo and the annotation that cocodataset.org shows for val2017 (id 1768), cut to three corners."""
    image = {
        "license": 4,
        "file_name": "000000289343.jpg",
        "coco_url": "http://images.cocodataset.org/val2017/000000289343.jpg",
        "height": 640,
        "width": 529,
        "date_captured": "2013-11-15 00:35:14",
        "id": 289343,
    }
    annotation = {
        "segmentation": [[510.66, 423.01, 511.72, 420.03, 510.45, 423.01]],
        "area": 702.1057499999998,
        "iscrowd": 0,
        "image_id": 289343,
        "bbox": [473.07, 395.93, 38.65, 28.67],
        "category_id": 18,
        "id": 1768,
    }
    category = {"supercategory": "animal", "id": 18, "name": "dog"}
    (photo,) = read_document({"info": {}, "images": [image], "annotations": [annotation], "categories": [category]})
    assert photo.names == ("000000289343.jpg",)
    assert photo.size == Size(640, 529)
    (shape,) = photo.shapes
    assert isinstance(shape, Area)
    assert shape.label.names == ("dog", "animal")
    assert shape.rings[0].tolist() == [[510.66, 423.01], [511.72, 420.03], [510.45, 423.01]]


def instances(**changes: object) -> dict[str, object]:
    """Return COCO instances with one box."""
    return {
        "images": [{"id": 1, "file_name": "a.png", "width": 10, "height": 8}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], **changes}],
        "categories": [{"id": 1, "name": "crack"}],
    }


def test_boxes_of_coco() -> None:
    """A box alone is a box; so is an outline that is one, as exporters write them; a photo may be of nothing."""
    for segmentation in (
        [],
        None,
        [[1, 2, 4, 2, 4, 6, 1, 6]],
        [[1, 2, 4, 2, 4, 6, 1, 6, 1, 2]],
        [1, 2, 4, 2, 4, 6, 1, 6],
    ):
        ((shape,),) = (photo.shapes for photo in read_document(instances(segmentation=segmentation)))
        assert isinstance(shape, Frame)
        assert shape.corners.tolist() == [[1, 2], [4, 2], [4, 6], [1, 6]]
    assert [photo.shapes for photo in read_document({**instances(), "annotations": []})] == [()]


def test_specks_of_coco() -> None:
    """Contour finders leave parts of one or two points, which belong to the outline."""
    ((shape,),) = (
        photo.shapes for photo in read_document(instances(segmentation=[[1, 1, 5, 1, 5, 5], [7, 7], [8, 1, 9, 2]]))
    )
    assert isinstance(shape, Area)
    assert [len(ring) for ring in shape.rings] == [3, 1, 2]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            instances(bbox=[1, 2, -3, 4]),
            "annotation 0 of {} has the box (1.0, 2.0, -2.0, 6.0); expected left < right and",
        ),
        (instances(bbox=[1, 2, 3]), "annotation 0 of {} has bbox [1, 2, 3]; expected left, top, width and height."),
        (instances(bbox=None), "annotation 0 of {} has neither segmentation nor bbox, but None; expected a list."),
        (
            instances(bbox=[1, 2, float("nan"), 4]),
            "annotation 0 of {} has bbox nan; expected a number from -1,000,000 to",
        ),
        (instances(image_id=9), "annotation 0 of {} has image_id 9; expected an id that images lists."),
        (instances(category_id=9), "annotation 0 of {} has category_id 9; expected an id that categories lists."),
        (
            instances(segmentation=[[1, 1, 5]]),
            "annotation 0 of {} has an outline of 1.5 points [1, 1, 5]; expected pairs",
        ),
        (
            instances(segmentation=[[1, 1, 5, 5]]),
            "annotation 0 of {} has segmentation [[1, 1, 5, 5]]; expected an outline",
        ),
        (
            instances(segmentation={"size": [9, 10], "counts": [90]}),
            "annotation 0 of {} has a mask (9, 10); expected the",
        ),
        ({**instances(), "categories": None}, "{} has categories None; expected a list."),
        ({**instances(), "annotations": None}, "{} has annotations None; expected a list."),
        (
            {**instances(), "images": [{"id": 1}, {"id": 1}]},
            "entry 1 of images of {} has id 1; expected an id of its own.",
        ),
        ({**instances(), "images": [{"id": 1}]}, "entry 0 of images of {} has file_name None; expected a text."),
        (
            {**instances(), "images": [{"id": True}]},
            "entry 0 of images of {} has id True; expected a whole number or a",
        ),
    ],
)
def test_wrong_entries_of_coco(content: object, told: str) -> None:
    """Each is named with its file, what was found and what was expected."""
    assert error_of(content).startswith(told.format(URL))
    assert error_of(content).endswith(ENDS)
