"""Writers that take turns on a disk in memory: a test decides who does the next operation, and who is killed."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from pipeline import storage
from pipeline.core.errors import LostPlaceError, NotFoundError


class Killed(BaseException):
    """A writer's process ends here and now."""


class Disk:
    """An object store in memory, in which writers take turns: each waits before every operation until it is let go."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def exists(self, url: str) -> bool:
        """Tell whether there is a file, or one below."""
        take_turn()
        return any(name == url or name.startswith(f"{url}/") for name in self.files)

    def list_files(self, url: str) -> list[storage.StoredFile]:
        """List what is below."""
        take_turn()
        names = sorted(name for name in self.files if name.startswith(f"{url}/"))
        return [storage.StoredFile(name, name.removeprefix(f"{url}/"), len(self.files[name]), "") for name in names]

    def read_bytes(self, url: str) -> bytes:
        """Read a file."""
        take_turn()
        if url not in self.files:
            raise NotFoundError(f"{url} could not be read: it was not found.")
        return self.files[url]

    def read_many(self, urls: Sequence[str]) -> Iterator[bytes]:
        """Read files one by one."""
        return map(self.read_bytes, urls)

    def write_whole(self, url: str, data: bytes) -> None:
        """Write a file."""
        take_turn()
        self.files[url] = data

    def create(self, url: str, data: bytes) -> bool:
        """Write a file only if there is none."""
        take_turn()
        return self.files.setdefault(url, data) == data

    def remove(self, url: str) -> None:
        """Remove a file."""
        take_turn()
        self.files.pop(url, None)

    def remove_leftovers(self, _url: str) -> list[str]:
        """Find no temporary files: there are none."""
        return []

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the sink and the commit log work on it."""
        with pytest.MonkeyPatch.context() as patch:
            for verb in [name for name in vars(Disk) if hasattr(storage, name) and name[0] != "_"]:
                patch.setattr(storage, verb, getattr(self, verb))
            yield


class Writer(threading.Thread):
    """A run that is let go for one storage operation at a time, and can be killed before any."""

    def __init__(self, name: str, work: Callable[[str], None]) -> None:
        super().__init__(name=name, daemon=True)
        self.work = work
        self.go, self.waits = threading.Semaphore(0), threading.Semaphore(0)
        self.is_killed = self.has_ended = False
        self.trouble: BaseException | None = None

    def run(self) -> None:
        """Work until the end, a kill, or the loss of the dataset."""
        try:
            self.work(self.name)
        except (Killed, LostPlaceError):
            pass
        except BaseException as error:  # noqa: BLE001 - shown by the test
            self.trouble = error
        self.has_ended = True
        self.waits.release()

    def steps(self, count: int | None = None) -> None:
        """Let it do some operations; None lets it work to its end."""
        for _ in itertools.count() if count is None else range(count):
            if self.has_ended:
                return
            if self.ident is None:
                self.start()
            else:
                self.go.release()
            self.waits.acquire()

    def kill(self) -> None:
        """End it before its next operation; the thread is not there any more afterwards."""
        self.is_killed = True
        self.steps()


def take_turn() -> None:
    """Wait to be let go, where a writer asks."""
    writer = threading.current_thread()
    if isinstance(writer, Writer):
        writer.waits.release()
        writer.go.acquire()
        if writer.is_killed:
            raise Killed
