"""Tasks for CVAT: labels of the task that fit the annotations."""

import json
from pathlib import Path
from xml.etree.ElementTree import fromstring

from pipeline.dataset.sql import views
from pipeline.review.cvat_tasks import LABELS, TASKS, encode
from pipeline.review.selection import ReviewRule, choose_tiles
from pipeline.review.task_pictures import list_photos
from tests.helpers.scored_photos import THRESHOLD, photo, score_archives, zip_photos


def test_every_annotation_has_its_label(tmp_path: Path) -> None:
    """CVAT refuses labels and attributes that the task does not have; nothing is a tag, and all is of a program."""
    layout = score_archives(
        tmp_path / "out", zip_photos(tmp_path / "a.zip", {"a.png": photo(250)}), cracks={"a.png": 2}
    )
    with views(layout) as connection:
        chosen = choose_tiles(connection, ReviewRule(6, ("random",), 2, THRESHOLD))
        files = encode(list_photos(connection, chosen, THRESHOLD))
    labels = {each["name"]: {one["name"] for one in each["attributes"]} for each in json.loads(files[LABELS])}
    [image] = fromstring(files[TASKS]).findall("image")  # noqa: S314 - our own
    assert sorted(shape.tag for shape in image) == ["box"] * 6 + ["polyline"] * 2
    for shape in image:
        assert {one.get("name") for one in shape} <= labels[str(shape.get("label"))]
        assert shape.get("source") == "auto"
