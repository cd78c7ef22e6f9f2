"""Listings that leave nothing out, and files that are there whole or not at all."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pipeline import storage
from pipeline.core.errors import StorageError


def _refuse(number: int) -> NoReturn:
    raise OSError(number, os.strerror(number))


def test_links_in_circles_end(tmp_path: Path) -> None:
    """A link to a folder is not followed, and not left out either; so is one that leads nowhere."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "circle").symlink_to(tmp_path)
    (tmp_path / "nowhere.jpg").symlink_to(tmp_path / "gone")

    assert [file.path for file in storage.list_files(f"file://{tmp_path}")] == ["a.jpg", "circle", "nowhere.jpg"]


def test_a_folder_that_cannot_be_listed_is_not_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its photos would be dropped in silence; the error names the folder itself."""
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def guarded(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(StorageError) as caught:
        storage.list_files(f"file://{tmp_path}")

    assert str(caught.value) == f"file://{tmp_path}/locked could not be listed: permission was denied."


def test_whole_writes_replace_and_leave_nothing_behind(tmp_path: Path) -> None:
    """Afterwards there is the new content and no temporary file."""
    url = f"file://{tmp_path}/a/run.json"

    storage.write_whole(url, b"old")
    storage.write_whole(url, b"new")

    assert storage.read_bytes(url) == b"new"
    assert [file.path for file in storage.list_files(f"file://{tmp_path}")] == ["a/run.json"]


@pytest.mark.parametrize(
    ("number", "cause"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "the disk is read-only")]
)
def test_a_write_that_fails_leaves_the_old_content(
    number: int, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old or new, never half; and what failed is said."""
    url = f"file://{tmp_path}/run.json"
    storage.write_whole(url, b"old")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: _refuse(number))
        with pytest.raises(StorageError) as caught:
            storage.write_whole(url, b"new")

    assert str(caught.value) == f"{url} could not be written: {cause}."
    assert storage.read_bytes(url) == b"old"
    assert len(storage.list_files(f"file://{tmp_path}")) == 1


def test_leftovers_of_killed_writers_are_removed(tmp_path: Path) -> None:
    """Those, in all folders below, and nothing that merely looks alike."""
    url = f"file://{tmp_path}"
    token = "0123456789abcdef" * 2
    kept = ["part-1.parquet", f"part-1.{token}.tmp", ".part-1.tmp", f".part-1.{token[1:]}.tmp", f".{token}.tmp"]
    left = [f".part-1.parquet.{token}.tmp", f"images/.part-1.parquet.{token}.tmp", f".a\nb.{token}.tmp"]
    (tmp_path / "images").mkdir()
    for name in kept + left:
        (tmp_path / name).write_bytes(b"x")

    assert sorted(storage.remove_leftovers(url)) == sorted(f"{url}/{name}" for name in left)
    assert sorted(file.path for file in storage.list_files(url)) == sorted(kept)
    assert storage.remove_leftovers(url) == []


def test_a_killed_writer_leaves_what_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name that a writer uses is the one that is looked for."""
    monkeypatch.setattr(Path, "unlink", lambda *_args, **_options: None)
    storage.create(f"file://{tmp_path}/part-1.parquet", b"x")
    monkeypatch.undo()

    assert len(storage.remove_leftovers(f"file://{tmp_path}")) == 1
    assert [file.path for file in storage.list_files(f"file://{tmp_path}")] == ["part-1.parquet"]


def test_a_file_system_without_hard_links_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stays behind, and the sentence says what to do."""
    monkeypatch.setattr(os, "link", lambda *_: _refuse(errno.EPERM))

    with pytest.raises(StorageError) as caught:
        storage.create(f"file://{tmp_path}/part", b"x")

    assert str(caught.value) == (
        f"file://{tmp_path}/part could not be created: its file system has no hard links, which safe commits need; "
        "use a folder on another disk."
    )
    assert storage.list_files(f"file://{tmp_path}") == []


def test_a_file_that_goes_while_its_folder_is_listed_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a writer, temporary files come and go at every commit; who only looks must not stumble over them."""
    (tmp_path / "part-000000.parquet").write_bytes(b"x")
    walk = os.walk

    def late(*arguments: Any, **options: Any) -> Iterator[tuple[str, list[str], list[str]]]:  # noqa: ANN401 - passed on
        return (
            (here, folders, [*names, ".part-000001.parquet.tmp"])
            for here, folders, names in walk(*arguments, **options)
        )

    monkeypatch.setattr(os, "walk", late)
    assert [file.path for file in storage.list_files(f"file://{tmp_path}")] == ["part-000000.parquet"]


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """It would be waited for without end; it is told, as something that will not pass."""
    os.mkfifo(tmp_path / "photo.jpg")
    for read in (storage.read_bytes, storage.open_file, lambda url: storage.read_ranges(url, [(0, 1)])):
        with pytest.raises(StorageError, match="it is a pipe or device") as told:
            read(f"file://{tmp_path}/photo.jpg")
        assert told.value.lasting
