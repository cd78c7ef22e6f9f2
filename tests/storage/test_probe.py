"""What a place lets us do, found out by doing it, on local disk, S3 and what is neither."""

import socket
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.storage import probe as module
from pipeline.storage.probe import probe
from tests.conftest import S3Place


def test_a_folder_is_left_as_it_was(tmp_path: Path) -> None:
    """It can be written; the trial is gone again."""
    found = probe(str(tmp_path))
    assert (found.is_there, found.is_file, found.read_error, found.write_error) == (True, False, None, None)
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_is_not_there_yet_is_tried_above(tmp_path: Path) -> None:
    """Nothing is made on the way."""
    found = probe(str(tmp_path / "new" / "scores"))
    assert (found.is_there, found.write_error) == (False, None)
    assert not [*tmp_path.iterdir()]


def test_a_file_is_only_read(tmp_path: Path) -> None:
    """Nobody asks whether a photo can be written."""
    (tmp_path / "one.zip").write_bytes(b"PK")
    assert probe(str(tmp_path / "one.zip"))[1:5] == (True, True, None, None)


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    """A place below a file is none, and the error says so in words."""
    (tmp_path / "file").write_bytes(b"")
    found = probe(str(tmp_path / "file" / "below"))
    assert "a part of its path is a file" in f"{found.read_error}{found.write_error}"
    assert found.advice == module._ON_DISK


def test_a_store_that_lets_a_file_be_created_twice_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writers would not notice each other there."""

    def create(url: str, data: bytes) -> bool:
        storage.write_whole(url, data)
        return True

    monkeypatch.setattr(storage, "create", create)
    assert "created twice" in str(probe(str(tmp_path)).write_error)


def test_nonsense_is_told() -> None:
    """What is no place fails in its own words."""
    assert probe("what://ever").read_error == "what://ever is no place that can be read: Protocol not known: what"


def test_a_bucket_can_be_listed_read_and_written(s3: S3Place) -> None:
    """The same on S3, and nothing stays behind."""
    found = probe(f"{s3.url}/scores")
    assert (found.is_there, found.read_error, found.write_error) == (False, None, None)
    assert not storage.list_files(s3.url)
    assert found.advice == module._ON_S3


def test_a_reader_may_read(s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a user who may not write it is told, and that photos can be read."""
    from s3fs import S3FileSystem

    storage.write_whole(f"{s3.url}/photo.jpg", b"photo")
    for name, value in s3.read_only_environment.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    found = probe(s3.url)
    assert (found.is_there, found.read_error) == (True, None)
    assert "permission was denied" in str(found.write_error)


def test_a_missing_bucket_and_a_silent_server_are_told_soon(s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """In words, and without the patience of a night's run."""
    assert "there is no such bucket" in str(probe("s3://no-such-bucket/photos"))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(probe, "PATIENCE_S", 0.1)
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    assert "the server could not be reached" in str(probe(s3.url).read_error)
