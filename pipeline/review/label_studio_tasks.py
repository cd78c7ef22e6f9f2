"""Tasks for Label Studio: a JSON of tasks with predictions, and the configuration of its labelling page.

Formats: labelstud.io/guide/predictions and labelstud.io/tags. Coordinates are in per cent of the picture's sides.
Pictures are named as local files below the folder that Label Studio serves (LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT),
which is the one above that of the tasks; on a store, by their URLs.
"""

import json
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from pipeline import storage
from pipeline.dataset.beside import ANSWERS
from pipeline.labels.boxes import Box
from pipeline.review.task_pictures import ProposedLine, ProposedTile, TaskPicture

TASKS, CONFIG = "tasks.json", "labels.xml"

_KEYS = {"crack": "1", "no_crack": "0", "unclear": "9"}

Result = dict[str, object]


def encode(folder: str, model_id: str, pictures: Sequence[TaskPicture]) -> Mapping[str, bytes]:
    """Return the files by their paths, that of the tasks last.

    Args:
        folder: canonical URL of the folder of the pictures.
        model_id: of the model that proposes.
        pictures: to be asked about.
    """
    tasks = [_make_task(folder, model_id, picture) for picture in pictures]
    return {CONFIG: _make_config().encode(), TASKS: f"{json.dumps(tasks, indent=1)}\n".encode()}


def _make_task(folder: str, model_id: str, picture: TaskPicture) -> Result:
    tile = picture.place.tile
    data = {"image": _address(folder, picture.path), **picture.name.to_facts()}
    data |= {"archive": tile.archive, "photo": tile.image, "crack_score": round(picture.score, 4)}
    prediction = {"model_version": model_id, "score": round(picture.score, 4), "result": _list_results(picture)}
    return {"id": picture.number, "data": data, "predictions": [prediction]}


def _address(folder: str, path: str) -> str:
    if not folder.startswith(storage.LOCAL):
        return storage.join(folder, path)
    return f"/data/local-files/?d={quote(f'{storage.name(folder)}/{path}')}"


def _list_results(picture: TaskPicture) -> list[Result]:
    """List the answer, the tiles and the lines; Label Studio wants an id of each."""
    about: Result = {"id": "answer", "from_name": "verdict", "to_name": "image", "type": "choices"}
    answer = about | {"value": {"choices": [picture.answer]}}
    tiles = [_make_box(number, tile, picture) for number, tile in enumerate(picture.tiles)]
    lines = [_make_line(number, line, picture) for number, line in enumerate(picture.lines)]
    return [answer, *tiles, *lines]


def _make_box(number: int, tile: ProposedTile, picture: TaskPicture) -> Result:
    value = _in_per_cent(tile.box, picture.size) | {"rotation": 0, "rectanglelabels": [tile.answer]}
    about = {"id": f"tile-{number}", "from_name": "box", "type": "rectanglelabels", "score": round(tile.score, 4)}
    return about | _frame_of(picture) | {"value": value}


def _in_per_cent(box: Box, size: tuple[int, int]) -> Result:
    height_px, width_px = size
    across, down = 100 / width_px, 100 / height_px
    corner: Result = {"x": box.left_px * across, "y": box.top_px * down}
    return corner | {"width": box.width_px * across, "height": box.height_px * down}


def _make_line(number: int, line: ProposedLine, picture: TaskPicture) -> Result:
    height_px, width_px = picture.size
    ids = [f"line-{number}-{index}" for index in range(len(line.points))]
    vertices = [
        {"id": own, "x": x * 100 / width_px, "y": y * 100 / height_px, "prevPointId": before, "isBezier": False}
        for own, before, (x, y) in zip(ids, [None, *ids], line.points.tolist(), strict=False)
    ]
    value = {"vertices": vertices, "closed": False, "vectorlabels": ["crack"]}
    about: Result = {"id": f"line-{number}", "from_name": "line", "type": "vectorlabels"}
    return about | {"meta": {"text": [f"crack {line.crack}"]}} | _frame_of(picture) | {"value": value}


def _frame_of(picture: TaskPicture) -> Result:
    height_px, width_px = picture.size
    return {"to_name": "image", "original_width": width_px, "original_height": height_px, "image_rotation": 0}


def _make_config() -> str:
    """Write the labelling page: keys for the answers, lines, boxes, and a comment."""
    choices = "".join(f'\n    <Choice value="{answer}" hotkey="{_KEYS[answer]}"/>' for answer in ANSWERS)
    labels = "".join(f'\n    <Label value="{answer}"/>' for answer in ANSWERS)
    return f"""<View>
  <Image name="image" value="$image" zoom="true" zoomControl="true"/>
  <Choices name="verdict" toName="image" choice="single" required="true" showInline="true">{choices}
  </Choices>
  <VectorLabels name="line" toName="image">
    <Label value="crack"/>
  </VectorLabels>
  <RectangleLabels name="box" toName="image">{labels}
  </RectangleLabels>
  <PolygonLabels name="outline" toName="image">
    <Label value="crack"/>
  </PolygonLabels>
  <TextArea name="comment" toName="image" placeholder="Comment" maxSubmissions="1"/>
</View>
"""
