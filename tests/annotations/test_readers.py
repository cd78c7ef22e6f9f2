"""Exports of any format: their files, and the photos that they are about."""

import json
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.annotations import readers
from pipeline.annotations.entries import Size
from pipeline.core.errors import UsageError
from tests.helpers.annotation_files import WRITERS, write_photo

SIZE = Size(30, 40)
RING = [(1.0, 1.0), (30.0, 1.0), (1.0, 20.0)]


def url_of(path: Path) -> str:
    """Return the canonical URL."""
    return storage.canonical(str(path))


def write_labelme(path: Path, photo: str) -> None:
    """Write a labelme file without shapes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"shapes": [], "imagePath": photo, "version": "5.0"}))


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_finds_its_photo(tmp_path: Path, kind: str) -> None:
    """From its folder, and from the file alone."""
    WRITERS[kind](tmp_path, "a.png", SIZE, [RING], "crack")
    write_photo(tmp_path / "other.png", SIZE)
    export = readers.read(url_of(tmp_path))
    assert [storage.name(url) for url in export.photos] == ["a.png"]
    assert export.missing == []
    assert export.unannotated == 1
    (file,) = [f.url for f in storage.list_files(url_of(tmp_path)) if f.path.endswith((".json", ".xml", ".yaml"))]
    assert readers.read(file).photos.keys() == export.photos.keys()


def test_endings_do_not_matter_to_a_file(tmp_path: Path) -> None:
    """A file is read by its content."""
    WRITERS["cvat"](tmp_path, "a.png", SIZE, [RING], "crack")
    (tmp_path / "annotations.xml").rename(tmp_path / "export.txt")
    assert readers.is_export(url_of(tmp_path / "export.txt"))
    assert len(readers.read(url_of(tmp_path / "export.txt")).photos) == 1


def test_what_several_files_say_of_a_photo(tmp_path: Path) -> None:
    """Everything counts: COCO's training and validation files may name one photo."""
    WRITERS["coco"](tmp_path, "a.png", SIZE, [RING], "crack")
    first = tmp_path / "annotations" / "instances.json"
    (tmp_path / "annotations" / "more.json").write_bytes(first.read_bytes())
    ((photo, again),) = readers.read(url_of(tmp_path)).photos.values()
    assert len(photo.shapes) == len(again.shapes) == 1


def test_other_files_in_the_folder(tmp_path: Path) -> None:
    """JSON and XML of other tools are left out, and so are hidden files."""
    write_labelme(tmp_path / "a.json", "a.png")
    write_photo(tmp_path / "a.png", SIZE)
    (tmp_path / "notes.json").write_text('{"categories": []}')
    (tmp_path / "a.png.aux.xml").write_text("<PAMDataset/>")
    (tmp_path / ".cache.json").write_text("{")
    assert len(readers.read(url_of(tmp_path)).photos) == 1


def test_one_damaged_file_among_many(tmp_path: Path) -> None:
    """It is not passed over."""
    write_labelme(tmp_path / "a.json", "a.png")
    write_photo(tmp_path / "a.png", SIZE)
    (tmp_path / "b.json").write_text('{"shapes": [')
    with pytest.raises(UsageError, match=r"b\.json is damaged JSON: .* Export the annotations again\.$"):
        readers.read(url_of(tmp_path))


def test_two_entries_that_lead_to_one_photo(tmp_path: Path) -> None:
    """Where one of two photos of a name is gone, its annotations are not laid over the other."""
    write_labelme(tmp_path / "x" / "1.json", "1.png")
    write_labelme(tmp_path / "y" / "1.json", "1.png")
    write_photo(tmp_path / "y" / "1.png", SIZE)
    with pytest.raises(UsageError) as error:
        readers.read(url_of(tmp_path))
    assert str(error.value) == (
        f"Two annotated photos, 'x/1.png' and 'y/1.png', both lead to file://{tmp_path}/y/1.png, the second by "
        f"file://{tmp_path}/y/1.json. Add the photo that is missing, or give their folders one by one."
    )


def test_two_uploads_of_one_name(tmp_path: Path) -> None:
    """Label Studio tells them apart by eight digits that the photos on disk have not."""
    tasks = [
        {"data": {"image": f"/data/upload/1/{digit * 8}-a.png"}, "annotations": [{"result": []}]} for digit in "12"
    ]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    write_photo(tmp_path / "a.png", SIZE)
    with pytest.raises(UsageError, match=r"both lead to file://.*/a\.png, the second by task 1 of "):
        readers.read(url_of(tmp_path))


def test_photos_beside_the_folder(tmp_path: Path) -> None:
    """A path with `..`, as labelme writes it on Windows, leads out of a folder that holds JSON alone."""
    write_labelme(tmp_path / "json" / "1.json", "..\\images\\1.png")
    write_photo(tmp_path / "images" / "1.png", SIZE)
    export = readers.read(url_of(tmp_path / "json"))
    assert list(export.photos) == [f"file://{tmp_path}/images/1.png"]


