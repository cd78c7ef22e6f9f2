"""Annotation files, told apart by their content."""

import json

import pytest

from pipeline.annotations import documents
from pipeline.core.errors import UsageError
from tests.annotations.test_cvat import CVAT
from tests.annotations.test_labelme import PRIMITIVES
from tests.annotations.test_pascal_voc import VOC
from tests.helpers.annotation_files import URL, error_of


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            [{"image": "/data/upload/1/a.jpg", "id": 1, "label": [], "annotator": 1, "annotation_id": 1}],
            "Label Studio's JSON-MIN, which leaves out what is needed. Export as JSON instead.",
        ),
        (
            {"_via_settings": {}, "_via_img_metadata": {}},
            "a project of the VGG Image Annotator (VIA). Export its annotations as COCO instead.",
        ),
        (
            '<annotations><meta/><track id="0" label="crack"/></annotations>',
            "CVAT for video, since it has tracks. Export it as CVAT for images 1.1 instead.",
        ),
        (
            '<annotations><image name="a.jpg"/><track id="0" label="crack"/></annotations>',
            "CVAT for video, since it has tracks. Export it as CVAT for images 1.1 instead.",
        ),
    ],
)
def test_formats_that_are_refused(content: object, told: str) -> None:
    """They say too little; the error names the export to make instead."""
    assert error_of(content) == f"{URL} is {told}"


@pytest.mark.parametrize(
    "content", [{}, [], [1], {"images": []}, {"name": "x", "annotations": 1}, "<x/>", "<a:b xmlns:a='c'/>", "1", "null"]
)
def test_what_is_something_else(content: object) -> None:
    """JSON and XML of other tools are no documents."""
    data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    assert documents.parse(URL, data) is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("text", [json.dumps(PRIMITIVES), CVAT.replace('encoding="utf-8"', ""), VOC])
def test_encodings(encoding: str, text: str) -> None:
    """Byte order marks and UTF-16 are no hindrance to telling a document by its beginning, and to reading it."""
    data = text.encode(encoding)
    if encoding == "utf-16-le" and text.startswith("<"):
        data = text.encode("utf-16")  # XML in UTF-16 has a mark
    assert documents.may_be_document(data)
    assert documents.parse(URL, data) is not None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 1, 1], "score": 1}],
            "a list of COCO results, which names no photos. Give the file with images, annotations and categories.",
        ),
        (
            {"images": [], "annotations": [{"image_id": 1, "caption": "a wall"}]},
            "COCO captions, which have no places. Give the instances.",
        ),
        (
            {"images": [], "annotations": [{"image_id": 1, "segments_info": []}], "categories": []},
            "COCO panoptic, whose places are in pictures. Give the instances.",
        ),
        ({"images": [], "categories": []}, "COCO image info, which has no annotations. Give the instances."),
    ],
)
def test_companions_of_instances(content: object, told: str) -> None:
    """COCO publishes them beside its instances: each is told by what it is."""
    assert str(documents.parse(URL, json.dumps(content).encode())) == f"{URL} is {told}"


@pytest.mark.parametrize(
    "text", ["", "{ // why\n}", '{"a": 1}\n{"a": 2}', '<!DOCTYPE x SYSTEM "y"><x/>', "<x>", "[" * 9999]
)
def test_damaged_files_of_other_programs(text: str) -> None:
    """In a folder, what does not look like annotations may be anything; a file that was given alone is damaged."""
    assert documents.parse_if_document(URL, text.encode()) is None
    with pytest.raises(UsageError):
        documents.parse(URL, text.encode())


@pytest.mark.parametrize(
    "text", ['{"shapes": [', '{"annotations": [1,]}', "<annotation><object>", "<!DOCTYPE a><annotation/>"]
)
def test_damaged_annotations(text: str) -> None:
    """What looks like annotations is not passed over."""
    with pytest.raises(UsageError, match="Export the annotations again"):
        documents.parse_if_document(URL, text.encode())
