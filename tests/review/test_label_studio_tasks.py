"""Tasks for Label Studio: addresses of pictures, and a labelling page that fits the predictions."""

import json
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from pipeline.dataset.sql import views
from pipeline.review.label_studio_tasks import CONFIG, TASKS, encode
from pipeline.review.selection import ReviewRule, choose_tiles
from pipeline.review.task_pictures import TaskPicture, list_photos
from tests.helpers.scored_photos import THRESHOLD, photo, score_archives, zip_photos

ODD = "a <b>'\"&.png"


@pytest.fixture
def pictures(tmp_path: Path) -> list[TaskPicture]:
    """A photo of an odd name, with a crack and six tiles."""
    layout = score_archives(tmp_path / "out", zip_photos(tmp_path / "a.zip", {ODD: photo(250)}), cracks={ODD: 1})
    with views(layout) as connection:
        return list_photos(connection, choose_tiles(connection, ReviewRule(6, ("random",), 2, THRESHOLD)), THRESHOLD)


@pytest.mark.parametrize(
    ("folder", "address"),
    [
        ("file:///data/my tasks", "/data/local-files/?d=my%20tasks/{path}"),
        ("s3://bucket/tasks", "s3://bucket/tasks/{path}"),
    ],
)
def test_addresses_of_pictures(folder: str, address: str, pictures: list[TaskPicture]) -> None:
    """Local files below the folder above, which Label Studio serves; on a store, the URL."""
    [task] = json.loads(encode(folder, "model", pictures)[TASKS])
    assert task["data"]["image"] == address.format(path=pictures[0].path)
    assert task["data"]["photo"] == ODD
    assert ODD not in pictures[0].path


def test_every_prediction_has_its_control(pictures: list[TaskPicture]) -> None:
    """Name, kind and words of each result are those of a tag of the labelling page; ids are unique."""
    files = encode("file:///data/tasks", "model", pictures)
    page = fromstring(files[CONFIG])  # noqa: S314 - our own
    controls = {tag.get("name"): tag for tag in page}
    [task] = json.loads(files[TASKS])
    [prediction] = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("model", round(pictures[0].score, 4))
    assert len({each["id"] for each in prediction["result"]}) == len(prediction["result"]) == 1 + 6 + 1
    for result in prediction["result"]:
        control = controls[result["from_name"]]
        assert control.tag.lower() == result["type"]
        assert result["to_name"] == control.get("toName") == "image"
        assert {*result["value"][result["type"]]} <= {word.get("value") for word in control}
