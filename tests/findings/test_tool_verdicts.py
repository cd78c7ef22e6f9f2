"""Verdicts from exports of labelling tools: the examples of their documentation, rebuilt, and what people do there."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.core.errors import UsageError
from pipeline.findings.picture_names import PictureName
from pipeline.findings.tool_verdicts import read
from pipeline.findings.verdict_files import VerdictFile
from pipeline.labels.boxes import Box
from tests.annotations.test_cvat import CVAT
from tests.annotations.test_label_studio import MOONWALKER

IMAGE_ID = "2f1c9ab04d5e7788"
TILE = PictureName(IMAGE_ID, "tile", Box(50, 100, 200, 400), "random", 12.5)
PHOTO = PictureName(IMAGE_ID, "photo", Box(0, 0, 1000, 2000))


def name(picture: PictureName) -> str:
    """The file of a picture."""
    return f"0001_{picture.stem}.png"


def read_text(path: Path, text: str) -> VerdictFile:
    """Read an export."""
    path.write_text(text)
    return read(f"file://{path}")


def answers(found: VerdictFile) -> list[tuple[str, Box | None, str]]:
    """Subject, box and verdict of each row."""
    return [(each.subject, each.box, each.verdict) for each in found.said]


# Label Studio


def task(*results: dict[str, object], picture: PictureName | None = TILE, **annotation: object) -> dict[str, object]:
    """A task with one annotation, as Label Studio exports it."""
    image = "a.jpg" if picture is None else f"/data/local-files/?d=tasks/tiles/{name(picture)}"
    return {"id": 1, "data": {"image": image}, "annotations": [{"result": list(results), **annotation}]}


def choice(word: str) -> dict[str, object]:
    """A choice for the whole picture."""
    about = {"id": "x", "from_name": "verdict", "to_name": "image", "type": "choices"}
    return about | {"value": {"choices": [word]}}


def region(word: str, **value: float) -> dict[str, object]:
    """A rectangle, in per cent."""
    return {"id": f"r{word}{value}", "type": "rectanglelabels", "value": value | {"rectanglelabels": [word]}}


def read_tasks(folder: Path, *tasks: dict[str, object]) -> VerdictFile:
    """Read an export of Label Studio."""
    return read_text(folder / "export.json", json.dumps(tasks))


def test_a_choice_is_a_verdict(tmp_path: Path) -> None:
    """With who, when, the comment, and how the tile was picked; the data of the task counts before the file's name."""
    about: dict[str, object] = {"id": "t", "type": "textarea", "from_name": "comment"}
    text = about | {"value": {"text": ["wet joint", "at the drip"]}}
    person = {"id": 3, "email": "ann@example.com"}
    made = task(choice("no_crack"), text, completed_by=person, updated_at="2026-03-01T10:00:00Z")
    (said,) = read_tasks(tmp_path, made).said
    assert said[1:] == (
        "no_crack", "tile", IMAGE_ID, None, None, TILE.box, None, "wet joint\nat the drip", "ann@example.com",
        datetime(2026, 3, 1, 10, tzinfo=UTC), "random", 12.5,
    )  # fmt: skip
    made["data"] = {"image": "renamed.png", **TILE.to_facts()}
    assert read_tasks(tmp_path, made).said[0].box == TILE.box


def test_each_annotator_has_a_verdict(tmp_path: Path) -> None:
    """Numbers tell two people apart; of one alone, `--by` gives the name. Cancelled annotations do not count."""
    both = task(choice("crack"), completed_by=1)
    both["annotations"] += [  # type: ignore[operator]
        {"result": [choice("unclear")], "completed_by": 2},
        {"result": [choice("no_crack")], "completed_by": 2, "was_cancelled": True},
    ]
    assert [(each.verdict, each.by) for each in read_tasks(tmp_path, both).said] == [
        ("crack", "Label Studio user 1"),
        ("unclear", "Label Studio user 2"),
    ]
    assert [each.by for each in read_tasks(tmp_path, task(choice("crack"), completed_by=1)).said] == [None]


def test_without_a_choice_what_is_drawn_counts(tmp_path: Path) -> None:
    """A crack that is drawn says `crack`, a submission without anything `no_crack`, another word nothing."""
    sizes = {"x": 10.0, "y": 10.0, "width": 5.0, "height": 5.0}
    found = read_tasks(tmp_path, task(region("Crack", **sizes)), task(), task(region("spalling", **sizes)))
    assert [verdict for _, _, verdict in answers(found)] == ["crack", "no_crack"]
    assert found.unanswered == 1


def test_boxes_on_photos_are_places(tmp_path: Path) -> None:
    """In pixels of the photo; the choice is that of the photo."""
    sizes = {"x": 10.0, "y": 10.0, "width": 20.0, "height": 40.0}
    found = read_tasks(tmp_path, task(choice("crack"), region("no_crack", **sizes), picture=PHOTO))
    assert answers(found) == [("photo", None, "crack"), ("tile", Box(100, 200, 400, 400), "no_crack")]
    with pytest.raises(UsageError, match="expected one for the same box"):
        read_tasks(tmp_path, task(region("no_crack", **sizes), region("crack", **sizes), picture=PHOTO))


def test_two_answers_are_refused(tmp_path: Path) -> None:
    """And named."""
    with pytest.raises(UsageError, match=r"task 0 of file://.*has the answers \['crack', 'no_crack'\]; expected one"):
        read_tasks(tmp_path, task(choice("crack"), choice("no_crack") | {"id": "y"}))


