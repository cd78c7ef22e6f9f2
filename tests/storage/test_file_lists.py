"""A `FileList` has the files of `list_files`, and few of them at a time as objects."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.storage import file_lists
from pipeline.storage.files import StoredFile

NAMES = ["b.jpg", "a/z.TIF", "a.tif", "a-b.tiff", "ü.jpg", "\U0001f309.jpg", "\uffee.jpg", "a/b/c.txt"]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Write some files, one of them with a name that is not UTF-8."""
    for name in [*NAMES, "bad\udcff.jpg"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode("utf-8", "surrogateescape"))
    return storage.canonical(str(tmp_path))


def test_it_has_the_files_of_the_listing(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same order, more than once, and across chunks."""
    monkeypatch.setattr(file_lists, "CHUNK_FILES", 2)

    files = storage.FileList(folder)

    assert [*files] == [*files] == storage.list_files(folder)
    assert len([*files]) == len(NAMES) + 1


def test_endings_are_selected_in_order(folder: str) -> None:
    """In upper or lower case."""
    selected = [file.path for file in storage.FileList(folder).select_endings((".tif", ".tiff"))]

    assert selected == ["a-b.tiff", "a.tif", "a/z.TIF"]


def test_a_file_that_a_store_tells_twice_is_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing by many hands may do so; both listings take it once."""
    told = [StoredFile(f"s3://b/p/{name}", name, 1, "v") for name in ("b", "a", "b")]
    monkeypatch.setattr(file_lists, "find_files", lambda _url: iter(told))
    monkeypatch.setattr("pipeline.storage.files.find_files", lambda _url: iter(told))

    assert [file.path for file in storage.FileList("s3://b/p")] == ["a", "b"]
    assert [file.path for file in storage.list_files("s3://b/p")] == ["a", "b"]


def test_a_url_that_is_not_the_folders_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a filesystem that spells the paths below a folder in another way."""
    told = [StoredFile("x://elsewhere/a", "a", 1, "v")]
    monkeypatch.setattr(file_lists, "find_files", lambda _url: iter(told))

    assert [*storage.FileList("x://b/p")] == told


def test_few_files_are_objects_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of them is that of a chunk, not that of the listing."""
    most, chunk = 0, 64
    monkeypatch.setattr(file_lists, "CHUNK_FILES", chunk)

    def count() -> int:
        return sum(isinstance(found, StoredFile) for found in gc.get_objects())

    def tell(_url: str) -> Iterator[StoredFile]:
        nonlocal most
        for number in range(20 * chunk):
            most = max(most, count()) if number % chunk == chunk - 1 else most
            yield StoredFile(f"s3://b/p/{number:05d}", f"{number:05d}", 1, "v")

    monkeypatch.setattr(file_lists, "find_files", tell)
    files = storage.FileList("s3://b/p")
    for number, _file in enumerate(files):
        most = max(most, count()) if number % chunk == 0 else most

    assert 0 < most <= 2 * chunk
