"""Tasks for labelling tools: what is written reads back, and what people answer comes back as verdicts."""

import io
import json
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline.annotations import coco, cvat, label_studio
from pipeline.annotations.documents import Companion, Document, parse
from pipeline.annotations.shapes import AnnotatedPhoto, Area, Frame, Line, Remark, scale
from pipeline.cli import main
from pipeline.core.errors import CrackscanError, UsageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import query, views
from pipeline.findings.picture_names import parse_name
from pipeline.findings.tool_verdicts import read
from pipeline.findings.verdicts import record
from pipeline.images.decode import decode
from pipeline.labels.boxes import Box
from pipeline.labels.labelled_tiles import read_labelled_tiles
from pipeline.review.selection import ReviewRule, choose_tiles
from pipeline.review.task_pictures import TaskPicture, list_photos, list_tiles
from pipeline.review.tasks import Tool, write_tasks
from pipeline.review.tile_folder import ReviewConfig
from tests.helpers.scored_photos import THRESHOLD, photo, score_archives, zip_photos

LEVELS = {"a.png": 250, "b.png": 20}
"""Grey levels of the right lower tile."""
RULE = ReviewRule(12, ("random",), 2, THRESHOLD)
TOP_LEFT = Box(0, 0, 50, 50)
"""The tile that the cracks of `score_archives` run through."""


