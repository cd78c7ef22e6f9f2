"""The lease: a small file that the writer of a dataset renews, so that crackscan can refuse a second writer.

It keeps cooperating writers apart and says who writes. It is not a lock, because clocks and networks can stop at any
point. The commit log itself prevents that a writer commits after it has lost the lease: see `writer`.
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
"""A lease that has not changed for this long is stale. Four renewals in that time let it survive three lost ones."""

_log = get_logger("lease")


@dataclass(frozen=True)
class Watch:
    """How a writer stands that looks for new photos again and again."""

    every_s: float
    """Between two looks."""
    looked_at: datetime
    """When it last looked and found its inputs."""
    waiting: int = 0
    """Files that it leaves alone, because they may not be complete."""
    trouble: str = ""
    """Why it has not found them since; empty if it has."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a dataset, as its lease describes it."""

    run_id: str
    host: str
    """Name of the machine, for people."""
    machine: str
    """Name of the machine, for comparing; see `core.process`, also for the next two fields."""
    pid: int
    started: str
    since: datetime
    renewed: datetime
    """Changes with every renewal."""
    ttl_s: float
    """The lease is stale if it has not changed for this long."""
    watch: Watch | None = None
    """None for a run that ends by itself."""

    def __str__(self) -> str:
        """Describe run, process, host and start."""
        return f"run {self.run_id} (process {self.pid} on {self.host}, since {self.since:%Y-%m-%d %H:%M:%S} UTC)"

    def encode(self) -> bytes:
        """Encode as the content of a lease."""
        facts = asdict(self)
        if self.watch is None:
            del facts["watch"]
        return (json.dumps(facts, indent=2, default=datetime.isoformat) + "\n").encode()


class Lease:
    """Our hold on a dataset. Made by `hold`.

    Args:
        layout: the dataset.
        holder: this process, as the lease describes it.
        before: the holder of the stale lease that we replaced, if there was one.
    """

    def __init__(self, layout: Layout, holder: Holder, before: Holder | None) -> None:
        self._layout, self._holder = layout, holder
        self._before = before
        self._renewed_s = time.monotonic()

    def check(self) -> None:
        """Check that we still hold the dataset; to be called before every commit.

        Raises:
            LostPlaceError: another writer holds the dataset, or nobody does.
            StorageError: the lease cannot be read; or it may be stale and cannot be renewed.
        """
        self._check_holder()
        if time.monotonic() - self._renewed_s >= self._holder.ttl_s:
            self._write()

    def renew(self) -> None:
        """Change the lease, so that it does not become stale.

        Raises:
            LostPlaceError: another writer holds the dataset, or nobody does.
        """
        self._check_holder()
        self._write()

    def tell_watch(self, watch: Watch) -> None:
        """Let every later renewal tell how the watch stands."""
        self._holder = replace(self._holder, watch=watch)

    def release(self) -> None:
        """Remove the lease, if it is still ours."""
        with contextlib.suppress(LostPlaceError):
            self._check_holder()
            storage.remove(self._layout.lease)

    def _check_holder(self) -> None:
        found = read_lease(self._layout)
        if found is not None and found.run_id == self._holder.run_id:
            return
        if found is None or self._before is None or found.run_id != self._before.run_id:
            raise LostPlaceError(
                f"This run no longer holds {self._layout.url}: the lease is {found or 'gone'}. "
                "It stops; what it had committed stays. Run one writer at a time."
            )
        self._write()  # a late renewal by the former holder, which our fence stops, replaced our lease

    def _write(self) -> None:
        storage.write_whole(self._layout.lease, replace(self._holder, renewed=datetime.now(UTC)).encode())
        self._renewed_s = time.monotonic()


@contextlib.contextmanager
def hold(layout: Layout, run_id: str, on_wait: Callable[[Holder], None], ttl_s: float | None = None) -> Iterator[Lease]:
    """Take a dataset for a run, renew the lease in a thread while the context lasts, and release it.

    If two processes replace one stale lease, the later can remove the lease that the earlier has just created, if it
    paused between its last read and the removal. Then only the process that created the last lease continues: the
    other finds that lease at its next `check`, which comes before its fence. If that process pauses, too, the fence
    decides, which is one file, created only if absent.

    Args:
        layout: the dataset; created if there is nothing.
        run_id: the run.
        on_wait: called with the holder of a lease, every moment while we wait whether it is stale. An error that it
            raises ends the wait.
        ttl_s: the lease is stale after this time without renewal; None takes `TTL_S`.

    Raises:
        DatasetHeldError: another writer is alive.
        StorageError: the place cannot be written.
    """
    ours = this_process(run_id, TTL_S if ttl_s is None else ttl_s)
    lease = Lease(layout, ours, _take(layout, ours, on_wait))
    ended = threading.Event()
    renewing = threading.Thread(target=_renew_until, args=(ended, lease, ours.ttl_s / 4), name="lease", daemon=True)
    renewing.start()
    try:
        yield lease
    except LostPlaceError:
        ended.set()  # no release: the lease is another writer's
        raise
    finally:
        is_ours = not ended.is_set()
        ended.set()
        renewing.join()
        if is_ours:
            _release(lease)


def this_process(run_id: str, ttl_s: float) -> Holder:
    """Describe this process as the holder of a new lease."""
    now, pid = datetime.now(UTC), os.getpid()
    return Holder(run_id, socket.gethostname(), process.machine(), pid, process.start_time(pid), now, now, ttl_s)


def read_lease(layout: Layout) -> Holder | None:
    """Read who holds a dataset; None if nobody does.

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
        watch = facts.pop("watch", None)
        if watch is not None:
            watch = Watch(**watch | {"looked_at": datetime.fromisoformat(watch["looked_at"])})
        return Holder(**facts | times, watch=watch)
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"The lease {layout.lease} is damaged: {error!r}. Make sure that no writer is at work, and remove it."
        ) from error


def is_gone(holder: Holder) -> bool:
    """Tell whether a holder was a process of this machine that has ended."""
    return process.has_ended(holder.machine, holder.pid, holder.started)


def _take(layout: Layout, ours: Holder, on_wait: Callable[[Holder], None]) -> Holder | None:
    """Create the lease; return the holder of the stale lease that we removed first, if there was one."""
    stale = None
    while not storage.create(layout.lease, ours.encode()):
        found = read_lease(layout)
        if found is not None and _is_stale(layout, found, on_wait) and read_lease(layout) == found:
            stale = found
            storage.remove(layout.lease)
            _log.info("took a stale lease", holder=str(found))
    return stale


def _is_stale(layout: Layout, found: Holder, on_wait: Callable[[Holder], None]) -> bool:
    """Watch a lease for its time to live, by our own clock; return False if its holder releases it meanwhile.

    Raises:
        DatasetHeldError: the holder renewed it, and so is alive.
    """
    age = datetime.now(UTC) - found.renewed
    is_fresh = found.machine == process.machine() and timedelta(0) <= age < timedelta(seconds=found.ttl_s)
    until_s = time.monotonic() + found.ttl_s
    now: Holder | None = found
    while not is_gone(found) and time.monotonic() < until_s:
        if is_fresh or now != found:
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
        except StorageError as error:  # if the trouble lasts, the check before the next commit raises it
            _log.warning("the lease could not be renewed", cause=str(error))
        except LostPlaceError as error:  # that check raises it again, where it can stop the run
            _log.warning("the lease is lost", cause=str(error))
            return


def _release(lease: Lease) -> None:
    try:
        lease.release()
    except StorageError as error:  # the lease becomes stale anyway, and the run did not fail
        _log.warning("the lease could not be released", cause=str(error))
