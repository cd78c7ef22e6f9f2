"""Tasks as COCO instances: pictures and annotations, each with the `score` that COCO gives to what a model says.

Format: cocodataset.org/#format-data. It knows no lines, so a line of a crack is a thin polygon, and no words about a
picture: people say that there is no crack with a box of the category `no_crack`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.annotations.documents import PROPOSALS_BY
from pipeline.annotations.shapes import LINE_WIDTH_PX
from pipeline.core.wkt import Line
from pipeline.dataset.beside import ANSWERS
from pipeline.review.task_pictures import TaskPicture

TASKS = "annotations.json"

Ring = NDArray[np.float64]
"""Corners of a polygon, x before y. Shape: (N, 2)."""


def encode(pictures: Sequence[TaskPicture]) -> Mapping[str, bytes]:
    """Return the file by its path."""
    annotations = [each for picture in pictures for each in _list_annotations(picture)]
    content = {
        "info": {"description": "Places to look at", "contributor": PROPOSALS_BY},
        "licenses": [],
        "categories": [{"id": number, "name": name} for number, name in enumerate(ANSWERS, 1)],
        "images": [_make_image(picture) for picture in pictures],
        "annotations": [{"id": number, **each} for number, each in enumerate(annotations, 1)],
    }
    return {TASKS: f"{json.dumps(content, indent=1)}\n".encode()}


def _make_image(picture: TaskPicture) -> dict[str, object]:
    height_px, width_px = picture.size
    about = {"id": picture.number, "file_name": picture.file_name, "height": height_px, "width": width_px}
    return about | {"crack_score": round(picture.score, 4), **picture.name.to_facts()}


def _list_annotations(picture: TaskPicture) -> Iterator[dict[str, object]]:
    for tile in picture.tiles:
        box = tile.box
        right, bottom = box.left_px + box.width_px, box.top_px + box.height_px
        corners = [(box.left_px, box.top_px), (right, box.top_px), (right, bottom), (box.left_px, bottom)]
        yield _make_annotation(picture, tile.answer, tile.score, np.array(corners, np.float64))
    for line in picture.lines:
        yield _make_annotation(picture, "crack", picture.score, outline(line.points, picture.size))


def _make_annotation(picture: TaskPicture, answer: str, score: float, ring: Ring) -> dict[str, object]:
    (left, top), (right, bottom) = ring.min(axis=0).tolist(), ring.max(axis=0).tolist()
    return {
        "image_id": picture.number,
        "category_id": ANSWERS.index(answer) + 1,
        "bbox": [left, top, right - left, bottom - top],
        "segmentation": [ring.ravel().tolist()],
        "area": _area(ring),
        "iscrowd": 0,
        "score": round(score, 4),
    }


def outline(points: Line, size: tuple[int, int]) -> Ring:
    """Return a polygon around a line, as wide as a crack that is drawn as a line, and within its picture.

    Args:
        points: at least one. Shape: (N, 2).
        size: height and width of the picture in pixels.

    Shape: (2 N, 2).
    """
    sides = np.diff(points, axis=0) if len(points) > 1 else np.array([[1.0, 0.0]])
    lengths = np.hypot(*sides.T)[:, None]
    along = np.divide(sides, lengths, out=np.tile([1.0, 0.0], (len(sides), 1)), where=lengths > 0)
    before, after = np.concatenate([along[:1], along]), np.concatenate([along, along[-1:]])
    mean = before + after
    turned = np.hypot(*mean.T)[:, None]
    mean = np.where(turned > 0.1, mean, after) / np.where(turned > 0.1, turned, 1)  # a line that turns back on itself
    across = np.stack([-mean[:, 1], mean[:, 0]], axis=1)[: len(points)] * (LINE_WIDTH_PX / 2)
    ring = np.concatenate([points + across, (points - across)[::-1]])
    return ring.clip(0, (size[1], size[0])).round(2)


def _area(ring: Ring) -> float:
    """Return the area of a polygon (Gauss's formula)."""
    x, y = ring.T
    return round(abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2, 2)
