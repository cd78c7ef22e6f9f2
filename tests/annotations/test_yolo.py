"""YOLO: the examples of its documentation, where files lie, and the names of classes."""

from pathlib import Path

import numpy as np
import pytest

from pipeline import storage
from pipeline.annotations import readers, yolo
from pipeline.annotations.entries import Size
from pipeline.annotations.photos import PhotoFolder
from pipeline.annotations.shapes import AnnotatedPhoto, Area, Frame
from pipeline.core.errors import UsageError
from tests.helpers.annotation_files import write_photo

ENDS = "Correct or remove the entry, or export the annotations again."


def write(folder: Path, files: dict[str, str]) -> str:
    """Write files, an empty text for each photo, and return the folder's URL."""
    for path, text in files.items():
        if path.endswith(".png"):
            write_photo(folder / path, Size(8, 10))
        else:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
    return storage.canonical(str(folder))


def read(folder: Path, files: dict[str, str]) -> list[AnnotatedPhoto]:
    """Write and read a data set."""
    url = write(folder, files)
    listing = storage.list_files(url)
    assert yolo.is_dataset(listing)
    return list(yolo.read(PhotoFolder(url, listing), listing))


def test_the_example_of_outlines(tmp_path: Path) -> None:
    """Both lines of docs.ultralytics.com/datasets/segment are read, in parts of the photo."""
    text = "0 0.681 0.485 0.670 0.487 0.676 0.487\n1 0.504 0.000 0.501 0.004 0.498 0.004 0.493 0.010 0.492 0.0104\n"
    files = {"images/a.png": "", "labels/a.txt": text, "data.yaml": "names:\n  0: person\n  1: bicycle\n"}
    (photo,) = read(tmp_path, files)
    assert photo.relative
    assert photo.size is None
    first, second = photo.shapes
    assert isinstance(first, Area)
    assert isinstance(second, Area)
    assert first.rings[0].tolist() == [[0.681, 0.485], [0.670, 0.487], [0.676, 0.487]]
    assert len(second.rings[0]) == 5
    assert [shape.label.names for shape in photo.shapes] == [("person",), ("bicycle",)]


def test_the_example_of_boxes(tmp_path: Path) -> None:
    """The line of docs.ultralytics.com/datasets/detect is centre and size, with or without a confidence."""
    text = "45 0.479492 0.688771 0.955609 0.5955\n45 0.479492 0.688771 0.955609 0.5955 0.87\n"
    (photo,) = read(tmp_path, {"images/a.png": "", "labels/a.txt": text})
    for box in photo.shapes:
        assert isinstance(box, Frame)
        assert box.label.names == ("45",)
        assert np.allclose(box.corners[[0, 2]], [[0.0016875, 0.391021], [0.9572965, 0.986521]])


def test_a_turned_box(tmp_path: Path) -> None:
    """The four corners of docs.ultralytics.com/datasets/obb are a box, and so is Roboflow's closed outline of one."""
    corners = "0 0.1 0.2 0.3 0.1 0.4 0.3 0.2 0.4\n0 0.1 0.1 0.5 0.1 0.5 0.3 0.1 0.3 0.1 0.1"
    (photo,) = read(tmp_path, {"images/a.png": "", "labels/a.txt": corners})
    assert [type(shape) for shape in photo.shapes] == [Frame, Frame]


@pytest.mark.parametrize(
    ("photo", "labels"),
    [
        ("images/train/a.png", "labels/train/a.txt"),
        ("train/images/a.png", "train/labels/a.txt"),
        ("x/images/y/images/a.png", "x/images/y/labels/a.txt"),
        ("a.png", "a.txt"),
        ("obj_train_data/a.png", "obj_train_data/a.txt"),
        ("images/a.png", "images/a.txt"),
    ],
)
def test_where_the_lines_of_a_photo_are(tmp_path: Path, photo: str, labels: str) -> None:
    """Below `labels` instead of the last `images`, or beside it."""
    (found,) = read(tmp_path, {photo: "", labels: "0 0.5 0.5 0.5 0.5", "classes.txt": "crack\n"})
    assert found.entry.url.endswith(f"/{labels}")
    assert [shape.label.names for shape in found.shapes] == [("crack",)]