def quiet(_done: int, _total: int) -> None:
    """Show no progress."""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Two photos of six tiles; `a.png` has two cracks in its left upper tile."""
    photos = {name: photo(level) for name, level in LEVELS.items()}
    return score_archives(tmp_path / "scores", zip_photos(tmp_path / "one.zip", photos), cracks={"a.png": 2})


def write(layout: Layout, folder: Path, tool: Tool, *, whole_photos: bool = False) -> Path:
    """Write tasks of all tiles."""
    write_tasks(ReviewConfig(layout.url, str(folder), 12, "random"), tool, quiet, whole_photos=whole_photos)
    return folder


def pictures_of(layout: Layout, *, whole_photos: bool) -> list[TaskPicture]:
    """The pictures that were written."""
    with views(layout) as connection:
        chosen = choose_tiles(connection, RULE)
        return (list_photos if whole_photos else list_tiles)(connection, chosen, THRESHOLD)


def read_proposals(folder: Path, tool: Tool) -> list[AnnotatedPhoto]:
    """What the readers of annotations find in the written file, as if a person had confirmed it."""
    match tool:
        case "cvat":
            return [*cvat.read(Document("", "cvat", fromstring((folder / "annotations.xml").read_text())))]  # noqa: S314
        case "coco":
            return [*coco.read(Document("", "coco", json.loads((folder / "annotations.json").read_text())))]
        case "label-studio":
            return [*label_studio.read(Document("", "label_studio", submit(folder / "tasks.json")))]


def submit(tasks: Path) -> list[dict[str, object]]:
    """The tasks as Label Studio exports them once somebody has submitted the predictions as they are."""
    return [
        {**task, "annotations": [{"result": task["predictions"][0]["result"], "completed_by": 1}]}
        for task in json.loads(tasks.read_text())
    ]


@pytest.mark.parametrize("whole_photos", [False, True])
@pytest.mark.parametrize("tool", ["label-studio", "cvat", "coco"])
def test_what_was_written_reads_back(tool: Tool, *, whole_photos: bool, layout: Layout, tmp_path: Path) -> None:
    """Pictures, sizes, lines and boxes, by the readers of annotations; names say what the pictures show."""
    folder = write(layout, tmp_path / "tasks", tool, whole_photos=whole_photos)
    wanted, found = pictures_of(layout, whole_photos=whole_photos), read_proposals(folder, tool)
    assert len(found) == (2 if whole_photos else 12)
    for picture, back in zip(wanted, found, strict=True):
        assert parse_name(back.names[0]) == picture.name
        assert (folder / picture.path).exists()
        height_px, width_px = picture.size
        shapes = [scale(shape, (width_px, height_px) if back.relative else (1, 1)) for shape in back.shapes]
        lines = [shape.points for shape in shapes if isinstance(shape, Line)]
        rings = [shape.rings[0] for shape in shapes if isinstance(shape, Area)]
        if tool == "coco":
            middles = [(ring[: len(ring) // 2] + ring[: len(ring) // 2 - 1 : -1]) / 2 for ring in rings]
            lines = middles + [frame_line(shape) for shape in shapes if is_thin(shape)]
        assert len(lines) == len(picture.lines)
        for line, proposed in zip(sorted(lines, key=np.sum), sorted(picture.lines, key=points_sum), strict=True):
            assert np.abs(line - proposed.points).max() < (1.6 if tool == "coco" else 0.01)
        boxes = [shape for shape in shapes if isinstance(shape, Frame) and not is_thin(shape)]
        assert [tuple(np.rint(shape.corners[[0, 2]]).ravel()) for shape in boxes] == [
            (box.left_px, box.top_px, box.left_px + box.width_px, box.top_px + box.height_px)
            for box in (tile.box for tile in picture.tiles)
        ]
        assert [shape.label.names[0] for shape in boxes] == [tile.answer for tile in picture.tiles]


def points_sum(line: object) -> float:
    """Sort lines."""
    return float(np.sum(line.points))  # type: ignore[attr-defined]


def is_thin(shape: object) -> bool:
    """Tell whether a box is the outline of a straight line."""
    return isinstance(shape, Frame) and float(np.ptp(shape.corners, axis=0).min()) < 10


def frame_line(shape: object) -> np.ndarray:
    """The middle of an outline of four corners."""
    assert isinstance(shape, Frame)
    return (shape.corners[:2] + shape.corners[:1:-1]) / 2


def test_a_tile_keeps_its_pixels_and_a_photo_its_size(layout: Layout, tmp_path: Path) -> None:
    """Tiles are PNG, pixel for pixel; photos are upright JPEG."""
    for picture in pictures_of(layout, whole_photos=False):
        folder = tmp_path / "tiles"
        if not folder.exists():
            write(layout, folder, "coco")
        top, left, height, width = picture.name.box
        whole = decode(photo(LEVELS[picture.place.tile.image])).pixels
        assert (np.asarray(Image.open(folder / picture.path)) == whole[top : top + height, left : left + width]).all()
    write(layout, tmp_path / "photos", "coco", whole_photos=True)
    for picture in pictures_of(layout, whole_photos=True):
        with Image.open(tmp_path / "photos" / picture.path) as image:
            assert image.size == (150, 100)


@pytest.mark.parametrize("tool", ["cvat", "coco"])
def test_proposals_are_neither_verdicts_nor_labels(tool: Tool, layout: Layout, tmp_path: Path) -> None:
    """Nobody has looked at them: `verdicts` and `train` ask for what the tool exports."""
    folder = write(layout, tmp_path / "tasks", tool)
    file = folder / {"cvat": "annotations.xml", "coco": "annotations.json"}[tool]
    assert isinstance(parse("", file.read_bytes()), Companion)
    for place in (folder, file):
        with pytest.raises(UsageError, match="proposals of crackscan, which nobody has looked at"):
            read(f"file://{place}")
        with pytest.raises(UsageError, match="proposals of crackscan"):
            read_labelled_tiles([str(place)])


def test_tasks_of_label_studio_are_no_verdicts(layout: Layout, tmp_path: Path) -> None:
    """They have predictions only."""
    folder = write(layout, tmp_path / "tasks", "label-studio")
    with pytest.raises(UsageError, match="holds no verdicts that crackscan knows"):
        read(f"file://{folder}/tasks.json")


def test_submitted_tasks_come_back(layout: Layout, tmp_path: Path) -> None:
    """What Label Studio exports after every prediction was accepted: the model's answers, with box and weight."""
    folder = write(layout, tmp_path / "tasks", "label-studio")
    export = tmp_path / "export.json"
    export.write_text(json.dumps(submit(folder / "tasks.json")))
    said = read(f"file://{export}").said
    wanted = pictures_of(layout, whole_photos=False)
    assert [(each.image_id, each.box, each.verdict) for each in said] == [
        (picture.name.image_id, picture.name.box, picture.answer) for picture in wanted
    ]
    assert {(each.subject, each.pick, each.weight) for each in said} == {("tile", "random", 1.0)}
    made = record(layout.url, [str(export)], "Ann")
    assert (made.added, made.not_counting) == (12, {})
    confirmed = query(layout.url, "SELECT count(*) AS n FROM findings WHERE kind = 'tile' AND state = 'confirmed'")
    assert confirmed.to_pylist() == [{"n": 1}]
    assert record(layout.url, [str(export)], "Ann").added == 0


def test_tags_of_cvat_come_back(layout: Layout, tmp_path: Path) -> None:
    """A tag is the verdict, with its comment; pictures without one were not reached, whatever was proposed on them."""
    folder = write(layout, tmp_path / "tasks", "cvat")
    root = fromstring((folder / "annotations.xml").read_text())  # noqa: S314
    root.remove(root.find("meta") or Element("none"))
    images = {str(image.get("name")): image for image in root.iter("image")}
    wanted = {picture.file_name: picture for picture in pictures_of(layout, whole_photos=False)}
    names = [name for name, picture in wanted.items() if picture.lines] + [
        name for name, picture in wanted.items() if not picture.lines
    ][:1]
    for name in names[1:]:
        tag = SubElement(images[name], "tag", {"label": "no_crack", "source": "manual"})
        SubElement(tag, "attribute", {"name": "comment"}).text = "a <joint>"
    (tmp_path / "export.xml").write_bytes(tostring(root))
    found = read(f"file://{tmp_path}/export.xml")
    assert [(each.image_id, each.box, each.verdict, each.comment) for each in found.said] == [
        (wanted[name].name.image_id, wanted[name].name.box, "no_crack", "a <joint>") for name in names[1:]
    ]
    assert found.unanswered == 12 - len(found.said)
    assert record(layout.url, [str(tmp_path / "export.xml")], "Ann").added == len(found.said)


