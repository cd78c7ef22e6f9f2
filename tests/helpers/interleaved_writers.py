"""Writers that take turns on a disk in memory: a test chooses which one does the next operation, and which one dies."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from pipeline import storage
from pipeline.core.errors import LostPlaceError, NotFoundError


class KilledError(BaseException):
    """Ends a writer, as a kill ends its process."""


class MemoryDisk:
    """An object store in memory; writers wait for their turn before every operation."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def exists(self, url: str) -> bool:
        """Tell whether there is a file at a URL, or below it."""
        wait_for_turn()
        return any(name == url or name.startswith(f"{url}/") for name in self.files)

    def list_files(self, url: str) -> list[storage.StoredFile]:
        """List the files below a URL."""
        wait_for_turn()
        names = sorted(name for name in self.files if name.startswith(f"{url}/"))
        return [storage.StoredFile(name, name.removeprefix(f"{url}/"), len(self.files[name]), "") for name in names]

    def read_bytes(self, url: str) -> bytes:
        """Read a file."""
        wait_for_turn()
        if url not in self.files:
            raise NotFoundError(f"{url} could not be read: it was not found.")
        return self.files[url]

    def read_many(self, urls: Sequence[str]) -> Iterator[bytes]:
        """Read files one by one."""
        return map(self.read_bytes, urls)

    def write_whole(self, url: str, data: bytes) -> None:
        """Write a file."""
        wait_for_turn()
        self.files[url] = data

    def create(self, url: str, data: bytes) -> bool:
        """Write a file only if it is absent."""
        wait_for_turn()
        return self.files.setdefault(url, data) == data

    def remove(self, url: str) -> None:
        """Remove a file."""
        wait_for_turn()
        self.files.pop(url, None)

    def remove_leftovers(self, _url: str) -> list[str]:
        """Do nothing: this disk has no temporary files."""
        return []

    @contextmanager
    def patch_storage(self) -> Iterator[None]:
        """Replace the verbs of `storage` by those of this disk while the context lasts."""
        with pytest.MonkeyPatch.context() as patch:
            for verb in [name for name in vars(MemoryDisk) if hasattr(storage, name) and name[0] != "_"]:
                patch.setattr(storage, verb, getattr(self, verb))
            yield


class Writer(threading.Thread):
    """A run that does one storage operation at a time, and that a test can kill before each."""

    def __init__(self, name: str, work: Callable[[str], None]) -> None:
        super().__init__(name=name, daemon=True)
        self.work = work
        self.turn, self.waiting = threading.Semaphore(0), threading.Semaphore(0)
        self.is_killed = self.has_ended = False
        self.error: BaseException | None = None

    def run(self) -> None:
        """Work until the end, a kill, or the loss of the dataset."""
        try:
            self.work(self.name)
        except (KilledError, LostPlaceError):
            pass
        except BaseException as error:  # noqa: BLE001 - shown by the test
            self.error = error
        self.has_ended = True
        self.waiting.release()

    def do_steps(self, count: int | None = None) -> None:
        """Let the writer do some operations; with None, work to its end."""
        for _ in itertools.count() if count is None else range(count):
            if self.has_ended:
                return
            if self.ident is None:
                self.start()
            else:
                self.turn.release()
            self.waiting.acquire()

    def kill(self) -> None:
        """Kill the writer before its next operation, and wait for its thread to end."""
        self.is_killed = True
        self.do_steps()


def wait_for_turn() -> None:
    """Wait for this writer's turn; in other threads, do nothing."""
    writer = threading.current_thread()
    if isinstance(writer, Writer):
        writer.waiting.release()
        writer.turn.acquire()
        if writer.is_killed:
            raise KilledError
