"""Tasks for CVAT: an XML of CVAT for images 1.1, and the labels of the task as its constructor takes them.

Format: docs.cvat.ai/docs/other/xml_format. People answer with a tag, which nothing here proposes: so a picture with a
tag is one that somebody has looked at. Lines and boxes have the source `auto`.
"""

import json
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from pipeline.annotations.documents import PROPOSALS_BY
from pipeline.dataset.beside import ANSWERS
from pipeline.review.task_pictures import ProposedTile, TaskPicture

TASKS, LABELS = "annotations.xml", "labels.json"

_ATTRIBUTES = ("score", "crack", "comment")
_COLOURS = {"crack": "#d62728", "no_crack": "#2ca02c", "unclear": "#7f7f7f"}


def encode(pictures: Sequence[TaskPicture]) -> Mapping[str, bytes]:
    """Return the files by their paths, that of the tasks last."""
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    SubElement(SubElement(root, "meta"), "source").text = PROPOSALS_BY
    for index, picture in enumerate(pictures):
        _add_image(root, index, picture)
    indent(root)
    labels = f"{json.dumps([_make_label(answer) for answer in ANSWERS], indent=1)}\n"
    return {LABELS: labels.encode(), TASKS: tostring(root, encoding="utf-8", xml_declaration=True)}


def _make_label(answer: str) -> dict[str, object]:
    """Make a label for shapes and tags alike."""
    attributes = [
        {"name": name, "input_type": "text", "mutable": False, "default_value": "", "values": [""]}
        for name in _ATTRIBUTES
    ]
    return {"name": answer, "color": _COLOURS[answer], "type": "any", "attributes": attributes}


def _add_image(root: Element, index: int, picture: TaskPicture) -> None:
    height_px, width_px = picture.size
    facts = {"id": str(index), "name": picture.file_name, "width": str(width_px), "height": str(height_px)}
    image = SubElement(root, "image", facts)
    for tile in picture.tiles:
        _add_box(image, tile)
    for line in picture.lines:
        points = ";".join(f"{x:.2f},{y:.2f}" for x, y in line.points.tolist())
        shape = {"label": "crack", "source": "auto", "occluded": "0", "points": points, "z_order": "0"}
        element = SubElement(image, "polyline", shape)
        _add_attributes(element, {"score": f"{picture.score:.4f}", "crack": str(line.crack)})


def _add_box(image: Element, tile: ProposedTile) -> None:
    box = tile.box
    right, bottom = box.left_px + box.width_px, box.top_px + box.height_px
    corners = {"xtl": f"{box.left_px:.2f}", "ytl": f"{box.top_px:.2f}", "xbr": f"{right:.2f}", "ybr": f"{bottom:.2f}"}
    shape = {"label": tile.answer, "source": "auto", "occluded": "0", **corners, "z_order": "0"}
    _add_attributes(SubElement(image, "box", shape), {"score": f"{tile.score:.4f}"})


def _add_attributes(shape: Element, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        SubElement(shape, "attribute", {"name": name}).text = value