def test_photos_without_lines(tmp_path: Path) -> None:
    """An empty file is a photo of nothing, and so is a missing one in a folder with labels; beside photos it is not."""
    files = {"images/a/1.png": "", "images/a/2.png": "", "labels/a/1.txt": "", "images/b/3.png": "", "data.yaml": ""}
    assert [(photo.names, photo.shapes, photo.assumed_sound) for photo in read(tmp_path / "x", files)] == [
        (("images/a/1.png",), (), False),
        (("images/a/2.png",), (), True),
    ]
    beside = {"1.png": "", "2.png": "", "1.txt": "\n", "classes.txt": "crack"}
    assert [photo.names for photo in read(tmp_path / "y", beside)] == [("1.png",)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.yaml", "names: [stain, crack]"),
        ("dataset.yml", "nc: 2\nnames:\n- stain\n- crack\n"),
        ("data.yaml", "names: {1: crack, 0: stain}"),
        ("data.yaml", "train: x\n'names':\n  0: no\n  1: crack\n"),
        ("classes.txt", "stain\r\ncrack\r\n\r\n"),
        ("obj.names", "stain\ncrack"),
        ("labels/classes.txt", "stain\ncrack"),
        ("../data.yaml", "names: [stain, crack]"),
    ],
)
def test_names_of_classes(tmp_path: Path, name: str, text: str) -> None:
    """They are in YAML as a list or by number, or in a text, in the folder or, for YAML, in the one above."""
    (photo,) = read(tmp_path / "x", {"images/a.png": "", "labels/a.txt": "1 0.5 0.5 0.5 0.5", name: text})
    assert [shape.label.names for shape in photo.shapes] == [("crack",)]


def test_a_class_may_be_called_no(tmp_path: Path) -> None:
    """YAML takes that for false; here it stays a name."""
    files = {"images/a.png": "", "labels/a.txt": "0 0.5 0.5 0.5 0.5", "data.yaml": "names: [no, yes]"}
    (photo,) = read(tmp_path, files)
    assert [shape.label.names for shape in photo.shapes] == [("no",)]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("0 320 240 100 50", "has the coordinate '320'; expected a part of the photo's side, from 0 to 1."),
        ("2 0.5 0.5 0.5 0.5", "has the class 2; expected one of the 2 that have names, from 0 on."),
        ("-1 0.5 0.5 0.5 0.5", "has the class -1; expected one of the 2 that have names, from 0 on."),
        ("crack 0.5 0.5 0.5 0.5", "has the class 'crack'; expected a number from -1,000,000 to 1,000,000."),
        ("0.5 0.5 0.5 0.5 0.5", "has the class '0.5'; expected a whole number."),
        ("0 0.5 0.5 0 0.5", "has the box (0.5, 0.25, 0.5, 0.75); expected left < right and top < bottom."),
        (
            "0 0.5 0.5 0.5",
            "has the numbers '0 0.5 0.5 0.5'; expected class, x, y, width and height, or a class and three points.",
        ),
        ("0 nan 0.5 0.5 0.5", "has the coordinate 'nan'; expected a number from -1,000,000 to 1,000,000."),
    ],
)
def test_wrong_lines(tmp_path: Path, line: str, told: str) -> None:
    """Each is named by its number."""
    files = {"images/a.png": "", "labels/a.txt": f"0 0.5 0.5 0.5 0.5\n\n{line}", "classes.txt": "crack\nstain"}
    with pytest.raises(UsageError) as error:
        read(tmp_path, files)
    assert str(error.value) == f"line 3 of file://{tmp_path}/labels/a.txt {told} {ENDS}"


def test_names_that_disagree(tmp_path: Path) -> None:
    """LabelImg writes its own list beside the labels: nobody guesses which one they were made with."""
    files = {"images/a.png": "", "labels/a.txt": "", "data.yaml": "names: [crack]", "labels/classes.txt": "dog"}
    with pytest.raises(UsageError) as error:
        read(tmp_path, files)
    assert str(error.value) == (
        f"Class 0 is 'crack' in file://{tmp_path}/data.yaml and 'dog' in file://{tmp_path}/labels/classes.txt. Remove "
        "the file that does not belong to these labels."
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("names: [", "is damaged: while parsing a flow node"),
        ("names: crack", "has names 'crack'; expected a list of texts, or texts by number: `0: crack`."),
        ("names: [[crack]]", "has names [['crack']]; expected a list of texts, or texts by number: `0: crack`."),
        ("names: {a: crack}", "has names {'a': 'crack'}; expected a list of texts, or texts by number: `0: crack`."),
        ("names: []" + " " * (1 << 17), "has 131,081 bytes; expected names of classes, at most 131,072."),
    ],
)
def test_wrong_names(tmp_path: Path, text: str, told: str) -> None:
    """Names that cannot be read would make every label void."""
    with pytest.raises(UsageError) as error:
        read(tmp_path, {"images/a.png": "", "labels/a.txt": "", "data.yaml": text})
    assert str(error.value).startswith(f"file://{tmp_path}/data.yaml {told}")


@pytest.mark.parametrize(
    "paths",
    [
        ["a.png", "a.txt"],  # a note beside a photo
        ["images/a.png", "readme.txt", "config.yaml"],
        ["Positive/a.png", "Negative/b.png", "classes.txt"],
        ["images/a.png", "labels/a.png"],
    ],
)
def test_what_is_no_data_set(tmp_path: Path, paths: list[str]) -> None:
    """Texts alone make none."""
    assert not yolo.is_dataset(storage.list_files(write(tmp_path, dict.fromkeys(paths, ""))))


