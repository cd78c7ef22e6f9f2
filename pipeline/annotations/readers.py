"""An export, whatever its format: the photos that it is about, found on disk, with everything that it says of them.

Start here: `read` takes a file or a folder. `documents` tells the formats apart by their content; a folder without such
files may be a YOLO data set, which has none.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from pipeline import storage
from pipeline.annotations import coco, cvat, documents, label_studio, labelme, pascal_voc, yolo
from pipeline.annotations.documents import Document, Format
from pipeline.annotations.photos import PhotoFolder
from pipeline.annotations.shapes import AnnotatedPhoto
from pipeline.core.errors import UsageError

ANNOTATION_FOLDERS = frozenset({"annotations", "annotation", "labels", "json", "xml", "ann", "label"})
"""Folders that hold annotations only, in small letters: the photos lie beside them."""
MOST_HEADS = 64
"""Files whose beginnings tell what a folder is, the topmost first."""
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
    """Photos in the folder of which the export says nothing."""


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
    photos: dict[str, list[AnnotatedPhoto]] = {}
    paths: dict[str, str] = {}
    missing: list[str] = []
    for photo in _read_photos(url, folder, files, is_folder=is_folder):
        match = folder.find(photo.names, photo.entry)
        if match is None:
            missing.append(photo.names[0])
            continue
        if paths.setdefault(match.url, match.path) != match.path:
            raise UsageError(
                f"Two annotated photos, {paths[match.url]!r} and {match.path!r}, both lead to {match.url}, the second "
                f"by {photo.entry}. Add the photo that is missing, or give their folders one by one."
            )
        photos.setdefault(match.url, []).append(photo)
    if missing and not photos:
        raise UsageError(
            f"None of the {len(missing)} photos that {url} names was found below {root}; the first is {missing[0]!r}. "
            "Put the photos beside their annotations."
        )
    return Export(photos, missing, sum(photo not in photos for photo in folder.photos.values()))


def _is_export_folder(files: Sequence[storage.StoredFile]) -> bool:
    texts = sorted(_list_documents(files), key=lambda file: (file.path.count("/"), file.path))
    for file in texts[:MOST_HEADS]:
        if documents.may_be_document(_read_head(file.url)) and _is_document(file.url):
            return True
    return yolo.is_dataset(files)


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


def _read_photos(
    url: str, folder: PhotoFolder, files: Sequence[storage.StoredFile], *, is_folder: bool
) -> Iterator[AnnotatedPhoto]:
    if not is_folder and url.lower().endswith(yolo.YAML_SUFFIXES):
        yield from yolo.read(folder, files)
        return
    urls = [file.url for file in _list_documents(files)] if is_folder else [url]
    found = False
    for place, data in zip(urls, storage.read_many(urls), strict=True):
        document = documents.parse(place, data)
        if document is not None:
            found = True
            yield from READERS[document.format](document)
    if not found and not is_folder:
        raise UsageError(
            f"{url} holds no annotations that crackscan knows; expected COCO instances, labelme, Label Studio (JSON), "
            "Pascal VOC or CVAT for images (XML)."
        )
    if not found:
        yield from yolo.read(folder, files)
