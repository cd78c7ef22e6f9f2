"""A text file for a store that cannot append: it is stored as it grows, and whole when it is closed."""

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.core.errors import StorageError
from pipeline.storage.files import TextUpload


def wait_until(ready: Callable[[], object]) -> None:
    """Wait for the thread of the upload."""
    deadline_s = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def folder_of(file: TextUpload) -> Path:
    """Return the folder of the local file."""
    return Path(file.buffer.name).parent


def test_it_is_stored_once_with_all_its_text() -> None:
    """A second `close` stores nothing; the local file is removed."""
    stored = list[bytes]()
    file = TextUpload(stored.append)
    folder = folder_of(file)
    file.write("one\ntwo")
    file.close()
    file.close()
    assert stored == [b"one\ntwo"]
    assert not folder.exists()


def test_it_is_stored_as_it_grows() -> None:
    """Whole lines only, and nothing again while it has not grown: a process that is killed leaves them."""
    stored = list[bytes]()
    file = TextUpload(stored.append, every_s=0.01)
    file.write("one\n")
    wait_until(lambda: stored)
    file.write("two\nthr")
    file.flush()
    wait_until(lambda: len(stored) > 1)
    time.sleep(0.1)
    assert stored == [b"one\n", b"one\ntwo\n"]
    file.close()
    assert stored[2:] == [b"one\ntwo\nthr"]


def test_a_large_text_is_stored_when_it_has_grown_by_a_quarter() -> None:
    """So the traffic stays a few times the text, however long the process runs."""
    stored = list[int]()
    with TextUpload(lambda data: stored.append(len(data)), every_s=0.001) as file:
        for _ in range(2000):
            file.write("x" * 499 + "\n")
            time.sleep(0.0002)
    assert sum(stored) < 1_000_000 + 5 * 1_000_000 + 64 * 65_536
    large = [size for size in stored[:-1] if size > 1 << 16]
    assert all(later >= 1.24 * earlier for earlier, later in pairwise(large))


def test_a_store_that_fails_for_a_while_stops_nothing() -> None:
    """The next time has the text."""
    stored = list[bytes]()
    failures = iter([StorageError("down"), OSError("down")])

    def store(data: bytes) -> None:
        if (failure := next(failures, None)) is not None:
            raise failure
        stored.append(data)

    file = TextUpload(store, every_s=0.01)
    file.write("one\n")
    wait_until(lambda: stored)
    file.close()
    assert stored == [b"one\n", b"one\n"]


def test_it_is_closed_even_if_it_cannot_be_stored() -> None:
    """`close` raises the failure once, and removes the local file."""

    def refuse(_data: bytes) -> None:
        raise StorageError("s3://bucket/log could not be written: permission was denied.")

    file = TextUpload(refuse)
    folder = folder_of(file)
    with pytest.raises(StorageError):
        file.close()
    assert file.closed
    assert not folder.exists()
