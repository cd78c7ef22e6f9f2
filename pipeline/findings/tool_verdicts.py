"""Verdicts from what labelling tools export: Label Studio, CVAT, COCO, and the other formats of `annotations`.

`review.tasks` writes the pictures, whose names say what they show. The rule in full, for each picture that somebody has
looked at; in Label Studio, for each annotation that somebody has submitted:

* A word about the picture is the verdict: the choice of Label Studio, the tag of CVAT, the flag of labelme.
* A box with an answer on a whole photo is a verdict on that place, beside the one on the photo.
* Without a word, anything else that is called a crack says `crack`. A task of Label Studio that was submitted without
  anything says `no_crack`.
* Nothing else says anything: an empty picture of CVAT or COCO may be one that nobody has reached.

What a person has left as the model proposed it counts where a word, or the submission, tells that somebody has looked.
Otherwise it does not: in CVAT, shapes with the source `file` or `auto`; in COCO, annotations with a `score`.

Answers are `crack`, `no_crack` and `unclear`, and Positive and Negative as in tables of labels, in any case. A picture
whose name is not ours is passed on under its own name, so that whoever looks it up tells that it is unknown.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from pipeline import storage
from pipeline.annotations import cvat, label_studio, readers
from pipeline.annotations.documents import SUFFIXES, Companion, Document, parse, parse_if_document
from pipeline.annotations.entries import Entry, Size, record, sequence
from pipeline.annotations.shapes import AnnotatedPhoto, Frame, Remark, Shape, scale
from pipeline.core.errors import UsageError
from pipeline.dataset.beside import ANSWERS
from pipeline.findings.picture_names import PictureName, parse_facts, parse_name
from pipeline.findings.verdict_files import Said, VerdictFile
from pipeline.labels.boxes import Box
from pipeline.labels.label_tables import ClassNames

UNTOUCHED = frozenset({"auto", "file"})
"""Sources of CVAT for what a program has drawn, or has come from a file; what a person changes becomes another."""

_CLASSES = ClassNames()


class Seen(NamedTuple):
    """What one person says of one picture."""

    photo: AnnotatedPhoto
    name: PictureName | None
    """What it shows; None for a picture of others."""
    is_submitted: bool = False
    """Whether somebody has said that nothing more is to be added."""
    comment: str | None = None
    by: str | None = None
    judged_at: datetime | None = None


def read(url: str) -> VerdictFile:
    """Read the verdicts of an export.

    Args:
        url: canonical URL of a file, or of a folder with several.

    Raises:
        UsageError: a file is none of a tool that is known, or damaged; or a picture has two answers.
    """
    said: list[Said] = []
    unanswered = 0
    for document in _read_documents(url):
        for seen in _READERS.get(document.format, _read_others)(document):
            found = list(_judge(seen))
            said += found
            unanswered += not found
    return VerdictFile(said, unanswered)


def _read_documents(url: str) -> Iterator[Document]:
    """Yield the documents of a file or folder.

    Raises:
        UsageError: there is none.
    """
    if not storage.is_folder(url):
        found = parse(url, storage.read_bytes(url))
        if isinstance(found, Document):
            yield found
            return
        raise UsageError(_refuse(url) if found is None else str(found))
    files = [file.url for file in storage.list_files(url) if file.path.rpartition(".")[2].lower() in SUFFIXES]
    parsed = [parse_if_document(file, data) for file, data in zip(files, storage.read_many(files), strict=True)]
    documents = [each for each in parsed if isinstance(each, Document)]
    if not documents:
        companions = [str(each) for each in parsed if isinstance(each, Companion)]
        raise UsageError(companions[0] if companions else _refuse(url))
    yield from documents


def _refuse(url: str) -> str:
    return (
        f"{url} holds no verdicts that crackscan knows; expected review.csv with its labels filled in, what the page "
        "of `crackscan review --page` saved, or an export of Label Studio (JSON), CVAT for images (XML) or COCO "
        "instances."
    )


def _read_label_studio(document: Document) -> Iterator[Seen]:
    """Yield each annotation of each task, with who made it and when."""
    tasks = [*label_studio.list_tasks(document)]
    annotations = [[*_list_annotations(task, entry)] for entry, task in tasks]
    people = {_name_person(each) for of_task in annotations for each in of_task}
    for (entry, task), of_task in zip(tasks, annotations, strict=True):
        data = record(task.get("data"), entry, "data")
        for annotation in of_task:
            photo = label_studio.read_task(task | {"annotations": [annotation]}, entry)
            if photo is not None:
                person, is_named = _name_person(annotation)
                by = person if is_named or len(people) > 1 else None
                name = parse_facts(data) or _find_name(photo)
                comment, time = _find_comment(annotation, entry), _find_time(annotation)
                yield Seen(photo, name, is_submitted=True, comment=comment, by=by, judged_at=time)


def _list_annotations(task: dict[str, object], entry: Entry) -> Iterator[dict[str, object]]:
    annotations = task.get("annotations", task.get("completions"))
    for index, value in enumerate(sequence(annotations, entry, "annotations")):
        yield record(value, entry.part(f"annotation {index}"), "the content")


def _name_person(annotation: dict[str, object]) -> tuple[str | None, bool]:
    """Return who made an annotation, and whether that is a name: most exports have numbers."""
    person = annotation.get("completed_by")
    if isinstance(person, dict):
        email, key = person.get("email"), person.get("id")
        return (email, True) if isinstance(email, str) and email else (f"Label Studio user {key}", False)
    if isinstance(person, str) and person:
        return person, True
    return (None, False) if person is None else (f"Label Studio user {person}", False)


def _find_time(annotation: dict[str, object]) -> datetime | None:
    """Return when an annotation was changed last; None if it does not say, or is ahead of this machine's clock."""
    for key in ("updated_at", "created_at"):
        try:
            time = datetime.fromisoformat(str(annotation.get(key)))
            time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except (ValueError, OverflowError):
            continue
        return time if time <= datetime.now(UTC) else None
    return None


