"""Label Studio: a JSON list of tasks, each a photo with the results of one or several annotators.

Format: labelstud.io/guide/task_format and the result parameters below labelstud.io/tags. Coordinates are in per cent of
the photo's sides, and a box turns clockwise around its own upper left corner. What any annotator marked counts;
cancelled annotations, drafts and predictions do not.
"""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from pipeline.annotations.documents import Document
from pipeline.annotations.entries import (
    Coordinates,
    Entry,
    Size,
    coordinates,
    number,
    optional_size,
    record,
    sequence,
    text,
)
from pipeline.annotations.photos import fold
from pipeline.annotations.rle import parse_label_studio
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
from pipeline.core.errors import UsageError
from pipeline.images.formats import PHOTO_SUFFIXES

_UPLOAD_PREFIX = re.compile(r"[0-9a-f]{8}-(?=.)")
"""What an upload puts before the name of a file."""
_WORDS = ("choices", "taxonomy")
"""Results that are names from a list; other results without a place, such as a text or a number, are unknown words."""
_PLACES = frozenset({
    "x", "y", "width", "height", "imageDataURL", "sequence", "ranges", "start", "end", "format", "closed",
})  # fmt: skip
"""Keys of regions, also of those that are not read, such as painted pictures and parts of videos."""
_USUAL_TAGS = frozenset({"image", "img"})
"""What labelling configurations call the picture of `data.image`."""
_ONE = Size(100, 100)
"""The photo of a result that does not say its size: in per cent, both sides are 100."""

Result = dict[str, object]


def read(document: Document) -> Iterator[AnnotatedPhoto]:
    """Yield the photos of the tasks that somebody has finished.

    Raises:
        UsageError: a task has no photo, or a result is wrong.
    """
    for entry, task in list_tasks(document):
        photo = read_task(task, entry)
        if photo is not None:
            yield photo


def list_tasks(document: Document) -> Iterator[tuple[Entry, Result]]:
    """Yield the tasks of an export, with their places in it.

    Raises:
        UsageError: one is no object.
    """
    content = document.content if isinstance(document.content, list) else [document.content]
    for index, value in enumerate(content):
        entry = Entry(document.url, f"task {index}")
        yield entry, record(value, entry, "the content")


def read_task(task: Result, entry: Entry) -> AnnotatedPhoto | None:
    """Read what all annotations of a task say of its photo; None if nobody has finished it.

    Raises:
        UsageError: it has no photo, or a result is wrong.
    """
    results = list(_list_results(task, entry))
    if not results:
        return None
    regions = [region for place, of_annotation in results for region in _group(of_annotation, place)]
    sizes = {size for place, region in regions if (size := _find_size(region, place)) is not None}
    if len(sizes) > 1:
        raise entry.error("photos of several sizes", [tuple(size) for size in sorted(sizes)], "one")
    shapes = [shape for place, region in regions for shape in _read_region(region, place)]
    picture = _choose_picture(task, [result for _, region in regions for result in region], entry)
    return AnnotatedPhoto(entry, _list_names(picture), next(iter(sizes), None), tuple(shapes), relative=True)


def _list_results(task: Result, entry: Entry) -> Iterator[tuple[Entry, list[object]]]:
    """Yield the results of each annotation that was finished; `completions` are those of versions before 1.0."""
    annotations = task.get("annotations", task.get("completions"))
    for index, value in enumerate(sequence(annotations, entry, "annotations")):
        place = entry.part(f"annotation {index}")
        annotation = record(value, place, "the content")
        if not annotation.get("was_cancelled"):
            yield place, sequence(annotation.get("result"), place, "result")


def _group(results: list[object], entry: Entry) -> list[tuple[Entry, list[Result]]]:
    """Return the results of each region, which share an id: its outline, its labels, what was chosen for it."""
    regions: dict[str, tuple[Entry, list[Result]]] = {}
    for index, value in enumerate(results):
        place = entry.part(f"result {index}")
        result = record(value, place, "the content")
        if "value" in result:  # relations have none
            key = result.get("id")
            regions.setdefault(key if isinstance(key, str) else f"#{index}", (place, []))[1].append(result)
    return list(regions.values())


def _find_size(region: list[Result], entry: Entry) -> Size | None:
    found = [result for result in region if "original_width" in result or "original_height" in result]
    return optional_size(found[0].get("original_height"), found[0].get("original_width"), entry) if found else None


def _read_region(region: list[Result], entry: Entry) -> Iterator[Shape]:
    """Yield the shape of a region, or a remark for each word about the whole photo."""
    values = [record(result["value"], entry, "value") for result in region]
    words = [names for value in values for names in _list_words(value, entry)]
    label = Label(tuple(dict.fromkeys(name for names in words for name in names)), entry)
    for result, value in zip(region, values, strict=True):
        if {"x", "y"} <= value.keys() or value.keys() & {"points", "rle", "vertices"}:
            turned = result.get("image_rotation")
            if turned is not None and turned != 0:
                raise entry.error("image_rotation", turned, "0: label the photo as it is stored")
            yield _read_shape(value, label, _find_size(region, entry))
            return
    for value in values:
        if value.keys() & _PLACES or any(key.endswith("labels") for key in value):
            raise entry.error("a labelled region with", [*value], "points, vertices, rle, or x and y")
    yield from (Remark(Label(names, entry)) for names in words)
    yield from (Remark(Label((key,), entry)) for value in values for key in value if key not in _WORDS)


