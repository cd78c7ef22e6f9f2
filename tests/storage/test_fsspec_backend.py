"""`FsspecStore` does not take a failure for an answer, as fsspec does."""

from collections.abc import Iterator
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline.core.errors import StorageError
from pipeline.storage.errors import translate_errors
from pipeline.storage.fsspec_backend import FsspecStore
from pipeline.storage.retry import limit_retries


class _Shaky(MemoryFileSystem):  # type: ignore[misc]  # fsspec ships no types
    """A store that fails `unreachable` times."""

    cachable = False
    store: dict[str, Any] = {}  # noqa: RUF012 - as in the class below
    unreachable = 0

    def info(self, path: str, **options: object) -> Any:  # noqa: ANN401 - fsspec ships no types
        """Look up a file."""
        if self.unreachable:
            self.unreachable -= 1
            raise ConnectionResetError("the network is down")
        return super().info(path, **options)


@pytest.fixture
def shaky() -> Iterator[_Shaky]:
    """A store with a file, and retries that end soon."""
    filesystem = _Shaky()
    filesystem.pipe_file("/out/run.json", b"{}")
    with limit_retries(0.1, first_wait_s=0.001):
        yield filesystem
    filesystem.store.clear()


def test_an_unreachable_file_is_not_missing(shaky: _Shaky) -> None:
    """Transient failures are retried, lasting ones raised; otherwise a dataset would look empty."""
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


def test_a_store_without_safe_create_cannot_take_commits(shaky: _Shaky) -> None:
    """There, two writers could both believe that they had created the file."""
    shaky.protocol = "webhdfs"
    with pytest.raises(StorageError) as caught, translate_errors("webhdfs://out/lease", "created"):
        FsspecStore(shaky).create("/out/lease", b"ours")
    assert str(caught.value) == (
        "webhdfs://out/lease could not be created: no file is created there only if absent, which safe commits need; "
        "use local disk, S3 or Google Cloud."
    )
    assert not FsspecStore(shaky).exists("/out/lease")
