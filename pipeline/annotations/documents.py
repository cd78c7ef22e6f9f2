"""Annotation files, told apart by their content: a `.json` may be of three tools, an `.xml` of two.

Parses a file once, for the reader of its format. Formats that say too little, or are of video, are refused by name.
"""

import json
import re
from typing import Literal, NamedTuple
from xml.etree.ElementTree import Element

from pipeline.core.errors import UsageError
from pipeline.core.xml import parse_xml

Format = Literal["coco", "labelme", "label_studio", "pascal_voc", "cvat"]

SUFFIXES = frozenset({"json", "xml"})
HEAD_BYTES = 1 << 16
"""How much of a file `may_be_document` wants to see."""

_TELLTALES = re.compile(
    rb'"(?:images|annotations|categories|shapes|imagePath|imageData|completions|annotation_id|_via_\w+)"\s*:'
    rb"|<annotations?[\s/>]"
)
_ADVICE = {
    "_via_img_metadata": "a project of the VGG Image Annotator (VIA). Export its annotations as COCO instead",
    "_via_settings": "a project of the VGG Image Annotator (VIA). Export its annotations as COCO instead",
    "annotation_id": "Label Studio's JSON-MIN, which leaves out what is needed. Export as JSON instead",
}
_COMPANIONS = {
    "image_id": "a list of COCO results, which names no photos. Give the file with images, annotations and categories",
    "caption": "COCO captions, which have no places. Give the instances",
    "segments_info": "COCO panoptic, whose places are in pictures. Give the instances",
    "images": "COCO image info, which has no annotations. Give the instances",
    "proposals": "proposals of crackscan, which nobody has looked at. Give what the labelling tool exports",
}
PROPOSALS_BY = "crackscan review"
"""Contributor of a COCO file, and source of a CVAT file, with proposals for people; the tools write their own there."""


class Document(NamedTuple):
    """A parsed file of annotations."""

    url: str
    format: Format
    content: object
    """What JSON holds, or the root element of XML."""

    @property
    def root(self) -> Element:
        """The root element of an XML document."""
        assert isinstance(self.content, Element)  # noqa: S101 - `parse` chose the format by it
        return self.content


class Companion(NamedTuple):
    """A file that lies beside COCO instances and cannot be read itself."""

    url: str
    what: str
    """What it is, and what to give instead."""

    def __str__(self) -> str:
        """Say it in a sentence."""
        return f"{self.url} is {self.what}."


def may_be_document(head: bytes) -> bool:
    """Tell by the first `HEAD_BYTES` whether a file may hold annotations; `parse` knows."""
    plain = _plain(head)
    return plain[:1] in {b"{", b"[", b"<"} and _TELLTALES.search(plain) is not None


def looks_structured(head: bytes) -> bool:
    """Tell whether a file begins as JSON or XML does."""
    return _plain(head)[:1] in {b"{", b"[", b"<"}


def parse(url: str, data: bytes) -> Document | Companion | None:
    """Parse a file; None for JSON or XML that is something else.

    Raises:
        UsageError: it is damaged, or of a format that cannot be read.
    """
    if _plain(data[:HEAD_BYTES])[:1] == b"<":
        root = _parse_xml(url, data)
        if root.tag == "annotations" and root.findtext("meta/source") == PROPOSALS_BY:
            return Companion(url, _COMPANIONS["proposals"])
        kind = _classify_xml(url, root)
        return None if kind is None else Document(url, kind, root)
    content = _parse_json(url, data)
    companion = _find_companion(content)
    if companion is not None:
        return Companion(url, _COMPANIONS[companion])
    found = _classify_json(url, content)
    return None if found is None else Document(url, found, content)


def parse_if_document(url: str, data: bytes) -> Document | Companion | None:
    """Parse a file of a folder, where what is damaged may also be the file of another program: None for that.

    Raises:
        UsageError: it looks like annotations and is damaged, or of a format that cannot be read.
    """
    try:
        return parse(url, data)
    except UsageError:
        if may_be_document(data[:HEAD_BYTES]):
            raise
        return None


def _plain(data: bytes) -> bytes:
    """Strip byte order marks and white space, and what UTF-16 has between the letters."""
    return (
        data.removeprefix(b"\xef\xbb\xbf")
        .removeprefix(b"\xff\xfe")
        .removeprefix(b"\xfe\xff")
        .replace(b"\0", b"")
        .lstrip()
    )


def _parse_json(url: str, data: bytes) -> object:
    try:
        content: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{url} is damaged JSON: {error}. Export the annotations again.") from error
    return content


def _parse_xml(url: str, data: bytes) -> Element:
    try:
        return parse_xml(data)
    except (ValueError, LookupError) as error:  # LookupError: an encoding that Python does not know
        raise UsageError(f"{url} cannot be read as XML: {error}. Export the annotations again.") from error


def _classify_xml(url: str, root: Element) -> Format | None:
    if root.tag == "annotation":
        return "pascal_voc"
    if root.tag != "annotations":
        return None
    if root.find("track") is not None:
        raise _refuse(url, "CVAT for video, since it has tracks. Export it as CVAT for images 1.1 instead")
    return "cvat"


def _classify_json(url: str, content: object) -> Format | None:
    """Tell the format by the keys that its documentation requires."""
    if isinstance(content, dict):
        for key in ("_via_img_metadata", "_via_settings"):
            if key in content:
                raise _refuse(url, _ADVICE[key])
        if isinstance(content.get("shapes"), list):
            return "labelme"
        if "images" in content and ("annotations" in content or "categories" in content):
            return "coco"
        return "label_studio" if _is_task(content) else None
    if not isinstance(content, list) or not content or not isinstance(content[0], dict):
        return None
    first = content[0]
    if _is_task(first):
        return "label_studio"
    if "annotation_id" in first:
        raise _refuse(url, _ADVICE["annotation_id"])
    return None


def _find_companion(content: object) -> str | None:
    """Return the key that tells what a companion of COCO instances is."""
    if isinstance(content, list):
        first = content[0] if content and isinstance(content[0], dict) else {}
        plain = "annotation_id" not in first and not _is_task(first)
        return "image_id" if plain and "image_id" in first and first.keys() & {"bbox", "segmentation"} else None
    if not isinstance(content, dict) or not isinstance(content.get("images"), list) or "shapes" in content:
        return None
    if "annotations" not in content:
        return "images" if "categories" in content else None
    entries = content["annotations"] if isinstance(content["annotations"], list) else []
    if _is_by_us(content.get("info")) and all(isinstance(each, dict) and "score" in each for each in entries):
        return "proposals"
    for key, own in (("caption", "category_id"), ("segments_info", "bbox")):
        if entries and all(isinstance(entry, dict) and key in entry and own not in entry for entry in entries):
            return key
    return None


def _is_by_us(info: object) -> bool:
    return isinstance(info, dict) and info.get("contributor") == PROPOSALS_BY


def _is_task(record: dict[str, object]) -> bool:
    lists = isinstance(record.get("annotations"), list) or isinstance(record.get("completions"), list)
    return lists and isinstance(record.get("data"), dict)


def _refuse(url: str, what: str) -> UsageError:
    return UsageError(f"{url} is {what}.")
