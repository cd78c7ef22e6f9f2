"""An export, whatever its format: the photos that it is about, found on disk, with everything that it says of them.

Start here: `read` takes a file or a folder. `documents` tells the formats apart by their content. A folder may also be
a YOLO data set, which has no such files; where it has both, both count.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from pipeline import storage
from pipeline.annotations import coco, cvat, documents, label_studio, labelme, pascal_voc, yolo
from pipeline.annotations.documents import Companion, Document, Format
from pipeline.annotations.photos import PhotoFolder, fold
from pipeline.annotations.shapes import AnnotatedPhoto
from pipeline.core.counts import none_of
from pipeline.core.errors import UsageError

ANNOTATION_FOLDERS = frozenset({"annotations", "annotation", "labels", "json", "xml", "ann", "label"})
"""Folders that hold annotations only, in small letters: the photos lie beside them."""
MOST_HEADS = 1000
"""Files whose beginnings tell what a folder is, those with likely names first, then the topmost; reading so many takes
a second from a disk."""
_LIKELY_NAME = re.compile(r"annot|instances|coco|label|result|export|project|task|cvat", re.IGNORECASE)
READERS: dict[Format, Callable[[Document], Iterator[AnnotatedPhoto]]] = {
    "coco": coco.read,
    "cvat": cvat.read,
    "label_studio": label_studio.read,
    "labelme": labelme.read,
    "pascal_voc": pascal_voc.read,
}
"""Format of a document to its reader."""


class Export(NamedTuple):
    """What was read."""

    photos: dict[str, list[AnnotatedPhoto]]
    """URL of each photo to what the export says of it, maybe in several places."""
    missing: list[str]
    """Names of annotated photos that were not found."""
    unannotated: int
    """Photos in the folder of which the export says nothing, camera RAW too."""
    companions: list[Companion]
    """Files beside COCO instances that cannot be read themselves."""


class _Found(NamedTuple):
    """Annotated photos, and where they are."""

    photos: dict[str, list[AnnotatedPhoto]]
    missing: list[str]


def is_export(url: str) -> bool:
    """Tell whether a file or folder holds annotations, from a few beginnings of files.

    Raises:
        UsageError: a file is damaged, or of a format that cannot be read.
    """
    if storage.is_folder(url):
        return _is_export_folder(storage.list_files(url))
    if url.lower().endswith((".csv", ".parquet")):
        return False
    return url.lower().endswith(yolo.YAML_SUFFIXES) or documents.looks_structured(_read_head(url))


def read(url: str) -> Export:
    """Read an export.

    Args:
        url: canonical URL of a file or of a folder with several.

    Raises:
        UsageError: a file is damaged, or of an unknown format; an entry is wrong; photos cannot be told apart, or none
            was found.
    """
    is_folder = storage.is_folder(url)
    root = url if is_folder else _photo_root(url)
    files = [file for file in storage.list_files(root) if not storage.is_hidden(file.path)]
    folder = PhotoFolder(root, files)
    is_yaml = not is_folder and url.lower().endswith(yolo.YAML_SUFFIXES)
    given = [file.url for file in _list_documents(files)] if is_folder else [] if is_yaml else [url]
    companions: list[Companion] = []
    drawn = _find_photos(_read_documents(given, companions, is_folder=is_folder), folder)
    if is_yaml or (is_folder and (yolo.is_dataset(files) or not (drawn.photos or drawn.missing or companions))):
        listed = _find_photos(yolo.read(folder, files), folder)
        drawn = _merge(drawn, listed)
    if companions and not drawn.photos and not drawn.missing:
        raise UsageError(str(companions[0]))
    if drawn.missing and not drawn.photos:
        raise UsageError(
            f"{none_of(len(drawn.missing), 'photo')} that {url} names was found below {root}; the first is "
            f"{drawn.missing[0]!r}. Put the photos beside their annotations."
        )
    return Export(drawn.photos, drawn.missing, _count_unannotated(folder, drawn), companions)


def _find_photos(annotated: Iterable[AnnotatedPhoto], folder: PhotoFolder) -> _Found:
    """Find the photos of one way of naming them.

    Raises:
        UsageError: entries of different paths lead to one photo.
    """
    found = _Found({}, [])
    paths: dict[str, str] = {}
    for photo in annotated:
        match = folder.find(photo.names, photo.entry)
        if match is None:
            found.missing.append(photo.names[0] if photo.names else photo.entry.url)
            continue
        if paths.setdefault(match.url, match.path) != match.path:
            raise UsageError(
                f"Two annotated photos, {paths[match.url]!r} and {match.path!r}, both lead to {match.url}, the second "
                f"by {photo.entry}. Add the photo that is missing, or give their folders one by one."
            )
        found.photos.setdefault(match.url, []).append(photo)
    return found


def _merge(drawn: _Found, listed: _Found) -> _Found:
    """Return what documents and YOLO's files of labels say; a photo that a document has is not assumed to be sound."""
    photos = {url: [*said] for url, said in drawn.photos.items()}
    for url, said in listed.photos.items():
        known = photos.setdefault(url, [])
        known += [photo for photo in said if not (known and photo.assumed_sound)]
    return _Found(photos, drawn.missing + listed.missing)


def _count_unannotated(folder: PhotoFolder, found: _Found) -> int:
    """Count the photos of which nothing is said; one that is missing because it is camera RAW is counted as missing."""
    stems = {_stem(name) for name in found.missing}
    others = sum(_stem(path) not in stems for path in folder.others)
    return others + sum(url not in found.photos for url in folder.photos.values())


def _stem(path: str) -> str:
    return fold(posixpath.splitext(posixpath.basename(path.replace("\\", "/")))[0])


def _is_export_folder(files: Sequence[storage.StoredFile]) -> bool:
    if yolo.is_dataset(files):
        return True
    likeliest = sorted(
        _list_documents(files),
        key=lambda file: (_LIKELY_NAME.search(file.path) is None, file.path.count("/"), file.path),
    )
    return any(
        documents.may_be_document(_read_head(file.url)) and _is_document(file.url) for file in likeliest[:MOST_HEADS]
    )


def _is_document(url: str) -> bool:
    return documents.parse(url, storage.read_bytes(url)) is not None


def _list_documents(files: Sequence[storage.StoredFile]) -> list[storage.StoredFile]:
    """List the files of a folder that may be annotations by their endings."""
    return [
        file
        for file in files
        if file.path.rpartition(".")[2].lower() in documents.SUFFIXES and not storage.is_hidden(file.path)
    ]


def _read_head(url: str) -> bytes:
    return b"".join(storage.read_ranges(url, [(0, documents.HEAD_BYTES)]))


def _photo_root(url: str) -> str:
    """Return the folder of an annotation file, or the one above if that is for annotations only."""
    folder = storage.parent(url)
    return storage.parent(folder) if storage.name(folder).lower() in ANNOTATION_FOLDERS else folder


def _read_documents(urls: Sequence[str], companions: list[Companion], *, is_folder: bool) -> Iterator[AnnotatedPhoto]:
    """Yield what documents say, and note their companions.

    Raises:
        UsageError: a document is damaged, or a file that was given is none.
    """
    parse = documents.parse_if_document if is_folder else documents.parse
    for url, data in zip(urls, storage.read_many(urls), strict=True):
        document = parse(url, data)
        if isinstance(document, Companion):
            companions.append(document)
        elif document is not None:
            yield from READERS[document.format](document)
        elif not is_folder:
            raise UsageError(
                f"{url} holds no annotations that crackscan knows; expected COCO instances, labelme, Label Studio "
                "(JSON), Pascal VOC or CVAT for images (XML)."
            )
