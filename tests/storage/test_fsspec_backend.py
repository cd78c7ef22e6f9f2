"""What a filesystem of fsspec's says is not believed where it takes trouble for an answer."""

from collections.abc import Iterator
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline.core.errors import StorageError
from pipeline.storage import retry
from pipeline.storage.errors import translate_errors
from pipeline.storage.fsspec_backend import FsspecStore


class _Shaky(MemoryFileSystem):  # type: ignore[misc]  # fsspec ships no types
    """A store that cannot be reached so many times."""

    cachable = False
    store: dict[str, Any] = {}  # noqa: RUF012 - as in the class below
    unreachable = 0

    def info(self, path: str, **options: object) -> Any:  # noqa: ANN401 - fsspec ships no types
        """Look a file up."""
        if self.unreachable:
            self.unreachable -= 1
            raise ConnectionResetError("the network is down")
        return super().info(path, **options)


@pytest.fixture
def shaky(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Shaky]:
    """A store with a file, given up after moments."""
    monkeypatch.setattr(retry, "LIMIT_S", 0.1)
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.001)
    filesystem = _Shaky()
    filesystem.pipe_file("/out/run.json", b"{}")
    yield filesystem
    filesystem.store.clear()


def test_a_file_that_cannot_be_looked_up_is_not_taken_for_missing(shaky: _Shaky) -> None:
    """Trouble that passes is waited for, and trouble that stays is told: a dataset would look empty."""
    store = FsspecStore(shaky)
    shaky.unreachable = 2
    assert store.exists("/out/run.json")
    shaky.unreachable = 2
    assert store.is_folder("/out")
    assert not store.is_folder("/out/run.json")
    assert not store.exists("/out/none")
    assert not store.is_folder("/none")
    shaky.unreachable = 1_000_000
    for ask in (store.exists, store.is_folder):
        with pytest.raises(OSError, match="the network is down"):
            ask("/out/run.json")


def test_a_store_that_only_looks_before_it_writes_is_no_place_for_commits(shaky: _Shaky) -> None:
    """Two writers would both believe that they created the file."""
    shaky.protocol = "webhdfs"
    with pytest.raises(StorageError) as refused, translate_errors("webhdfs://out/lease", "created"):
        FsspecStore(shaky).create("/out/lease", b"ours")
    assert str(refused.value) == (
        "webhdfs://out/lease could not be created: no file is created there only if absent, which safe commits need; "
        "use local disk, S3 or Google Cloud."
    )
    assert not FsspecStore(shaky).exists("/out/lease")