def test_the_example_of_label_studio(tmp_path: Path) -> None:
    """It is read, and says nothing of cracks; with such a label it is passed on under its own name."""
    assert read_text(tmp_path / "a.json", json.dumps([MOONWALKER])) == VerdictFile([], 1)
    text = json.dumps([MOONWALKER]).replace("Moonwalker", "crack")
    (said,) = read_text(tmp_path / "a.json", text).said
    assert (said.image_id, said.image, said.subject, said.verdict) == (
        None, "/opensource/label-studio/1.jpg", "photo", "crack",
    )  # fmt: skip


# CVAT


def cvat(shapes: str, picture: PictureName = TILE) -> str:
    """An export of one picture."""
    height_px, width_px = picture.box.height_px, picture.box.width_px
    start = f'<image id="0" name="{name(picture)}" width="{width_px}" height="{height_px}">'
    return f"<annotations><version>1.1</version>{start}{shapes}</image></annotations>"


LINE = '<polyline label="crack" source="{}" points="1.0,2.0;30.0,40.0" occluded="0"/>'


@pytest.mark.parametrize(
    ("shapes", "verdicts"),
    [
        ('<tag label="no_crack" source="manual"/>', ["no_crack"]),
        ('<tag label="no_crack"/>' + LINE.format("manual"), ["no_crack"]),
        ('<tag label="seen" source="manual"/>' + LINE.format("file"), ["crack"]),
        (LINE.format("file"), []),
        (LINE.format("auto"), []),
        (LINE.format("semi-auto"), ["crack"]),
        (LINE.format("manual"), ["crack"]),
        ("", []),
    ],
)
def test_what_a_person_did_in_cvat_counts(shapes: str, verdicts: list[str], tmp_path: Path) -> None:
    """A tag before what is drawn; what came from a file only where a tag tells that somebody has looked."""
    found = read_text(tmp_path / "a.xml", cvat(shapes))
    assert [each.verdict for each in found.said] == verdicts
    assert found.unanswered == (not verdicts)


def test_a_tag_has_a_comment(tmp_path: Path) -> None:
    """As text, whatever it is."""
    tag = '<tag label="unclear"><attribute name="comment">&lt;b&gt;=1+1</attribute></tag>'
    (said,) = read_text(tmp_path / "a.xml", cvat(tag)).said
    assert (said.verdict, said.comment, said.by) == ("unclear", "<b>=1+1", None)


def test_a_box_of_cvat_on_a_shrunk_photo(tmp_path: Path) -> None:
    """It is where it is on the photo, not over its edge."""
    box = '<box label="crack" source="manual" xtl="10" ytl="20" xbr="1200" ybr="70" occluded="0"/>'
    text = cvat(box, PHOTO).replace('width="2000" height="1000"', 'width="1000" height="500"')
    assert answers(read_text(tmp_path / "a.xml", text)) == [("tile", Box(40, 20, 100, 1980), "crack")]


def test_the_example_of_cvat(tmp_path: Path) -> None:
    """It is read; called a crack, its line is a verdict on a photo that nobody here knows."""
    assert read_text(tmp_path / "a.xml", CVAT) == VerdictFile([], 1)
    (said,) = read_text(tmp_path / "a.xml", CVAT.replace("traffic_line", "crack")).said
    assert (said.image_id, said.image, said.verdict) == (None, "filename000.jpg", "crack")


# COCO


def coco(*annotations: dict[str, object], **changes: object) -> str:
    """Instances of one tile."""
    content: dict[str, object] = {
        "images": [{"id": 7, "file_name": name(TILE), "height": 200, "width": 400}],
        "annotations": [{"id": n, "image_id": 7, "bbox": [1, 2, 3, 4], **each} for n, each in enumerate(annotations)],
        "categories": [{"id": n, "name": word} for n, word in enumerate(("crack", "no_crack", "unclear", "rust"))],
    }
    return json.dumps(content | changes)


@pytest.mark.parametrize(
    ("annotations", "verdicts"),
    [
        ([{"category_id": 0}], ["crack"]),
        ([{"category_id": 1}], ["no_crack"]),
        ([{"category_id": 0}, {"category_id": 1}], ["crack"]),
        ([{"category_id": 0, "score": 0.9}], []),
        ([{"category_id": 0, "score": 0.9}, {"category_id": 2}], ["unclear"]),
        ([{"category_id": 3}], []),
        ([], []),
    ],
)
def test_what_a_person_drew_in_coco_counts(
    annotations: list[dict[str, object]], verdicts: list[str], tmp_path: Path
) -> None:
    """An annotation with a score is a model's; a crack counts before a box that says that there is none."""
    found = read_text(tmp_path / "a.json", coco(*annotations))
    assert answers(found) == [("tile", TILE.box, verdict) for verdict in verdicts]


def test_a_wrong_category_is_named(tmp_path: Path) -> None:
    """By its place in the file that was given."""
    with pytest.raises(UsageError, match=r"annotation 1 of file://.*has category_id 9"):
        read_text(tmp_path / "a.json", coco({"category_id": 0, "score": 1.0}, {"category_id": 9}))


# Files and folders


def test_a_folder_of_exports(tmp_path: Path) -> None:
    """All its documents count; other files do not."""
    (tmp_path / "labels.json").write_text('[{"name": "crack"}]')
    (tmp_path / "a.xml").write_text(cvat('<tag label="crack"/>'))
    (tmp_path / "b.json").write_text(coco({"category_id": 1}))
    assert [each.verdict for each in read(f"file://{tmp_path}").said] == ["crack", "no_crack"]


@pytest.mark.parametrize("text", ["{}", "<View/>"])
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    """With what was expected."""
    (tmp_path / "a.json").write_text(text)
    for place in (tmp_path, tmp_path / "a.json"):
        with pytest.raises(UsageError, match="holds no verdicts that crackscan knows; expected review"):
            read(f"file://{place}")