def test_the_file_of_names_stands_for_its_folder(tmp_path: Path) -> None:
    """As with Ultralytics, `data.yaml` is the data set."""
    url = write(tmp_path, {"images/a.png": "", "labels/a.txt": "", "data.yaml": "names: [crack]"})
    assert readers.read(f"{url}/data.yaml").photos.keys() == {f"{url}/images/a.png"}


@pytest.mark.parametrize(
    ("photo", "text"),
    [
        ("images/Bru\u0308cke.png", "labels/Br\u00fccke.txt"),
        ("images/Br\u00fccke.png", "labels/Bru\u0308cke.txt"),
        ("images/B.PNG", "labels/B.TXT"),
        ("images/IMG_2.PNG", "labels/img_2.txt"),
        ("Images/Train/a.png", "labels/train/a.txt"),
    ],
)
def test_spellings_of_labels(tmp_path: Path, photo: str, text: str) -> None:
    """Case, and how macOS composes letters, do not make a photo with a crack one without labels."""
    write_photo(tmp_path / "images" / "a.png", Size(8, 10))
    write_photo((tmp_path / photo).with_suffix(".png"), Size(8, 10))
    (tmp_path / photo).with_suffix(".png").rename(tmp_path / photo)
    found = read(tmp_path, {"labels/a.txt": "", text: "0 0.5 0.5 0.5 0.5"})
    assert {photo.names[0]: len(photo.shapes) for photo in found} == {"images/a.png": 0, photo: 1}
    assert not any(photo.assumed_sound for photo in found)


def test_two_files_of_labels_for_one_photo(tmp_path: Path) -> None:
    """The one with the photo's own spelling counts; nobody guesses between others."""
    (photo,) = read(tmp_path / "x", {"images/a.png": "", "labels/a.txt": "0 0.5 0.5 0.5 0.5", "labels/A.TXT": ""})[:1]
    assert len(photo.shapes) == 1
    with pytest.raises(UsageError, match=r"may both be the labels of 'images/aB.png'; expected one\. Remove the other"):
        read(tmp_path / "y", {"images/aB.png": "", "labels/AB.txt": "", "labels/ab.txt": ""})


def test_labels_without_a_photo(tmp_path: Path) -> None:
    """They are annotated photos that are missing, and lists of classes are not; camera RAW is counted once."""
    files = {"images/a.png": "", "labels/a.txt": "", "labels/b.txt": "", "labels/c.txt": "", "labels/classes.txt": "x"}
    url = write(tmp_path, files)
    for name in ("c.dng", "d.NEF"):
        (tmp_path / "images" / name).write_bytes(b"II*")
    export = readers.read(url)
    assert export.missing == [f"{url}/labels/b.txt", f"{url}/labels/c.txt"]
    assert export.unannotated == 1


def test_a_list_of_classes_is_no_label(tmp_path: Path) -> None:
    """LabelImg writes it into the folder of labels, where it makes no photo sound."""
    assert read(tmp_path, {"images/a.png": "", "labels/classes.txt": "crack"}) == []


@pytest.mark.parametrize(
    "text",
    ["\ufeffnames: [stain, crack]", " names: [stain, crack]\n nc: 2\n", '{"nc": 2, "names": ["stain", "crack"]}'],
)
def test_other_spellings_of_yaml(tmp_path: Path, text: str) -> None:
    """A byte order mark, an indent and JSON are no hindrance."""
    (photo,) = read(tmp_path, {"images/a.png": "", "labels/a.txt": "1 0.5 0.5 0.5 0.5", "data.yaml": text})
    assert [shape.label.names for shape in photo.shapes] == [("crack",)]


def test_yaml_of_something_else(tmp_path: Path) -> None:
    """Names that stand deeper are not those of the classes, and a template is not read."""
    files = {"images/a.png": "", "labels/a.txt": "", "x.yaml": "job:\n  names: 5", "y.yaml": "{% if %}\n  names: ["}
    assert len(read(tmp_path, files)) == 1


def test_poses_are_refused(tmp_path: Path) -> None:
    """Their lines look like outlines."""
    files = {"images/a.png": "", "labels/a.txt": "", "data.yaml": "kpt_shape: [2, 2]\nnames: [crack]"}
    with pytest.raises(UsageError) as error:
        read(tmp_path, files)
    assert str(error.value) == (
        f"file://{tmp_path}/data.yaml is of a YOLO data set of poses (kpt_shape), whose points say nothing about a "
        "surface. Export boxes or outlines instead, and remove kpt_shape."
    )
