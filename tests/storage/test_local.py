"""Listings are complete, and files appear whole or not at all."""

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
    """A listing shows a link to a folder without following it, and a broken link, too."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "circle").symlink_to(tmp_path)
    (tmp_path / "nowhere.jpg").symlink_to(tmp_path / "gone")

    assert [file.path for file in storage.list_files(f"file://{tmp_path}")] == ["a.jpg", "circle", "nowhere.jpg"]


def test_a_folder_that_cannot_be_listed_is_not_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skipping would drop its photos silently; the error names the folder itself."""
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(StorageError) as caught:
        storage.list_files(f"file://{tmp_path}")

    assert str(caught.value) == f"file://{tmp_path}/locked could not be listed: permission was denied."


def test_a_system_folder_that_cannot_be_listed_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ext4 disk has a lost+found that is root's alone; an input folder called so is listed."""
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "a.jpg").write_bytes(b"a")
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("lost+found"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)

    assert [file.path for file in storage.list_files(f"file://{tmp_path}")] == ["a.jpg"]
    with pytest.raises(StorageError, match=r"lost\+found could not be listed: permission was denied"):
        storage.list_files(f"file://{tmp_path}/lost+found")


def test_whole_writes_replace_and_leave_nothing_behind(tmp_path: Path) -> None:
    """Afterwards the new content is there, and no temporary file."""
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
    """The content is old or new, never half; the message has the cause."""
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
    """This covers all folders below, and no file that only looks similar."""
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


def test_a_killed_writers_file_is_a_leftover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`remove_leftovers` finds the name that a writer uses."""
    monkeypatch.setattr(Path, "unlink", lambda *_args, **_options: None)
    storage.create(f"file://{tmp_path}/part-1.parquet", b"x")
    monkeypatch.undo()

    assert len(storage.remove_leftovers(f"file://{tmp_path}")) == 1
    assert [file.path for file in storage.list_files(f"file://{tmp_path}")] == ["part-1.parquet"]


def test_a_file_system_without_hard_links_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file stays behind, and the message says what to do."""
    monkeypatch.setattr(os, "link", lambda *_: _refuse(errno.EPERM))

    with pytest.raises(StorageError) as caught:
        storage.create(f"file://{tmp_path}/part", b"x")

    assert str(caught.value) == (
        f"file://{tmp_path}/part could not be created: its file system has no hard links, which safe commits need; "
        "use a folder on another disk."
    )
    assert storage.list_files(f"file://{tmp_path}") == []


def test_a_file_that_vanishes_during_a_listing_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer's temporary files come and go at every commit; readers must not fail on them."""
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
    """Reading could block forever, so it is refused as a permanent error."""
    os.mkfifo(tmp_path / "photo.jpg")
    for read in (storage.read_bytes, storage.open_file, lambda url: storage.read_ranges(url, [(0, 1)])):
        with pytest.raises(StorageError, match="it is a pipe or device") as caught:
            read(f"file://{tmp_path}/photo.jpg")
        assert caught.value.permanent