def test_no_photo_at_all(tmp_path: Path) -> None:
    """Annotations without any photo are a mistake; the error says where photos were looked for."""
    write_labelme(tmp_path / "annotations" / "1.json", "1.png")
    with pytest.raises(UsageError) as error:
        readers.read(url_of(tmp_path / "annotations" / "1.json"))
    assert str(error.value) == (
        f"Not even the one photo that file://{tmp_path}/annotations/1.json names was found below file://{tmp_path}; "
        "the first is '1.png'. Put the photos beside their annotations."
    )


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    """The formats that are known are listed."""
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(UsageError) as error:
        readers.read(url_of(tmp_path / "a.json"))
    assert str(error.value) == (
        f"file://{tmp_path}/a.json holds no annotations that crackscan knows; expected COCO instances, labelme, Label "
        "Studio (JSON), Pascal VOC or CVAT for images (XML)."
    )


@pytest.mark.parametrize(
    ("name", "data", "is_export"),
    [
        ("a.json", b"{}", True),
        ("a.json", b"\xef\xbb\xbf [", True),
        ("a", b"<annotation>", True),
        ("data.yaml", b"", True),
        ("a.csv", b"[", False),
        ("a.parquet", b"PAR1", False),
        ("a.txt", b"path,label", False),
        ("a.jpg", b"\xff\xd8\xff", False),
        ("empty.json", b"", False),
    ],
)
def test_files_that_may_be_exports(tmp_path: Path, name: str, data: bytes, *, is_export: bool) -> None:
    """What begins as JSON or XML is, and tables are not."""
    (tmp_path / name).write_bytes(data)
    assert readers.is_export(url_of(tmp_path / name)) is is_export


def test_a_folder_of_other_json_is_no_export(tmp_path: Path) -> None:
    """Notes beside sorted tiles stay notes, whatever words are in them."""
    write_photo(tmp_path / "Positive" / "a.png", SIZE)
    (tmp_path / "Positive" / "a.json").write_text('{"annotations": "none", "imagePath": "a.png"}')
    assert not readers.is_export(url_of(tmp_path))


CAPTIONS = json.dumps({"images": [], "annotations": [{"image_id": 1, "caption": "a wall"}]})


def test_what_lies_beside_instances(tmp_path: Path) -> None:
    """It is told, and refused where nothing else is there."""
    WRITERS["coco"](tmp_path, "a.png", SIZE, [RING], "crack")
    captions = tmp_path / "annotations" / "captions.json"
    captions.write_text(CAPTIONS)
    export = readers.read(url_of(tmp_path))
    assert len(export.photos) == 1
    told = f"file://{captions} is COCO captions, which have no places. Give the instances."
    assert [str(companion) for companion in export.companions] == [told]
    (tmp_path / "annotations" / "instances.json").unlink()
    for place in (tmp_path, captions):
        with pytest.raises(UsageError) as error:
            readers.read(url_of(place))
        assert str(error.value) == told


def test_yolo_beside_documents(tmp_path: Path) -> None:
    """Both count, and a photo that a document has is not assumed to be sound."""
    WRITERS["yolo"](tmp_path, "a.png", SIZE, [RING], "crack")
    for name in ("b.png", "c.png"):
        write_photo(tmp_path / "images" / "train" / name, SIZE)
    write_labelme(tmp_path / "images" / "train" / "b.json", "b.png")
    write_labelme(tmp_path / "json" / "a.json", "a.png")
    export = readers.read(url_of(tmp_path))
    said = {storage.name(url): photos for url, photos in export.photos.items()}
    assert [len(photo.shapes) for photo in said["a.png"]] == [0, 1]
    assert [photo.assumed_sound for photo in said["b.png"]] == [False]
    assert [photo.assumed_sound for photo in said["c.png"]] == [True]


def test_an_export_below_many_other_files(tmp_path: Path) -> None:
    """Likely names come first, so no number of other JSON hides it."""
    WRITERS["coco"](tmp_path / "deep", "a.png", SIZE, [RING], "crack")
    for index in range(readers.MOST_HEADS):
        (tmp_path / f"{index}.json").write_text("{}")
    assert readers.is_export(url_of(tmp_path))
    (tmp_path / "deep" / "annotations").rename(tmp_path / "deep" / "x")
    (tmp_path / "deep" / "x" / "instances.json").rename(tmp_path / "deep" / "x" / "y.json")
    (tmp_path / "0.json").unlink()
    assert readers.is_export(url_of(tmp_path))


def test_damaged_files_of_other_programs_in_a_folder(tmp_path: Path) -> None:
    """They do not stop a run."""
    WRITERS["coco"](tmp_path, "a.png", SIZE, [RING], "crack")
    for name, text in {"tsconfig.json": "{ // why", "empty.json": "", "x.xml": "<!DOCTYPE x><x/>"}.items():
        (tmp_path / name).write_text(text)
    assert len(readers.read(url_of(tmp_path)).photos) == 1