def _find_comment(annotation: dict[str, object], entry: Entry) -> str | None:
    """Return what was written beside a picture, the lines of a text area one below the other."""
    lines: list[str] = []
    for value in sequence(annotation.get("result"), entry, "result"):
        result = record(value, entry, "a result")
        found = result.get("value")
        text = found.get("text") if result.get("type") == "textarea" and isinstance(found, dict) else None
        lines += [line for line in (text if isinstance(text, list) else [text]) if isinstance(line, str)]
    return "\n".join(lines).strip() or None


def _read_cvat(document: Document) -> Iterator[Seen]:
    """Yield the pictures, without what nobody has looked at: with a tag, somebody has."""
    images = [*document.root.iter("image")]
    for image in images:
        if image.find("tag") is None:
            for shape in image:
                if shape.get("source") in UNTOUCHED:
                    shape.set("label", "")
    for image, photo in zip(images, cvat.read(document), strict=True):
        comments = [
            (attribute.text or "").strip()
            for attribute in image.iterfind("tag/attribute")
            if attribute.get("name") == "comment"
        ]
        yield Seen(photo, _find_name(photo), comment="\n".join(filter(None, comments)) or None)


_PROPOSED = "proposed by a model"
"""The id of a category without a name."""


def _read_coco(document: Document) -> Iterator[Seen]:
    """Yield the pictures; an annotation with a `score` is a model's, and gets a category without a name."""
    content = document.content if isinstance(document.content, dict) else {}
    annotations, categories = content.get("annotations"), content.get("categories")
    if isinstance(annotations, list) and isinstance(categories, list):
        own = [
            each | {"category_id": _PROPOSED} if isinstance(each, dict) and "score" in each else each
            for each in annotations
        ]
        changed = content | {"annotations": own, "categories": [*categories, {"id": _PROPOSED}]}
        yield from _read_others(document._replace(content=changed))
    else:
        yield from _read_others(document)  # refuses it


def _read_others(document: Document) -> Iterator[Seen]:
    for photo in readers.READERS[document.format](document):
        yield Seen(photo, _find_name(photo))


