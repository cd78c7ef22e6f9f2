"""YOLO: a text file for each photo, with a line for each object, and the names of the classes in another file.

Format: docs.ultralytics.com/datasets/detect and …/segment. `images/…/a.jpg` has its lines in `labels/…/a.txt`; in
folders of labelImg and Darknet they lie beside the photo. As in Ultralytics, a photo without such a file is one without
objects, as long as its folder of labels has any file; beside photos, where nothing tells a sound photo from one that
nobody has looked at, it is not used.
"""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import yaml

from pipeline import storage
from pipeline.annotations.entries import Entry, coordinates, number, whole
from pipeline.annotations.photos import PhotoFolder, fold
from pipeline.annotations.shapes import AnnotatedPhoto, Label, Shape, area, frame
from pipeline.core.counts import count_of
from pipeline.core.errors import UsageError

IMAGES, LABELS = "images", "labels"
NAMES_FILES = ("classes.txt", "obj.names", "_darknet.labels")
YAML_SUFFIXES = (".yaml", ".yml")
MOST_NAMES_BYTES = 1 << 17
"""Of a file with names; LVIS, with 1,203 classes, has 30 kB. Nested YAML takes seconds for so many."""
FARTHEST = 0.5
"""How far over the photo's edge a coordinate may reach, in parts of its side; pixels reach farther."""

_KEY = re.compile(rb"""(?:^|[\s{,\xbf])["']?(?:names|kpt_shape)["']?\s*:""")
"""What a YAML with names has, indented or not, also after a byte order mark or in braces."""
_PLAIN_KEY = re.compile(rb"""^["']?names["']?\s*:""", re.MULTILINE)
"""As exporters write it: a file with such a line must be readable."""

Files = Sequence[storage.StoredFile]
Names = dict[int, str]


def is_dataset(files: Files) -> bool:
    """Tell by the names of its files whether a folder is a YOLO data set."""
    paths = {fold(file.path) for file in files if not storage.is_hidden(file.path)}
    texts = {path for path in paths if path.endswith(".txt")}
    if any(LABELS in _folders(path) for path in texts) and any(IMAGES in _folders(path) for path in paths - texts):
        return True
    stems = {posixpath.splitext(path)[0] for path in paths - texts}
    named = any(_may_hold_names(path) for path in paths)
    return named and any(posixpath.splitext(path)[0] in stems for path in texts)


def read(folder: PhotoFolder, files: Files) -> Iterator[AnnotatedPhoto]:
    """Yield the photos of a data set; one of which only the file of labels is there has no names.

    Raises:
        UsageError: a line or the names of the classes are wrong, or two files may be the labels of a photo.
    """
    names = _read_names(folder.url, files)
    texts = _index_texts(files)
    labelled = {posixpath.dirname(place) for place in texts}
    text_of = {path: _find_text(path, texts) for path in folder.photos}
    written = [(path, text.url) for path, text in text_of.items() if text is not None]
    for (path, url), data in zip(written, storage.read_many([url for _, url in written]), strict=True):
        yield AnnotatedPhoto(Entry(url, ""), (path,), None, tuple(_read_lines(data, url, names)), relative=True)
    for path in (path for path, text in text_of.items() if text is None):
        place = fold(path)
        if IMAGES in _folders(place) and posixpath.dirname(_list_texts(place)[0]) in labelled:
            yield AnnotatedPhoto(Entry(folder.photos[path], ""), (path,), None, (), assumed_sound=True)
    used = {url for _, url in written}
    for place, found in texts.items():
        for text in found if LABELS in _folders(place) else ():
            if text.url not in used:
                yield AnnotatedPhoto(Entry(text.url, ""), (), None, ())


def _folders(path: str) -> list[str]:
    return path.split("/")[:-1]


def _index_texts(files: Files) -> dict[str, list[storage.StoredFile]]:
    """Return the files that may be labels by their paths, spelled alike; those with names of classes are none."""
    texts: dict[str, list[storage.StoredFile]] = defaultdict(list)
    for file in files:
        place = fold(file.path)
        if place.endswith(".txt") and posixpath.basename(place) not in NAMES_FILES:
            texts[place].append(file)
    return dict(texts)


def _find_text(path: str, texts: Mapping[str, list[storage.StoredFile]]) -> storage.StoredFile | None:
    """Return the labels of a photo, whose name may differ from it in case, or in how macOS composes letters.

    Raises:
        UsageError: several files fit equally well.
    """
    found = next((texts[place] for place in _list_texts(fold(path)) if place in texts), [])
    stem = posixpath.splitext(posixpath.basename(path))[0]
    exact = [text for text in found if posixpath.splitext(posixpath.basename(text.path))[0] == stem]
    best = exact or found
    if len(best) > 1:
        raise UsageError(
            f"{best[0].url} and {best[1].url} may both be the labels of {path!r}; expected one. Remove the other."
        )
    return best[0] if best else None


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
    place = fold(path)
    named = posixpath.basename(place) in NAMES_FILES or place.endswith(YAML_SUFFIXES)
    return named and not storage.is_hidden(path)


def _parse_names(url: str) -> Names:
    """Return the names in a file, none if it is a YAML of something else.

    Raises:
        UsageError: they are damaged, or the YAML is of a data set of poses.
    """
    data = storage.read_bytes(url)
    if url.lower().endswith(YAML_SUFFIXES):
        return _parse_yaml(url, data)
    _check_length(url, data)
    try:
        return _number(data.decode("utf-8-sig").rstrip().splitlines(), url)
    except UnicodeDecodeError as error:
        raise UsageError(f"{url} is damaged: {error}. Expected names of classes.") from error


def _parse_yaml(url: str, data: bytes) -> Names:
    must_be_readable = _PLAIN_KEY.search(data) is not None
    if _KEY.search(data.replace(b"\0", b"")) is None or (len(data) > MOST_NAMES_BYTES and not must_be_readable):
        return {}
    _check_length(url, data)
    try:  # every value stays a text, so that a class may be called `no`
        content = yaml.load(data, Loader=yaml.BaseLoader)  # noqa: S506 - makes nothing but texts, lists and mappings
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
        if not must_be_readable:
            return {}
        raise UsageError(f"{url} is damaged: {error}. Expected names of classes.") from error
    if isinstance(content, dict) and "kpt_shape" in content:
        raise UsageError(
            f"{url} is of a YOLO data set of poses (kpt_shape), whose points say nothing about a surface. Export boxes "
            "or outlines instead, and remove kpt_shape."
        )
    return _number(content["names"], url) if isinstance(content, dict) and "names" in content else {}


def _number(names: object, url: str) -> Names:
    """Return names by the numbers of their classes."""
    pairs = names.items() if isinstance(names, dict) else enumerate(names) if isinstance(names, list) else ()
    found = {int(key): name.strip() for key, name in pairs if isinstance(name, str) and str(key).isdecimal()}
    if len(found) < len(names if isinstance(names, dict | list) else [names]):
        raise Entry(url, "").error("names", names, "a list of texts, or texts by number: `0: crack`")
    return found


def _check_length(url: str, data: bytes) -> None:
    if len(data) > MOST_NAMES_BYTES:
        raise UsageError(
            f"{url} has {count_of(len(data), 'byte')}; expected names of classes, at most {MOST_NAMES_BYTES:,}."
        )