def test_boxes_on_photos_come_back_as_places(layout: Layout, tmp_path: Path) -> None:
    """Each tile that was proposed on a photo, and the photo itself."""
    folder = write(layout, tmp_path / "tasks", "label-studio", whole_photos=True)
    export = tmp_path / "export.json"
    export.write_text(json.dumps(submit(folder / "tasks.json")))
    said = read(f"file://{export}").said
    photos = pictures_of(layout, whole_photos=True)
    assert {(each.image_id, each.verdict) for each in said if each.subject == "photo"} == {
        (picture.name.image_id, picture.answer) for picture in photos
    }
    assert {(each.image_id, each.box, each.verdict) for each in said if each.subject == "tile"} == {
        (picture.name.image_id, tile.box, tile.answer) for picture in photos for tile in picture.tiles
    }
    assert record(layout.url, [str(export)], "Ann").not_counting == {}


def test_a_folder_of_others_stays(layout: Layout, tmp_path: Path) -> None:
    """Only what an interrupted call left is removed."""
    folder = write(layout, tmp_path / "tasks", "coco")
    with pytest.raises(UsageError, match=r"is not empty: it holds annotations\.json"):
        write(layout, folder, "coco")
    (folder / "annotations.json").unlink()
    write(layout, folder, "coco")
    stranger = next((folder / "tiles").iterdir())
    (folder / "annotations.json").unlink()
    stranger.write_bytes(encode_grey())
    with pytest.raises(UsageError, match="is not empty"):
        write(layout, folder, "coco")
    assert stranger.exists()


def encode_grey() -> bytes:
    """A picture of somebody else."""
    data = io.BytesIO()
    Image.new("L", (4, 4)).save(data, "PNG")
    return data.getvalue()


def test_photos_that_are_gone_are_told(layout: Layout, tmp_path: Path) -> None:
    """Their pictures cannot be made."""
    (tmp_path / "one.zip").unlink()
    with pytest.raises(CrackscanError, match="None of the 12 pictures could be made"):
        write(layout, tmp_path / "tasks", "cvat")


def test_what_was_judged_is_not_asked_again(layout: Layout, tmp_path: Path) -> None:
    """Tasks are chosen as for the page."""
    folder = write(layout, tmp_path / "tasks", "label-studio")
    export = tmp_path / "export.json"
    export.write_text(json.dumps(submit(folder / "tasks.json")[:10]))
    record(layout.url, [str(export)], "Ann")
    made = write_tasks(ReviewConfig(layout.url, str(tmp_path / "rest"), 12, "random"), "cvat", quiet)
    assert made.tiles == 2


def test_remarks_of_proposals(layout: Layout, tmp_path: Path) -> None:
    """Label Studio shows the model's answer as a choice; CVAT has no tag that nobody has set."""
    for tool, words in (("label-studio", {"crack", "no_crack"}), ("cvat", set[str]()), ("coco", set[str]())):
        found = read_proposals(write(layout, tmp_path / tool, tool), tool)  # type: ignore[arg-type]
        assert {s.label.names[0] for each in found for s in each.shapes if isinstance(s, Remark)} == words


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--whole-photos"], "--whole-photos is for --to: give both."),
        (["--to", "cvat", "--page"], "--page and --to write different things: give one of them."),
        (["--to", "coco", "--whole-photos", "--crop-only"], "--crop-only lets nothing but tiles leave"),
    ],
)
def test_options_that_contradict_each_other(options: list[str], message: str) -> None:
    """Are refused before anything is read."""
    result = CliRunner().invoke(main, ["review", "nowhere", "--out", "tasks", *options])
    assert result.exit_code == 2
    assert message in result.output


def test_the_command_says_what_comes_next(layout: Layout, tmp_path: Path) -> None:
    """What was written, and how the answers come back."""
    words = ["review", layout.url, "--out", str(tmp_path / "tasks"), "--to", "cvat", "--pick", "random"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert f"Wrote 12 tiles of 2 photos as tasks: file://{tmp_path}/tasks" in result.output
    assert f"  crackscan verdicts {layout.url} EXPORT --by NAME" in result.output
    assert {path.name for path in (tmp_path / "tasks").iterdir()} == {"tiles", "annotations.xml", "labels.json"}
