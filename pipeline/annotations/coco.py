"""COCO instances: one JSON with the photos, the annotations and the categories.

Format: cocodataset.org/#format-data. `iscrowd` is not looked at: tools that export painted masks set it, since the
format knows run lengths only for crowds.
"""

from collections import defaultdict
from collections.abc import Iterator

from pipeline.annotations.documents import Document
from pipeline.annotations.entries import (
    Entry,
    Size,
    coordinates,
    number,
    optional_size,
    record,
    sequence,
    size,
    text,
)
from pipeline.annotations.rle import check_counts, parse_coco
from pipeline.annotations.shapes import AnnotatedPhoto, Area, Label, Raster, Shape, area, frame

Record = dict[str, object]


def read(document: Document) -> Iterator[AnnotatedPhoto]:
    """Yield the photos that an export lists; one without annotations has no shapes.

    Raises:
        UsageError: a list is missing, an entry is wrong, or two entries share an id.
    """
    file = Entry(document.url, "")
    content = record(document.content, file, "the content")
    names = _read_categories(content, file)
    of_image: dict[int | str, list[tuple[Entry, Record]]] = defaultdict(list)
    photos = _index(content, "images", file)
    for index, value in enumerate(sequence(content.get("annotations"), file, "annotations")):
        entry = file.part(f"annotation {index}")
        annotation = record(value, entry, "the content")
        key = _key(annotation.get("image_id"), entry, "image_id")
        if key not in photos:
            raise entry.error("image_id", key, "an id that images lists")
        of_image[key].append((entry, annotation))
    for key, (entry, image) in photos.items():
        name = text(image.get("file_name"), entry, "file_name")
        declared = optional_size(image.get("height"), image.get("width"), entry)
        shapes = [_read_shape(annotation, names, declared, where) for where, annotation in of_image.pop(key, [])]
        yield AnnotatedPhoto(entry, (name,), declared, tuple(shapes))


def _read_categories(content: Record, file: Entry) -> dict[int | str, tuple[str, ...]]:
    """Return the names of every category: its own, then its supercategory's."""
    return {
        key: tuple(text(category[word], entry, word) for word in ("name", "supercategory") if category.get(word))
        for key, (entry, category) in _index(content, "categories", file).items()
    }


def _index(content: Record, what: str, file: Entry) -> dict[int | str, tuple[Entry, Record]]:
    """Return the entries of a list by their ids."""
    found: dict[int | str, tuple[Entry, Record]] = {}
    for index, value in enumerate(sequence(content.get(what), file, what)):
        entry = file.part(f"entry {index} of {what}")
        item = record(value, entry, "the content")
        key = _key(item.get("id"), entry, "id")
        if key in found:
            raise entry.error("id", key, "an id of its own")
        found[key] = entry, item
    return found


def _key(value: object, entry: Entry, what: str) -> int | str:
    """Return an id; tables that pass through pandas spell whole numbers 12.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    raise entry.error(what, value, "a whole number or a text")


def _read_shape(
    annotation: Record, names: dict[int | str, tuple[str, ...]], declared: Size | None, entry: Entry
) -> Shape:
    category = _key(annotation.get("category_id"), entry, "category_id")
    if category not in names:
        raise entry.error("category_id", category, "an id that categories lists")
    label, segmentation = Label(names[category], entry), annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return _read_runs(segmentation, label, declared)
    if segmentation:
        return _read_rings(sequence(segmentation, entry, "segmentation"), label)
    values = sequence(annotation.get("bbox"), entry, "neither segmentation nor bbox, but")
    if len(values) != 4:
        raise entry.error("bbox", values, "left, top, width and height")
    left, top, width, height = (number(value, entry, "bbox") for value in values)
    return frame(label, left, top, left + width, top + height)


def _read_rings(values: list[object], label: Label) -> Shape:
    """Return the parts of an area. Contour finders leave parts of one or two points, which are specks."""
    nested = values if isinstance(values[0], list) else [values]
    rings = tuple(coordinates(sequence(ring, label.entry, "a part"), label.entry, 1) for ring in nested)
    if max(map(len, rings)) < 3:
        raise label.entry.error("segmentation", values, "an outline of at least three points")
    return area(label, rings[0]) if len(rings) == 1 else Area(label, rings)


def _read_runs(segmentation: Record, label: Label, declared: Size | None) -> Raster:
    entry, counts = label.entry, segmentation.get("counts")
    sides = sequence(segmentation.get("size"), entry, "the size of the mask")
    if len(sides) != 2:
        raise entry.error("the size of the mask", sides, "height and width")
    found = size(sides[0], sides[1], entry)
    if declared not in {None, found}:
        raise entry.error("a mask", tuple(found), f"the size of its photo: {declared}")
    if isinstance(counts, str):
        return Raster(label, 0, 0, parse_coco(counts, found, entry), whole_photo=True)
    values = sequence(counts, entry, "the run lengths")
    return Raster(label, 0, 0, check_counts(values, found, entry, by_columns=True), whole_photo=True)
