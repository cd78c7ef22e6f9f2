"""Label Studio: the example of its documentation, and regions of several results."""

import numpy as np
import pytest

from pipeline.annotations.shapes import Area, Frame, Remark
from tests.helpers.annotation_files import URL, error_of, read_document

MOONWALKER = {
    "id": 1,
    "project": 83,
    "data": {"image": "https://example.com/opensource/label-studio/1.jpg"},
    "annotations": [
        {
            "id": "1001",
            "result": [
                {
                    "from_name": "tag",
                    "id": "Dx_aB91ISN",
                    "source": "$image",
                    "to_name": "img",
                    "type": "rectanglelabels",
                    "value": {
                        "height": 10.458911419423693,
                        "rectanglelabels": ["Moonwalker"],
                        "rotation": 0,
                        "width": 12.4,
                        "x": 50.8,
                        "y": 5.869797225186766,
                    },
                }
            ],
            "was_cancelled": False,
        }
    ],
    "predictions": [{"result": [{"id": "t5", "type": "rectanglelabels", "value": {"x": 1}}]}],
}
"""The task of labelstud.io/guide/task_format, with one of its predictions."""


def test_the_example_of_label_studio() -> None:
    """Its box is in parts of the photo; predictions are nobody's word."""
    (photo,) = read_document([MOONWALKER])
    assert photo.names == ("/opensource/label-studio/1.jpg",)
    assert photo.size is None
    assert photo.relative
    (box,) = photo.shapes
    assert isinstance(box, Frame)
    assert box.label.names == ("Moonwalker",)
    assert np.allclose(box.corners[[0, 2]], [[0.508, 0.05869797], [0.632, 0.16328709]])


def task(*results: dict[str, object], image: str = "a.jpg", **annotation: object) -> list[object]:
    """Return a Label Studio export of one task."""
    sized = [{"original_width": 200, "original_height": 100, "image_rotation": 0, **result} for result in results]
    return [{"data": {"image": image}, "annotations": [{"result": sized, **annotation}]}]


def test_turned_boxes_of_label_studio() -> None:
    """They turn clockwise around their upper left corner, in pixels."""
    value = {"x": 50, "y": 20, "width": 20, "height": 10, "rotation": 90, "rectanglelabels": ["crack"]}
    ((box,),) = (photo.shapes for photo in read_document(task({"value": value})))
    assert isinstance(box, Frame)
    assert np.allclose(box.corners * [200, 100], [[100, 20], [100, 60], [90, 60], [90, 20]])


def test_results_of_one_region() -> None:
    """An outline without a label takes the labels and the choices of the results with its id."""
    points = [[1, 1], [50, 1], [1, 50]]
    results: list[dict[str, object]] = [
        {"id": "a", "type": "polygon", "value": {"points": points}},
        {"id": "a", "type": "labels", "value": {"points": points, "labels": ["crack"]}},
        {"id": "a", "type": "choices", "value": {"points": points, "choices": ["wide"]}},
        {"id": "b", "type": "choices", "value": {"choices": ["wet", "checked"]}},
        {"id": "c", "type": "textarea", "value": {"text": ["a note"]}},
        {"type": "relation", "from_id": "a", "to_id": "b"},
    ]
    ((area, *words),) = (photo.shapes for photo in read_document(task(*results)))
    assert isinstance(area, Area)
    assert area.label.names == ("crack", "wide")
    names = [("wet",), ("checked",), ("text",)]
    assert [(type(word), word.label.names) for word in words] == [(Remark, name) for name in names]


@pytest.mark.parametrize(
    ("image", "names"),
    [
        (
            "/data/upload/1/0a1b2c3d-my%20photo.jpg",
            ("/data/upload/1/0a1b2c3d-my photo.jpg", "/data/upload/1/my photo.jpg"),
        ),
        ("/data/local-files/?d=bridge/7%2F1.jpg", ("bridge/7/1.jpg",)),
        ("https://example.com/a/1.jpg?token=x", ("/a/1.jpg",)),
        ("s3://bucket/a/1.jpg", ("/a/1.jpg",)),
        ("upload/0a1b2c3d-50%.jpg", ("upload/0a1b2c3d-50%.jpg", "upload/50%.jpg")),
    ],
)
def test_photos_of_label_studio(image: str, names: tuple[str, ...]) -> None:
    """An upload adds eight digits to a name; local files stand behind `?d=`."""
    (photo,) = read_document(task(image=image))
    assert photo.names == names


