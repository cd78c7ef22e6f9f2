"""Pascal VOC: one XML for each photo, with boxes whose pixels count from 1 and whose last pixel is inside.

Format: the VOC2012 development kit, section 11 (host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf). Roboflow adds
`polygon` with `x1`, `y1`, …, the old LabelMe `polygon` with `pt`, roLabelImg `robndbox` with an angle.
"""

import math
from collections.abc import Iterator
from xml.etree.ElementTree import Element

import numpy as np

from pipeline.annotations.documents import Document
from pipeline.annotations.entries import Entry, Size, coordinates, number, size
from pipeline.annotations.shapes import AnnotatedPhoto, Frame, Label, Shape, area, frame, turn


def read(document: Document) -> Iterator[AnnotatedPhoto]:
    """Yield the photo of a file; one without objects has no shapes.

    Raises:
        UsageError: an object is wrong, or has neither box nor outline.
    """
    file, root = Entry(document.url, ""), document.root
    shapes = [
        _read_object(element, file.part(f"object {index}"))
        for index, element in enumerate(root.findall("object"))
        if _text(element, "deleted") != "1"
    ]
    stem = document.url.rpartition("/")[2].rpartition(".")[0]
    folder, name = _text(root, "folder"), _text(root, "filename")
    names = [f"{folder}/{name}"] if folder and name else []
    names += [name] if name else []
    yield AnnotatedPhoto(file, (*names, f"{stem}.*"), _read_size(root, file), tuple(shapes))


def _read_size(root: Element, file: Entry) -> Size | None:
    """Return the size; None where it is missing, or 0, which labelImg writes if it does not know."""
    height, width = _text(root, "size/height"), _text(root, "size/width")
    return None if {height, width} <= {"", "0"} else size(height, width, file)


def _read_object(element: Element, entry: Entry) -> Shape:
    name = _text(element, "name")
    label = Label((name,) if name else (), entry)
    if (polygon := element.find("polygon")) is not None:
        return area(label, coordinates(_list_corners(polygon), entry, 3))
    if (turned := element.find("robndbox")) is not None:
        return _read_turned(turned, label)
    box = element.find("bndbox")
    if box is None:
        raise entry.error("the parts", [part.tag for part in element], "bndbox, polygon or robndbox")
    left, top, right, bottom = (number(_text(box, key), entry, key) for key in ("xmin", "ymin", "xmax", "ymax"))
    return frame(label, left - 1, top - 1, right, bottom)


def _list_corners(polygon: Element) -> list[object]:
    """List x and y of the corners: of `pt`, or of `x1`, `y1`, `x2`, …."""
    found: list[object] = []
    for point in polygon.findall("pt"):
        found += (_text(point, "x"), _text(point, "y"))
    count = 1
    while polygon.find(f"x{count}") is not None:
        found += (_text(polygon, f"x{count}"), _text(polygon, f"y{count}"))
        count += 1
    return found


def _read_turned(box: Element, label: Label) -> Frame:
    """Return a box that is turned clockwise around its centre, by an angle in radians."""
    x, y, width, height, angle = (number(_text(box, key), label.entry, key) for key in ("cx", "cy", "w", "h", "angle"))
    upright = frame(label, x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Frame(label, np.asarray(turn(upright.corners, (x, y), math.degrees(angle))))


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()
