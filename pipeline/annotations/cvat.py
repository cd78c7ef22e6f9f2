"""CVAT for images 1.1: one XML with the photos and the shapes on each.

Format: docs.cvat.ai/docs/other/xml_format. Angles are in degrees, clockwise around the centre. Run lengths of a mask go
along its rows, within its box.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from xml.etree.ElementTree import Element

from pipeline.annotations.documents import Document
from pipeline.annotations.entries import Coordinates, Entry, coordinates, number, size, whole
from pipeline.annotations.rle import check_counts
from pipeline.annotations.shapes import (
    AnnotatedPhoto,
    Area,
    Dot,
    Frame,
    Label,
    Line,
    Raster,
    Remark,
    Shape,
    area,
    ellipse,
    frame,
    turn,
)

MOST_DIGITS = 16
"""Of a run length; far more than any mask has pixels."""


def read(document: Document) -> Iterator[AnnotatedPhoto]:
    """Yield the photos of an export; one without shapes has none.

    Raises:
        UsageError: a shape is wrong, or of a type that says nothing about a surface, such as a cuboid.
    """
    file = Entry(document.url, "")
    repeated = Counter(image.get("name", "") for image in document.root.iter("image"))
    for image in document.root.iter("image"):
        name = image.get("name", "")
        entry = file.part(f"image {name!r}")
        if not name:
            raise entry.error("name", name, "the path of a photo")
        shapes = [_read_shape(element, entry.part(f"{element.tag} {index}")) for index, element in enumerate(image)]
        subset = image.get("subset", "") if repeated[name] > 1 else ""  # a project's photos lie in folders of subsets
        names = (f"{subset}/{name}",) if subset else (name,)
        yield AnnotatedPhoto(entry, names, size(image.get("height"), image.get("width"), entry), tuple(shapes))


def _read_shape(element: Element, entry: Entry) -> Shape:
    name = element.get("label", "").strip()
    reader = _READERS.get(element.tag)
    if reader is None:
        raise entry.error("the shape", element.tag, f"one of {', '.join(_READERS)}")
    return reader(element, Label((name,) if name else (), entry))


def _read_points(element: Element, label: Label, least: int) -> Coordinates:
    pairs = [pair.split(",") for pair in element.get("points", "").split(";") if pair.strip()]
    return coordinates(pairs, label.entry, least)


def _read_box(element: Element, label: Label) -> Frame:
    entry = label.entry
    left, top, right, bottom = (number(element.get(key), entry, key) for key in ("xtl", "ytl", "xbr", "ybr"))
    degrees = number(element.get("rotation", "0"), entry, "rotation")
    upright = frame(label, left, top, right, bottom)
    if degrees == 0:
        return upright
    return Frame(label, turn(upright.corners, ((left + right) / 2, (top + bottom) / 2), degrees))


def _read_mask(element: Element, label: Label) -> Raster:
    entry = label.entry
    found = size(element.get("height"), element.get("width"), entry)
    words = [word.strip() for word in element.get("rle", "").split(",")]
    lengths = [int(word) if word.isdecimal() and len(word) < MOST_DIGITS else word for word in words]
    runs = check_counts(lengths, found, entry, by_columns=False)
    top, left = (whole(element.get(key), entry, key) for key in ("top", "left"))
    return Raster(label, top, left, runs, whole_photo=False)


def _read_ellipse(element: Element, label: Label) -> Area:
    x, y, across, down = (number(element.get(key), label.entry, key) for key in ("cx", "cy", "rx", "ry"))
    return ellipse(label, (x, y), (across, down), number(element.get("rotation", "0"), label.entry, "rotation"))


_READERS: dict[str, Callable[[Element, Label], Shape]] = {
    "box": _read_box,
    "polygon": lambda element, label: area(label, _read_points(element, label, 3)),
    "polyline": lambda element, label: Line(label, _read_points(element, label, 2)),
    "points": lambda element, label: Dot(label, _read_points(element, label, 1)),
    "mask": _read_mask,
    "ellipse": _read_ellipse,
    "tag": lambda _, label: Remark(label),
}