def test_who_finished_what_in_label_studio() -> None:
    """An empty result is a photo without anything; cancelled annotations and open tasks are none."""
    assert [photo.shapes for photo in read_document(task())] == [()]
    assert read_document(task(was_cancelled=True)) == []
    assert read_document([{"data": {"image": "a.jpg"}, "annotations": []}]) == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            task({"value": {"x": 1, "y": 1, "width": 5, "height": 5}, "image_rotation": 90}),
            "result 0 of annotation 0 of task 0 of {} has image_rotation 90; expected 0: label the",
        ),
        (
            task({"value": {"start": 1, "labels": ["crack"]}}),
            "result 0 of annotation 0 of task 0 of {} has a labelled region with ['start', 'labels']; expected points,",
        ),
        (
            task({"value": {"rle": [1], "format": "png"}}),
            "result 0 of annotation 0 of task 0 of {} has a painted mask of the format 'png'; expected rle, and the",
        ),
        (
            task({"value": {"points": [[1, 1]]}}, {"value": {"points": [[1, 1]]}, "original_width": 201}),
            "task 0 of {} has photos of several sizes [(100, 200), (100, 201)]; expected one.",
        ),
        (
            [{"data": {"text": "a"}, "annotations": [{"result": []}]}],
            "task 0 of {} has data.image None; expected a text.",
        ),
        (
            [{"data": {"image": "a"}, "annotations": [5]}],
            "annotation 0 of task 0 of {} has the content 5; expected an obj",
        ),
    ],
)
def test_wrong_tasks_of_label_studio(content: object, told: str) -> None:
    """Each is named."""
    assert error_of(content).startswith(told.format(URL))


TRIANGLE: dict[str, object] = {"value": {"points": [[1, 1], [50, 1], [1, 50]], "polygonlabels": ["crack"]}}


def pictures(data: dict[str, object], **result: object) -> list[object]:
    """Return a task of these data with one outline."""
    return [{"data": data, "annotations": [{"result": [{**TRIANGLE, **result}]}]}]


@pytest.mark.parametrize(
    ("data", "result", "found"),
    [
        ({"image": "a.jpg", "thumb": "t.jpg"}, {"to_name": "image"}, "a.jpg"),
        ({"image": "a.jpg", "thumb": "t.jpg"}, {"to_name": "img"}, "a.jpg"),
        ({"thumb": "t.jpg", "photo": "a.jpg"}, {"to_name": "photo"}, "a.jpg"),
        ({"thumb": "t.jpg", "photo": "a.jpg"}, {"to_name": "x", "source": "$photo"}, "a.jpg"),
        (
            {"image": "/data/upload/1/0a1b2c3d-a.jpg", "name": "A.jpg"},
            {"to_name": "x"},
            "/data/upload/1/0a1b2c3d-a.jpg",
        ),
        ({"pages": ["a.jpg"]}, {"item_index": 0}, "a.jpg"),
        ({"text": "a crack", "photo": "a.jpg"}, {"to_name": "x"}, "a.jpg"),
    ],
)
def test_the_picture_of_a_task(data: dict[str, object], result: dict[str, object], found: str) -> None:
    """Where data have several, the name of what was drawn on tells."""
    (photo,) = read_document(pictures(data, **result))
    assert photo.names[0] == found


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (pictures({"image": "a.jpg", "image2": "b.jpg"}, to_name="img2"), "(image, image2) and to_name img2"),
        (pictures({"thumb": "t.jpg", "photo": "a.jpg"}, to_name="image"), "(thumb, photo) and to_name image"),
        (pictures({"image": ["a.jpg", "b.jpg"]}, to_name="image"), "(image) and to_name image"),
        (pictures({"image": "a.jpg", "pages": ["a.jpg"]}, item_index=1), "(image, pages) and item_index over 0"),
        (
            [
                {
                    "data": {"image": "a.jpg", "image2": "b.jpg"},
                    "annotations": [{"result": [{**TRIANGLE, "to_name": name} for name in ("image2", "image")]}],
                }
            ],
            "(image, image2) and to_name image, image2",
        ),
        (
            [{"data": {"thumb": "t.jpg", "photo": "a.jpg"}, "annotations": [{"result": []}]}],
            "(thumb, photo) and to_name nowhere",
        ),
    ],
)
def test_which_picture_is_not_certain(content: object, told: str) -> None:
    """A crack is never laid over another photo of its task."""
    assert error_of(content) == (
        f"task 0 of {URL} has several pictures {told}, which does not tell which one was drawn on. Export each picture "
        "as a task of its own, with the key image."
    )


def test_words_about_the_photo_of_label_studio() -> None:
    """A branch of a taxonomy is one word, its deepest name first; what is no name from a list is not known."""
    values = [{"taxonomy": [["Damage", "crack"], ["Wet"]]}, {"rating": 5}, {"choices": []}, {}]
    (photo,) = read_document(task(*({"value": value} for value in values)))
    assert [shape.label.names for shape in photo.shapes] == [("crack", "Damage"), ("Wet",), ("rating",)]
    assert all(isinstance(shape, Remark) for shape in photo.shapes)
    region: list[dict[str, object]] = [
        {"id": "a", **TRIANGLE},
        {"id": "a", "value": {"taxonomy": [["Damage", "deep"]], "text": ["a note"]}},
    ]
    (photo,) = read_document(task(*region))
    assert [shape.label.names for shape in photo.shapes] == [("crack", "deep", "Damage")]


@pytest.mark.parametrize("key", ["imageDataURL", "sequence", "start"])
def test_regions_that_are_not_read(key: str) -> None:
    """They are named, also without labels."""
    assert error_of(task({"value": {key: "x"}})).startswith(
        f"result 0 of annotation 0 of task 0 of {URL} has a labelled region with ['{key}']; expected points, vertices,"
    )
