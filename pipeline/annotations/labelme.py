"""labelme: one JSON beside each photo.

Format: `LabelFile` in labelme/_label_file.py and the shapes in labelme/utils/shape.py of github.com/wkentaro/labelme;
X-AnyLabeling writes the same with four corners to a rectangle and with `rotation` for a turned one.
"""

import base64
import binascii
import math
from collections.abc import Iterator

import numpy as np

from pipeline.annotations.documents import Document
from pipeline.annotations.entries import (
    Coordinates,
    Entry,
    coordinates,
    number,
    optional_size,
    record,
    sequence,
    text,
)
from pipeline.annotations.rle import encode
from pipeline.annotations.shapes import (
    AnnotatedPhoto,
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
)
from pipeline.core.errors import DataError
from pipeline.images.decode import decode

_POINTS = {
    "polygon": (3, None),
    "rectangle": (2, 4),
    "oriented_rectangle": (4, 4),
    "rotation": (4, 4),
    "circle": (2, 2),
    "line": (2, 2),
    "linestrip": (2, None),
    "point": (1, 1),
    "points": (1, None),
    "mask": (1, 2),
}
"""Type of a shape to the fewest and the most points that it has."""


def read(document: Document) -> Iterator[AnnotatedPhoto]:
    """Yield the photo of a file.

    Raises:
        UsageError: a shape is wrong, or of an unknown type.
    """
    file = Entry(document.url, "")
    content = record(document.content, file, "the content")
    shapes = [
        _read_shape(record(value, file.part(f"shape {index}"), "the content"), file.part(f"shape {index}"))
        for index, value in enumerate(sequence(content.get("shapes"), file, "shapes"))
    ]
    flags = record(content.get("flags") or {}, file, "flags")
    remarks = [Remark(Label((text(name, file, "a flag"),), file)) for name, is_set in flags.items() if is_set is True]
    declared = optional_size(content.get("imageHeight"), content.get("imageWidth"), file)
    stem = document.url.rpartition("/")[2].rpartition(".")[0]
    path = content.get("imagePath")
    names = (text(path, file, "imagePath"), f"{stem}.*") if path else (f"{stem}.*",)
    yield AnnotatedPhoto(file, names, declared, (*shapes, *remarks))


def _read_shape(shape: dict[str, object], entry: Entry) -> Shape:
    label = Label((text(shape.get("label"), entry, "label"),), entry)
    kind = "polygon" if shape.get("shape_type") is None else shape["shape_type"]
    if not isinstance(kind, str) or kind not in _POINTS:
        raise entry.error("shape_type", kind, f"one of {', '.join(_POINTS)}")
    least, most = _POINTS[kind]
    points = coordinates(sequence(shape.get("points"), entry, "points"), entry, least)
    if most is not None and len(points) > most:
        raise entry.error("points", len(points), f"at most {most} of a {kind}")
    if kind == "mask":
        return _read_mask(shape.get("mask"), points, label)
    return _make(kind, points, label)


def _make(kind: str, points: Coordinates, label: Label) -> Shape:
    match kind:
        case "polygon":
            return area(label, points)
        case "rectangle":
            return frame(label, *points.min(axis=0).tolist(), *points.max(axis=0).tolist())
        case "oriented_rectangle" | "rotation":
            return Frame(label, points)
        case "circle":
            centre, radius = points[0].tolist(), math.dist(*points.tolist())
            return ellipse(label, (centre[0], centre[1]), (radius, radius), 0)
        case "line" | "linestrip":
            return Line(label, points)
    return Dot(label, points)


def _read_mask(value: object, points: Coordinates, label: Label) -> Raster:
    """Return the pixels over 0 of a PNG in base64, whose upper left corner is the first point."""
    encoded = text(value, label.entry, "mask")
    try:
        pixels = decode(base64.b64decode(encoded, validate=True)).pixels
    except (binascii.Error, DataError) as error:
        raise label.entry.error("mask", encoded, f"a picture in base64 ({error})") from error
    left, top = (int(number(value, label.entry, "points")) for value in np.round(points[0]).tolist())
    return Raster(label, top, left, encode(np.any(pixels, axis=2)), whole_photo=False)
