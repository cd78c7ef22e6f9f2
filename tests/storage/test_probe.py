"""`probe` tries local disk, S3 and other places."""

import socket
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline import storage
from pipeline.storage.probe import DISK_ADVICE, S3_ADVICE, probe
from tests.conftest import S3Place


def test_a_folder_is_left_as_it_was(tmp_path: Path) -> None:
    """It can be written; the trial files are removed."""
    found = probe(str(tmp_path))
    assert (found.is_there, found.is_file, found.read_error, found.write_error) == (True, False, None, None)
    assert not [*tmp_path.iterdir()]


def test_a_new_folder_is_tried_in_its_parent(tmp_path: Path) -> None:
    """The trial makes no folder on the way."""
    found = probe(str(tmp_path / "new" / "scores"))
    assert (found.is_there, found.write_error) == (False, None)
    assert not [*tmp_path.iterdir()]


def test_a_file_is_only_read(tmp_path: Path) -> None:
    """The trial does not write to a photo."""
    (tmp_path / "one.zip").write_bytes(b"PK")
    assert probe(str(tmp_path / "one.zip"))[1:5] == (True, True, None, None)


def test_a_file_in_the_way_is_reported(tmp_path: Path) -> None:
    """No place exists below a file, and the message says so."""
    (tmp_path / "file").write_bytes(b"")
    found = probe(str(tmp_path / "file" / "below"))
    assert "a part of its path is a file" in f"{found.read_error}{found.write_error}"
    assert found.advice == DISK_ADVICE


def test_a_store_without_safe_create_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writers would not notice each other there."""

    def overwrite(self: MemoryFileSystem, path: str, value: bytes, **_options: object) -> None:
        self.store.pop(path, None)
        write(self, path, value)

    write = MemoryFileSystem.pipe_file
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", overwrite)
    assert "created twice" in str(probe(f"memory://{tmp_path.name}").write_error)


def test_an_unknown_protocol_is_reported() -> None:
    """The message names the protocol."""
    assert probe("what://ever").read_error == "what://ever is no place that can be read: Protocol not known: what"


def test_a_bucket_can_be_listed_read_and_written(s3: S3Place) -> None:
    """The trial works on S3, too, and leaves nothing behind."""
    found = probe(f"{s3.url}/scores")
    assert (found.is_there, found.read_error, found.write_error) == (False, None, None)
    assert not storage.list_files(s3.url)
    assert found.advice == S3_ADVICE


def test_a_reader_may_read(s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result for a user without the right to write: readable, not writable."""
    from s3fs import S3FileSystem

    storage.write_whole(f"{s3.url}/photo.jpg", b"photo")
    for name, value in s3.read_only_environment.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    found = probe(s3.url)
    assert (found.is_there, found.read_error) == (True, None)
    assert "permission was denied" in str(found.write_error)


def test_a_missing_bucket_and_a_silent_server_are_reported_soon(s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The retries end much sooner than those of a night's run."""
    assert "there is no such bucket" in str(probe("s3://no-such-bucket/photos"))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    assert "the server could not be reached" in str(probe(s3.url, limit_s=0.1).read_error)