def _list_words(value: Result, entry: Entry) -> Iterator[tuple[str, ...]]:
    """Yield the names that a result gives: each alone, but those of a taxonomy's branch together, the deepest first."""
    for key in (key for key in value if key.endswith("labels") or key in _WORDS):
        for word in sequence(value[key], entry, key):
            branch = word if key == "taxonomy" and isinstance(word, list) else [word]
            names = tuple(text(name, entry, key) for name in reversed(branch))
            if names:
                yield names


def _read_shape(value: Result, label: Label, size: Size | None) -> Shape:
    if "rle" in value:
        return _read_brush(value, label, size)
    if "points" in value:
        return area(label, _read_points(value["points"], label, 3))
    if "vertices" in value:
        points = _read_points(value["vertices"], label, 2)
        return Area(label, (points,)) if value.get("closed") is True else Line(label, points)
    return _read_box(value, label, size)


def _read_points(value: object, label: Label, least: int) -> Coordinates:
    return coordinates(sequence(value, label.entry, "points"), label.entry, least) / 100


def _read_brush(value: Result, label: Label, size: Size | None) -> Raster:
    entry = label.entry
    if size is None or value.get("format", "rle") != "rle":
        raise entry.error("a painted mask of the format", value.get("format"), "rle, and the size of its photo")
    runs = parse_label_studio(sequence(value["rle"], entry, "rle"), size, entry)
    return Raster(label, 0, 0, runs, whole_photo=True)


def _read_box(value: Result, label: Label, size: Size | None) -> Shape:
    """Return a box, an ellipse or, without a height, a point; turned in pixels, since per cent are not square."""
    entry = label.entry
    degrees = number(value.get("rotation") or 0, entry, "rotation")
    if degrees != 0 and size is None:
        raise entry.error("rotation", degrees, "original_width and original_height beside it")
    height_px, width_px = size or _ONE
    sides = np.array([width_px, height_px], np.float64)
    left, top = (number(value[key], entry, key) / 100 for key in ("x", "y"))
    place = left * width_px, top * height_px
    if "radiusX" in value:
        across, down = (number(value.get(key), entry, key) / 100 for key in ("radiusX", "radiusY"))
        outline = ellipse(label, place, (across * width_px, down * height_px), degrees)
        return Area(label, tuple(ring / sides for ring in outline.rings))
    if "height" not in value:
        return Dot(label, np.array([(left, top)]))
    across, down = (number(value.get(key), entry, key) / 100 for key in ("width", "height"))
    upright = frame(label, left, top, left + across, top + down)
    return Frame(label, turn(upright.corners * sides, place, degrees) / sides) if degrees else upright


def _choose_picture(task: Result, results: list[Result], entry: Entry) -> str:
    """Return the path of the picture of a task; which of several it is must be certain.

    Raises:
        UsageError: a task has none, or nothing tells which of several was drawn on.
    """
    data = record(task.get("data"), entry, "data")
    pictures = {key: paths for key, value in data.items() if (paths := _list_pictures(value))}
    if any(result.get("item_index") not in (None, 0) for result in results):
        raise _several(entry, [*pictures], "item_index over 0")
    alike = {fold(_list_names(path)[-1].rpartition("/")[2]) for paths in pictures.values() for path in paths}
    if len(alike) > 1:
        tags = sorted({str(result.get("source") or result.get("to_name")).removeprefix("$") for result in results})
        key = tags[0] if len(tags) == 1 else "" if tags else "image"
        key = "image" if key in _USUAL_TAGS else key
        if len(pictures.get(key, ())) != 1:
            raise _several(entry, [*pictures], f"to_name {', '.join(tags) or 'nowhere'}")
        return pictures[key][0]
    plain = data.get("image")
    first = next((paths[0] for paths in pictures.values()), None)
    return _path_of(
        text((plain if isinstance(plain, str) else None) or first or task.get("file_upload"), entry, "data.image")
    )


def _several(entry: Entry, keys: list[str], found: str) -> UsageError:
    return UsageError(
        f"{entry} has several pictures ({', '.join(keys)}) and {found}, which does not tell which one was drawn on. "
        "Export each picture as a task of its own, with the key image."
    )


def _list_pictures(value: object) -> list[str]:
    """List the paths of pictures in a value of `data`, which may be a list."""
    values = value if isinstance(value, list) else [value]
    paths = [_path_of(url) for url in values if isinstance(url, str)]
    return [path for path in paths if path.rpartition(".")[2].lower() in PHOTO_SUFFIXES]


def _list_names(path: str) -> tuple[str, ...]:
    """Return what a photo may be called on disk: as stored, and as it was before the upload."""
    folder, slash, name = path.rpartition("/")
    shorter = _UPLOAD_PREFIX.sub("", name, count=1) if _UPLOAD_PREFIX.match(name) else None
    return (path,) if shorter is None else (path, folder + slash + shorter)


def _path_of(url: str) -> str:
    """Return the path in a URL: what follows `?d=` of a local file, otherwise what stands before the `?`."""
    try:
        parts = urlsplit(url)
    except ValueError:  # such as http://[: a name on disk may look so
        return url
    if not parts.scheme and not parts.query:
        return unquote(url)
    local = parse_qs(parts.query).get("d")
    return local[0] if local else unquote(parts.path)
