"""Annotation files, told apart by their content."""

import json

import pytest

from pipeline.annotations import documents
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
            [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 1, 1], "score": 1}],
            "a list of COCO results, which names no photos. Give the file with images, annotations and categories.",
        ),
        (
            '<annotations><meta/><track id="0" label="crack"/></annotations>',
            "CVAT for video. Export it as CVAT for images 1.1 instead.",
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
