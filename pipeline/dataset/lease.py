"""The lease: a small file in a dataset that is renewed while its writer lives, so that a second writer is refused.

It keeps honest writers apart and says who is at work. It is no lock: a clock or a network can stand still at any point.
What a writer that lost it must never do, commit, the commit log itself prevents: see `sink`.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

from pipeline import storage
from pipeline.core import process
from pipeline.core.errors import DatasetError, DatasetHeldError, LostPlaceError, NotFoundError, StorageError
from pipeline.core.log import get_logger
from pipeline.dataset.layout import Layout

TTL_S = 60.0
"""A lease that has not changed for so long is stale; renewed four times as often, it outlives three lost renewals."""

_log = get_logger("lease")


@dataclass(frozen=True)
class Holder:
    """Who holds a dataset, as the lease says it."""

    run_id: str
    host: str
    """Name of the machine, for people."""
    machine: str
    """The same for comparing; see `process`, as for the next two."""
    pid: int
    started: str
    since: datetime
    renewed: datetime
    """Changes with every renewal."""
    ttl_s: float
    """Stale when it has not changed for so long."""

    def __str__(self) -> str:
        """Say who, where and since when."""
        return f"run {self.run_id} (process {self.pid} on {self.host}, since {self.since:%Y-%m-%d %H:%M:%S} UTC)"


class Lease:
    """Our hold on a dataset. Made by `hold`.

    Args:
        layout: where the dataset lies.
        holder: this process, as the lease says it.
        before: whom the lease was taken from, if from anyone.
    """

    def __init__(self, layout: Layout, holder: Holder, before: Holder | None) -> None:
        self._layout, self._holder = layout, holder
        self._before = before
        self._renewed_s = time.monotonic()

    def check(self) -> None:
        """Make sure that the dataset is still ours; to be called before every commit.

        Raises:
            LostPlaceError: it is another writer's, or nobody's.
            StorageError: the lease could not be read; nor renewed, and it has not been for its time to live.
        """
        self._read_back()
        if time.monotonic() - self._renewed_s >= self._holder.ttl_s:
            self._write()

    def renew(self) -> None:
        """Let the lease change, so that it does not become stale.

        Raises:
            LostPlaceError: it is another writer's, or nobody's.
        """
        self._read_back()
        self._write()

    def release(self) -> None:
        """Remove the lease, where it is still ours."""
        with contextlib.suppress(LostPlaceError):
            self._read_back()
            storage.remove(self._layout.lease)

    def _read_back(self) -> None:
        found = read_lease(self._layout)
        if found is not None and found.run_id == self._holder.run_id:
            return
        if found is None or self._before is None or found.run_id != self._before.run_id:
            raise LostPlaceError(
                f"This run no longer holds {self._layout.url}: the lease is {found or 'gone'}. "
                "It stops; what it had committed stays. Run one writer at a time."
            )
        self._write()  # a renewal by whom we took it from was under way all the while; the fence stops that writer

    def _write(self) -> None:
        storage.write_whole(self._layout.lease, _encoded(replace(self._holder, renewed=datetime.now(UTC))))
        self._renewed_s = time.monotonic()


@contextlib.contextmanager
def hold(layout: Layout, run_id: str, on_wait: Callable[[Holder], None]) -> Iterator[Lease]:
    """Take a dataset for this run, renew the lease in a thread while the context lasts, and release it.

    Of two takers of one stale lease, the later can remove what the earlier has just created, if it stood still between
    its last look and the removal. Only the last creator can go on: the other finds a lease that is not its own at its
    next `check`, which comes before its fence. Should that one stand still, too, the fence decides: one file, created
    only if absent.

    Args:
        layout: where the dataset lies; made where there is nothing.
        run_id: who takes it.
        on_wait: is told whose lease is watched, every moment while it is; what it raises ends the wait.

    Raises:
        DatasetHeldError: another writer lives.
        StorageError: the place cannot be written.
    """
    ours = _this_process(run_id)
    lease = Lease(layout, ours, _obtain(layout, ours, on_wait))
    ended = threading.Event()
    renewing = threading.Thread(target=_renew_until, args=(ended, lease, ours.ttl_s / 4), name="lease", daemon=True)
    renewing.start()
    try:
        yield lease
    except LostPlaceError:
        ended.set()  # and no release: the lease, whatever it says, is another's
        raise
    finally:
        released = not ended.is_set()
        ended.set()
        renewing.join()
        if released:
            _release(lease)


def read_lease(layout: Layout) -> Holder | None:
    """Read who holds a dataset; None where nobody does.

    Raises:
        DatasetError: the lease is damaged.
    """
    try:
        data = storage.read_bytes(layout.lease)
    except NotFoundError:
        return None
    try:
        facts = json.loads(data)
        times = {name: datetime.fromisoformat(facts[name]) for name in ("since", "renewed")}
        return Holder(**facts | times)
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"The lease {layout.lease} is damaged: {error!r}. Make sure that no writer is at work, and remove it."
        ) from error


def is_gone(holder: Holder) -> bool:
    """Tell whether a holder was a process of this machine that has ended."""
    return process.has_ended(holder.machine, holder.pid, holder.started)


def _obtain(layout: Layout, ours: Holder, on_wait: Callable[[Holder], None]) -> Holder | None:
    """Create the lease, and remove a stale one first; return whose that was."""
    stale = None
    while not storage.create(layout.lease, _encoded(ours)):
        found = read_lease(layout)
        if found is not None and _is_stale(layout, found, on_wait) and read_lease(layout) == found:
            stale = found
            storage.remove(layout.lease)
            _log.info("took a stale lease", holder=str(found))
    return stale


def _is_stale(layout: Layout, found: Holder, on_wait: Callable[[Holder], None]) -> bool:
    """Watch a lease for its time to live, on our own clock; False where it was released meanwhile.

    Raises:
        DatasetHeldError: it is renewed, so its holder lives.
    """
    age = datetime.now(UTC) - found.renewed
    lives = found.machine == process.machine() and timedelta(0) <= age < timedelta(seconds=found.ttl_s)
    until_s = time.monotonic() + found.ttl_s
    now: Holder | None = found
    while not is_gone(found) and time.monotonic() < until_s:
        if lives or now != found:
            raise DatasetHeldError(
                f"{layout.url} is being written by {now}. Wait until that run ends, or stop it; or score into another "
                "--out."
            )
        on_wait(found)
        time.sleep(min(1.0, found.ttl_s / 10))
        now = read_lease(layout)
        if now is None:
            return False
    return True


def _renew_until(ended: threading.Event, lease: Lease, every_s: float) -> None:
    while not ended.wait(every_s):
        try:
            lease.renew()
        except StorageError as error:  # passing trouble, unless it lasts: then the next check before a commit meets it
            _log.warning("the lease could not be renewed", cause=str(error))
        except LostPlaceError as error:  # told again by that check, where it can stop the run
            _log.warning("the lease is lost", cause=str(error))
            return


def _release(lease: Lease) -> None:
    try:
        lease.release()
    except StorageError as error:  # as good as released: this process ends, and what it did must not look failed
        _log.warning("the lease could not be released", cause=str(error))


def _encoded(holder: Holder) -> bytes:
    times = {"since": holder.since.isoformat(), "renewed": holder.renewed.isoformat()}
    return (json.dumps(asdict(holder) | times, indent=2) + "\n").encode()


def _this_process(run_id: str) -> Holder:
    now, pid = datetime.now(UTC), os.getpid()
    return Holder(run_id, socket.gethostname(), process.machine(), pid, process.start_time(pid), now, now, TTL_S)
