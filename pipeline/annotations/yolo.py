"""YOLO: a text file for each photo, with a line for each object, and the names of the classes in another file.

Format: docs.ultralytics.com/datasets/detect and …/segment. `images/…/a.jpg` has its lines in `labels/…/a.txt`; in
folders of labelImg and Darknet they lie beside the photo. As in Ultralytics, a photo without such a file is one without
objects, as long as its folder of labels has any file; beside photos, where nothing tells a sound photo from one that
nobody has looked at, it is not used.
"""

import posixpath
import re
from collections.abc import Iterator, Sequence

import yaml

from pipeline import storage
from pipeline.annotations.entries import Entry, coordinates, number, whole
from pipeline.annotations.photos import PhotoFolder
from pipeline.annotations.shapes import AnnotatedPhoto, Label, Shape, area, frame
from pipeline.core.errors import UsageError

IMAGES, LABELS = "images", "labels"
NAMES_FILES = ("classes.txt", "obj.names", "_darknet.labels")
YAML_SUFFIXES = (".yaml", ".yml")
MOST_NAMES_BYTES = 1 << 17
"""Of a file with names; LVIS, with 1,203 classes, has 30 kB. Nested YAML takes seconds for so many."""
FARTHEST = 0.5
"""How far over the photo's edge a coordinate may reach, in parts of its side; pixels reach farther."""

_NAMES_KEY = re.compile(rb"""^["']?names["']?\s*:""", re.MULTILINE)

Files = Sequence[storage.StoredFile]
Names = dict[int, str]


def is_dataset(files: Files) -> bool:
    """Tell by the names of its files whether a folder is a YOLO data set."""
    paths = {file.path for file in files if not storage.is_hidden(file.path)}
    texts = {path for path in paths if path.endswith(".txt")}
    if any(LABELS in _folders(path) for path in texts) and any(IMAGES in _folders(path) for path in paths - texts):
        return True
    stems = {posixpath.splitext(path)[0] for path in paths - texts}
    named = any(posixpath.basename(path) in NAMES_FILES or path.endswith(YAML_SUFFIXES) for path in paths)
    return named and any(posixpath.splitext(path)[0] in stems for path in texts)


def read(folder: PhotoFolder, files: Files) -> Iterator[AnnotatedPhoto]:
    """Yield the photos of a data set.

    Raises:
        UsageError: a line or the names of the classes are wrong.
    """
    names = _read_names(folder.url, files)
    texts = {file.path: file.url for file in files if file.path.endswith(".txt")}
    labelled = {posixpath.dirname(path) for path in texts}
    text_of = {path: next((text for text in _list_texts(path) if text in texts), None) for path in folder.photos}
    written = [(path, texts[text]) for path, text in text_of.items() if text is not None]
    for (path, url), data in zip(written, storage.read_many([url for _, url in written]), strict=True):
        yield AnnotatedPhoto(Entry(url, ""), (path,), None, tuple(_read_lines(data, url, names)), relative=True)
    for path in (path for path, text in text_of.items() if text is None):
        if IMAGES in _folders(path) and posixpath.dirname(_list_texts(path)[0]) in labelled:
            yield AnnotatedPhoto(Entry(folder.photos[path], ""), (path,), None, (), assumed_sound=True)


def _folders(path: str) -> list[str]:
    return path.split("/")[:-1]


def _list_texts(path: str) -> list[str]:
    """List where the lines of a photo may be: below `labels` instead of the last `images`, or beside the photo."""
    beside = posixpath.splitext(path)[0] + ".txt"
    head, images, tail = f"/{beside}".rpartition(f"/{IMAGES}/")
    return [f"{head}/{LABELS}/{tail}".lstrip("/"), beside] if images else [beside]


def _read_lines(data: bytes, url: str, names: Names) -> Iterator[Shape]:
    """Yield the objects of a file: a class with a box, or with an outline, and perhaps with a confidence at the end."""
    for index, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), start=1):
        words, entry = line.split(), Entry(url, f"line {index}")
        if not words:
            continue
        category = whole(words[0], entry, "the class")
        if category < 0 or (names and category not in names):
            raise entry.error("the class", category, f"one of the {len(names)} that have names, from 0 on")
        label = Label((names.get(category, str(category)),), entry)
        if len(words) in {5, 6}:
            x, y, width, height = (_read_part(word, entry) for word in words[1:5])
            yield frame(label, x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        elif len(words) >= 7:
            parts = [_read_part(word, entry) for word in words[1 : 1 + (len(words) - 1) // 2 * 2]]
            yield area(label, coordinates(parts, entry, 3))
        else:
            raise entry.error("the numbers", line, "class, x, y, width and height, or a class and three points")


def _read_part(word: str, entry: Entry) -> float:
    found = number(word, entry, "the coordinate")
    if not -FARTHEST <= found <= 1 + FARTHEST:
        raise entry.error("the coordinate", word, "a part of the photo's side, from 0 to 1")
    return found


def _read_names(folder: str, files: Files) -> Names:
    """Return the names of the classes by their numbers, from the folder or from the one above; empty without any.

    Raises:
        UsageError: a file is damaged, or two files disagree.
    """
    paths = [file.url for file in files if _may_hold_names(file.path)]
    if not paths:
        above = [storage.join(storage.parent(folder), name) for name in ("data.yaml", *NAMES_FILES)]
        paths = [url for url in above if storage.exists(url)]
    found: Names = {}
    said_by: dict[int, str] = {}
    for url in paths:
        for category, name in _parse_names(url).items():
            if found.setdefault(category, name) != name:
                raise UsageError(
                    f"Class {category} is {found[category]!r} in {said_by[category]} and {name!r} in {url}. Remove the "
                    "file that does not belong to these labels."
                )
            said_by.setdefault(category, url)
    return found


def _may_hold_names(path: str) -> bool:
    return not storage.is_hidden(path) and (posixpath.basename(path) in NAMES_FILES or path.endswith(YAML_SUFFIXES))


def _parse_names(url: str) -> Names:
    """Return the names in a file, none if it is a YAML of something else."""
    data, is_yaml = storage.read_bytes(url), url.endswith(YAML_SUFFIXES)
    if is_yaml and _NAMES_KEY.search(data) is None:
        return {}
    if len(data) > MOST_NAMES_BYTES:
        raise UsageError(f"{url} has {len(data):,} bytes; expected names of classes, at most {MOST_NAMES_BYTES:,}.")
    try:
        names = _load_yaml(data) if is_yaml else data.decode("utf-8-sig").rstrip().splitlines()
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
        raise UsageError(f"{url} is damaged: {error}. Expected names of classes.") from error
    pairs = names.items() if isinstance(names, dict) else enumerate(names) if isinstance(names, list) else ()
    found = {int(key): name.strip() for key, name in pairs if isinstance(name, str) and str(key).isdecimal()}
    if len(found) < len(names if isinstance(names, dict | list) else [names]):
        raise Entry(url, "").error("names", names, "a list of texts, or texts by number: `0: crack`")
    return found


def _load_yaml(data: bytes) -> object:
    """Return `names` of a YAML; every value stays a text, so that a class may be called `no`."""
    content = yaml.load(data, Loader=yaml.BaseLoader)  # noqa: S506 - makes nothing but texts, lists and mappings
    return content.get("names") if isinstance(content, dict) else None