_READERS: dict[str, Callable[[Document], Iterator[Seen]]] = {
    "label_studio": _read_label_studio,
    "cvat": _read_cvat,
    "coco": _read_coco,
}


def _find_name(photo: AnnotatedPhoto) -> PictureName | None:
    return next((name for text in photo.names if (name := parse_name(text)) is not None), None)


def _judge(seen: Seen) -> Iterator[Said]:
    """Yield the verdict on a picture, and those on places in it.

    Raises:
        UsageError: the picture or a place has two answers.
    """
    photo, name = seen.photo, seen.name
    places = [] if name is None or name.subject == "tile" else [shape for shape in photo.shapes if _is_place(shape)]
    rest = [shape for shape in photo.shapes if not any(shape is place for place in places)]
    answer = _find_answer(rest, photo.entry)
    if answer is None and seen.is_submitted and not photo.shapes:
        answer = "no_crack"
    if answer is not None:
        yield _make_said(seen, answer, name.box if name is not None and name.subject == "tile" else None)
    shapes_of = defaultdict[Box, list[Shape]](list)
    for shape in places:
        assert name is not None  # noqa: S101 - only pictures with a name have places
        shapes_of[_find_box(shape, photo, name)].append(shape)
    for box, shapes in shapes_of.items():
        words = {word for shape in shapes if (word := _read_answer(shape)) is not None}
        if len(words) > 1:
            raise shapes[1].label.entry.error("the answers", sorted(words), "one for the same box")
        yield _make_said(seen, words.pop(), box)


def _is_place(shape: Shape) -> bool:
    return isinstance(shape, Frame) and _read_answer(shape) is not None


def _find_answer(shapes: Sequence[Shape], entry: Entry) -> str | None:
    """Return what is said of a picture.

    Raises:
        UsageError: there are two answers.
    """
    words = {word for shape in shapes if isinstance(shape, Remark) and (word := _read_answer(shape)) is not None}
    drawn = {word for shape in shapes if not isinstance(shape, Remark) and (word := _read_answer(shape)) is not None}
    found = words or ({"crack"} if "crack" in drawn else drawn)
    if len(found) > 1:
        raise entry.error("the answers", sorted(found), "one")
    return next(iter(found), None)


def _read_answer(shape: Shape) -> str | None:
    """Return the answer that a label stands for; None for any other word."""
    for name in shape.label.names:
        word = name.strip().casefold().replace(" ", "_")
        cracked = _CLASSES.parse(name)
        if word in ANSWERS or cracked is not None:
            return word if cracked is None else "crack" if cracked else "no_crack"
    return None


def _find_box(shape: Shape, photo: AnnotatedPhoto, name: PictureName) -> Box:
    """Return the whole pixels of the photo that a box on its picture covers; the picture may have been shrunk."""
    height_px, width_px = name.box.height_px, name.box.width_px
    size = Size(1, 1) if photo.relative else photo.size or Size(height_px, width_px)
    drawn = scale(shape, (width_px / size.width_px, height_px / size.height_px))
    assert isinstance(drawn, Frame)  # noqa: S101 - `_is_place` chose it
    left, top = (max(0, round(value)) for value in drawn.corners.min(axis=0).tolist())
    right, bottom = (round(value) for value in drawn.corners.max(axis=0).tolist())
    inside = Box(top, left, max(1, min(bottom, height_px) - top), max(1, min(right, width_px) - left))
    return inside._replace(top_px=inside.top_px + name.box.top_px, left_px=inside.left_px + name.box.left_px)


def _make_said(seen: Seen, verdict: str, box: Box | None) -> Said:
    """Make the verdict on a place; on the photo, if it has no box."""
    photo, name = seen.photo, seen.name
    return Said(
        str(photo.entry),
        verdict,
        "photo" if box is None else "tile",
        image_id=None if name is None else name.image_id,
        image=None if name is not None else photo.names[0] if photo.names else photo.entry.url,
        box=box,
        comment=seen.comment,
        by=seen.by,
        judged_at=seen.judged_at,
        pick=None if name is None else name.pick,
        weight=None if name is None else name.weight,
    )
