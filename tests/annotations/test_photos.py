"""The photo that an export names."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import storage
from pipeline.annotations.entries import Entry
from pipeline.annotations.photos import PhotoFolder
from pipeline.core.errors import UsageError

ROOT = "memory://data"


def folder_of(*paths: str) -> PhotoFolder:
    """Return a folder with these files."""
    return PhotoFolder(ROOT, [storage.StoredFile(f"{ROOT}/{path}", path, 1, "") for path in paths])


def find(paths: Sequence[str], *names: str, beside: str = "annotations.json") -> str | None:
    """Return the path of the photo that is found."""
    match = folder_of(*paths).find(names, Entry(f"{ROOT}/{beside}", "image 1"))
    return None if match is None else match.url.removeprefix(f"{ROOT}/")


@pytest.mark.parametrize(
    "name",
    [
        "images/a.jpg",
        "images\\a.jpg",
        "a.jpg",
        "A.JPG",
        "./images/../images/a.jpg",
        "/home/anna/cracks/images/a.jpg",
        "C:\\Users\\anna\\cracks\\a.jpg",
        "file:///C:/cracks/images/a.jpg",
        "https://example.com/x/a.jpg",
        "train2017/a.jpg",
        "a.*",
    ],
)
def test_spellings_of_one_photo(name: str) -> None:
    """Separators, drives, other machines' folders and capitals do not hide a photo whose name is there once."""
    assert find(["images/a.jpg", "images/b.jpg"], name) == "images/a.jpg"


@given(
    paths=st.lists(
        st.lists(st.sampled_from(["a", "b", "images"]), max_size=3).map(lambda parts: "/".join([*parts, "1.jpg"])),
        unique=True,
        min_size=1,
    ),
    data=st.data(),
)
def test_an_exact_path_is_always_found(paths: list[str], data: st.DataObject) -> None:
    """However many photos have its name, a path from the folder leads to its photo."""
    path = data.draw(st.sampled_from(paths))
    assert find(paths, path) == path
    assert find(paths, path.replace("/", "\\")) == path


@pytest.mark.parametrize(
    ("paths", "name", "beside", "found"),
    [
        (["x/1.jpg", "y/1.jpg"], "1.jpg", "y/1.json", "y/1.jpg"),  # beside its annotations
        (["x/JPEGImages/1.jpg", "y/JPEGImages/1.jpg"], "1.jpg", "y/Annotations/1.xml", "y/JPEGImages/1.jpg"),
        (["images/train/1.jpg", "images/val/1.jpg"], "1.jpg", "labels/val/1.xml", "images/val/1.jpg"),
        (["x/train/1.jpg", "x/val/1.jpg"], "D:\\data\\val\\1.jpg", "a.json", "x/val/1.jpg"),
        (["x/1.jpg"], "../images/1.jpg", "json/1.json", "x/1.jpg"),
        (["images/1.jpg", "x/1.jpg"], "../images/1.jpg", "json/1.json", "images/1.jpg"),
        (["images/1.jpg", "masks/1.jpg", "SegmentationClass/1.png"], "1.*", "json/1.json", "images/1.jpg"),
        (["Bru\u0308cke.jpg"], "Br\u00fccke.jpg", "a.json", "Bru\u0308cke.jpg"),
    ],
)
def test_the_nearest_of_several(paths: list[str], name: str, beside: str, found: str) -> None:
    """The most folders in common with the path decide, then with the annotation file."""
    assert find(paths, name, beside=beside) == found


@pytest.mark.parametrize("name", ["c.jpg", "", ".", "/", "..", "a.jpg/", "\ud800.jpg", "\0", "../" * 50 + "a.png"])
def test_what_is_not_there(name: str) -> None:
    """A name without a photo finds none, and hurts nothing."""
    assert find(["images/b.jpg", ".hidden/c.jpg", "c.txt"], name) is None


def test_the_second_name_counts_if_the_first_is_not_there() -> None:
    """An upload's name comes before the name that the photo had."""
    assert find(["a.jpg"], "0a1b2c3d-a.jpg", "a.jpg") == "a.jpg"
    assert find(["a.jpg", "0a1b2c3d-a.jpg"], "0a1b2c3d-a.jpg", "a.jpg") == "0a1b2c3d-a.jpg"


def test_several_that_fit() -> None:
    """Where nothing tells which photo is meant, nobody guesses."""
    with pytest.raises(UsageError) as error:
        find([f"{folder}/1.jpg" for folder in "xyzw"], "1.jpg")
    assert str(error.value) == (
        f"image 1 of {ROOT}/annotations.json names the photo '1.jpg', and 4 photos in {ROOT} fit: x/1.jpg, y/1.jpg, "
        "z/1.jpg, …. Give their folders one by one, each with its annotations."
    )
