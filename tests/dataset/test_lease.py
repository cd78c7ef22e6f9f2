"""The lease: one writer at a time, its name, and when another may replace it."""

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.core.errors import DatasetError, DatasetHeldError, LostPlaceError, StorageError
from pipeline.dataset import lease
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import Holder, Watch, is_gone, read_lease, this_process

TTL_S = 0.4
"""A time to live that a test can wait for."""

hold = partial(lease.hold, ttl_s=TTL_S)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A place for a dataset."""
    return Layout(storage.canonical(str(tmp_path / "out")))


def never(holder: Holder) -> None:
    """Fail: `hold` must not wait."""
    raise AssertionError(f"waited for {holder}")


def patient(_holder: Holder) -> None:
    """Let `hold` wait."""


def holder_here(run_id: str) -> Holder:
    """This process, under another run's name."""
    return this_process(run_id, TTL_S)


def holder_elsewhere(run_id: str) -> Holder:
    """A holder on another machine."""
    return replace(holder_here(run_id), host="far", machine="far away")


def put(layout: Layout, holder: Holder) -> None:
    """Write a lease by hand."""
    storage.write_whole(layout.lease, holder.encode())


def check_after(layout: Layout, change: Callable[[], None]) -> None:
    """Hold a free dataset, call a function, and check the lease."""
    with hold(layout, "one", never) as ours:
        change()
        ours.check()


@contextmanager
def process(script: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Another process, which knows `hold` with the short time to live, and `layout`."""
    head = (
        "import sys, time\nfrom functools import partial\nfrom pipeline.dataset import lease\n"
        "from pipeline.dataset.layout import Layout\nfrom pipeline.core.errors import *\n"
        f"layout, rest, hold = Layout(sys.argv[1]), sys.argv[2:], partial(lease.hold, ttl_s={TTL_S})\n"
    )
    command = [sys.executable, "-c", head + script, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        try:
            yield other
        finally:
            other.kill()


HOLDS = "with hold(layout, 'other', print):\n  print('holds', flush=True); sys.stdin.readline()\n"
HOLDS_AND_CHECKS = """
try:
    with hold(layout, 'other', print) as ours:
        print('holds', flush=True)
        sys.stdin.readline()
        ours.check()
except LostPlaceError as error:
    print(error)
"""


@contextmanager
def held_elsewhere(layout: Layout) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the dataset."""
    with process(HOLDS, layout.url) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "holds\n"
        yield other


def test_a_free_dataset_is_held_and_released(layout: Layout) -> None:
    """The lease says who writes and where, and exists only while the context lasts."""
    with hold(layout, "one", never):
        holder = read_lease(layout)
        assert holder is not None
        assert (holder.run_id, holder.pid, holder.ttl_s) == ("one", os.getpid(), TTL_S)
        assert not is_gone(holder)
    assert read_lease(layout) is None


def test_it_is_renewed_while_it_is_held(layout: Layout) -> None:
    """A holder that does nothing for several times to live still looks alive, with the same start."""
    with hold(layout, "one", never) as ours:
        first = read_lease(layout)
        time.sleep(2 * TTL_S)
        later = read_lease(layout)
        ours.check()
    assert first is not None
    assert later is not None
    assert later.renewed > first.renewed
    assert replace(later, renewed=first.renewed) == first


def test_a_second_writer_here_is_refused_at_once(layout: Layout) -> None:
    """The message says who writes, where and since when, and what to do; the first writer continues."""
    with hold(layout, "one", never) as ours:
        with pytest.raises(DatasetHeldError) as refused, hold(layout, "two", never):
            pass
        ours.check()
        holder = read_lease(layout)
    assert holder is not None
    assert str(refused.value) == (
        f"{layout.url} is being written by run one (process {os.getpid()} on {holder.host}, since "
        f"{holder.since:%Y-%m-%d %H:%M:%S} UTC). Wait until that run ends, or stop it; or score into another --out."
    )


@pytest.mark.ray
def test_a_killed_writer_of_this_machine_is_replaced_at_once(layout: Layout) -> None:
    """There is nothing to wait for: its process has ended, even if its parent has not noticed yet."""
    with held_elsewhere(layout) as other:
        with pytest.raises(DatasetHeldError, match=f"run other \\(process {other.pid} "), hold(layout, "two", never):
            pass
        os.kill(other.pid, signal.SIGKILL)
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead, but still in the table of processes
        with hold(layout, "two", never) as ours:
            ours.check()


@pytest.mark.ray
def test_a_stopped_writer_of_this_machine_is_replaced_in_time(layout: Layout) -> None:
    """A stopped process loses the dataset when its lease is stale; when it wakes up, it finds that out itself."""
    with process(HOLDS_AND_CHECKS, layout.url) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "holds\n"
        os.kill(other.pid, signal.SIGSTOP)
        time.sleep(TTL_S)  # until then it looks alive
        waited: list[Holder] = []
        with hold(layout, "two", waited.append) as ours:
            os.kill(other.pid, signal.SIGCONT)
            said, _ = other.communicate("go on\n")
            ours.check()
    assert waited
    assert "no longer holds" in said
    assert "the lease is run two" in said


def test_a_process_id_used_again_is_not_the_writer() -> None:
    """A process that began later than the lease says is another one."""
    ours = holder_here("one")
    assert not is_gone(ours)
    assert is_gone(replace(ours, started="1"))


def test_an_ended_process_is_gone_and_one_of_another_machine_is_not() -> None:
    """Only processes of this machine are known to have ended."""
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    gone = replace(holder_here("one"), pid=ended.pid)
    assert is_gone(gone)
    assert not is_gone(replace(gone, machine="far away"))


def test_a_lease_from_elsewhere_is_stale_by_our_own_clock(layout: Layout) -> None:
    """However its writer's clock is set, `hold` watches it for its time to live, and then replaces it."""
    for wrong in (timedelta(days=-3), timedelta(0), timedelta(days=3)):
        put(layout, replace(holder_elsewhere("other"), renewed=datetime.now(UTC) + wrong))
        watched: list[Holder] = []
        began_s = time.monotonic()
        with hold(layout, "two", watched.append) as ours:
            assert time.monotonic() - began_s >= TTL_S
            ours.check()
        assert {holder.host for holder in watched} == {"far"}


def test_a_lease_from_elsewhere_that_changes_is_refused(layout: Layout) -> None:
    """One renewal is a sign of life."""
    put(layout, holder_elsewhere("other"))

    def renewed(holder: Holder) -> None:
        put(layout, replace(holder, renewed=holder.renewed + timedelta(microseconds=1)))

    with pytest.raises(DatasetHeldError, match="on far"), hold(layout, "two", renewed):
        pass


def test_a_lease_that_is_released_meanwhile_is_replaced(layout: Layout) -> None:
    """A process that waits gets the dataset when the holder ends."""
    put(layout, replace(holder_elsewhere("other"), ttl_s=2))

    def release(_holder: Holder) -> None:
        storage.remove(layout.lease)

    with hold(layout, "two", release) as ours:
        ours.check()
        holder = read_lease(layout)
        assert holder is not None
        assert holder.run_id == "two"


def test_waiting_can_be_ended(layout: Layout) -> None:
    """An error of `on_wait` ends the wait, and leaves the lease alone."""
    put(layout, holder_elsewhere("other"))

    def enough(_holder: Holder) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), hold(layout, "two", enough):
        pass
    assert read_lease(layout) == replace(holder_elsewhere("other"), since=_since(layout), renewed=_since(layout))


def _since(layout: Layout) -> datetime:
    holder = read_lease(layout)
    assert holder is not None
    return holder.since


def test_a_writer_that_lost_the_lease_stops_and_leaves_the_other_lease_alone(layout: Layout) -> None:
    """If the lease is another's, or gone, the next check ends this writer; it restores nothing."""
    put_other = partial(put, layout, holder_elsewhere("two"))
    with pytest.raises(LostPlaceError, match="the lease is run two"):
        check_after(layout, put_other)
    holder = read_lease(layout)
    assert holder is not None
    assert holder.run_id == "two"
    storage.remove(layout.lease)
    with pytest.raises(LostPlaceError, match="the lease is gone"):
        check_after(layout, lambda: storage.remove(layout.lease))
    assert read_lease(layout) is None


def test_a_renewal_that_comes_late_does_not_cost_the_new_writer_its_place(layout: Layout) -> None:
    """The new writer overwrites a renewal that hung in the network; the old run is fenced off."""
    old = holder_elsewhere("old")
    put(layout, old)
    with hold(layout, "new", patient) as ours:
        put(layout, replace(old, renewed=datetime.now(UTC)))
        ours.check()
        holder = read_lease(layout)
    assert holder is not None
    assert holder.run_id == "new"


def test_a_renewal_that_fails_for_a_while_is_harmless(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread tries again; the run notices nothing."""
    write_whole, attempts = storage.write_whole, itertools.count(1)

    def shaky(url: str, data: bytes) -> None:
        if next(attempts) <= 2:
            raise StorageError("the network is down")
        write_whole(url, data)

    with hold(layout, "one", never) as ours:
        monkeypatch.setattr(storage, "write_whole", shaky)
        time.sleep(1.5 * TTL_S)
        ours.check()
        holder = read_lease(layout)
    assert holder is not None
    assert holder.renewed > holder.since


def test_a_renewal_that_keeps_failing_stops_the_run(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the lease may look stale to others, a check must renew it, or end the run with the cause."""

    def down(url: str, _data: bytes) -> None:
        raise StorageError(f"{url} could not be written: the network is down.")

    with hold(layout, "one", never) as ours:
        with monkeypatch.context() as patch:
            patch.setattr(storage, "write_whole", down)
            ours.check()
            time.sleep(1.2 * TTL_S)
            with pytest.raises(StorageError, match="the network is down"):
                ours.check()
        ours.check()


def test_a_release_that_fails_is_no_failure_of_the_run(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work of the run stays; the lease becomes stale."""

    def down(url: str) -> None:
        raise StorageError(f"{url} could not be removed: the network is down.")

    with hold(layout, "one", never):
        monkeypatch.setattr(storage, "remove", down)
    assert read_lease(layout) is not None


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"since": 3, "renewed": 3}'])
def test_a_damaged_lease_is_refused(layout: Layout, data: bytes) -> None:
    """Its holder is unknown, so a person must look; the message names the file."""
    storage.write_whole(layout.lease, data)
    with pytest.raises(DatasetError, match=r"/lease is damaged: .* remove it"), hold(layout, "two", never):
        pass


def test_a_place_that_cannot_be_written_is_found_before_any_work(tmp_path: Path) -> None:
    """The lease is the first file of a run, so a file in the way is found at once."""
    (tmp_path / "file").write_text("no folder")
    layout = Layout(f"file://{tmp_path}/file")
    with pytest.raises(StorageError, match=r"file/lease could not be created: a part of its path is a file"):
        hold(layout, "one", never).__enter__()


def test_a_read_only_place_is_found_before_any_work() -> None:
    """The message says that permission is missing."""
    folder = Path(tempfile.mkdtemp())  # not pytest's own, which only this user may enter
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.seteuid(65534)  # root may write anywhere
        with pytest.raises(StorageError, match=r"/lease could not be created: permission was denied"):
            hold(Layout(f"file://{folder}"), "one", never).__enter__()
    finally:
        if is_root:
            os.seteuid(0)
        folder.rmdir()


RACES = """
for race in range(5):
    here = Layout(f"{layout.url}/{race}")
    print('ready', flush=True)
    sys.stdin.readline()
    try:
        with hold(here, rest[0], print) as ours:
            time.sleep(0.1)
            ours.check()
            print('won', flush=True)
            sys.stdin.readline()
    except (DatasetHeldError, LostPlaceError):
        print('lost', flush=True)
        sys.stdin.readline()
"""


def read_lines(others: "list[subprocess.Popen[str]]") -> list[str]:
    """Read a line from each process."""
    return [str(other.stdout.readline()).strip() for other in others if other.stdout is not None]


def continue_all(others: "list[subprocess.Popen[str]]") -> None:
    """Let all processes continue at the same moment."""
    for other in others:
        os.write(other.stdin.fileno() if other.stdin else -1, b"go\n")


@pytest.mark.ray
@pytest.mark.parametrize("stale", [False, True])
def test_of_two_simultaneous_writers_one_works(layout: Layout, stale: bool) -> None:  # noqa: FBT001 - a parameter
    """Two processes begin at the same moment, on a free dataset or a killed writer's: one is refused."""
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    for race in range(5 if stale else 0):
        put(Layout(f"{layout.url}/{race}"), replace(holder_here("killed"), pid=ended.pid))
    with process(RACES, layout.url, "one") as one, process(RACES, layout.url, "two") as two:
        for _ in range(5):
            assert read_lines([one, two]) == ["ready", "ready"]
            continue_all([one, two])
            assert sorted(read_lines([one, two])) == ["lost", "won"]
            continue_all([one, two])


def test_a_lease_that_goes_and_comes_while_it_is_read_is_handled(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two reads one process releases the dataset and a third takes it: the message names the third."""
    put(layout, holder_here("first"))
    read_bytes = storage.read_bytes

    def read_in_between(url: str) -> bytes:
        monkeypatch.setattr(storage, "read_bytes", read_bytes)
        storage.remove(url)
        try:
            return read_bytes(url)
        finally:
            put(layout, holder_here("third"))

    monkeypatch.setattr(storage, "read_bytes", read_in_between)
    with pytest.raises(DatasetHeldError, match="third"), hold(layout, "second", never):
        pass


def test_of_many_threads_that_replace_a_stale_lease_one_works(layout: Layout) -> None:
    """They all see the same stale lease; whatever they remove, exactly one holds the dataset in the end."""
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    put(layout, replace(holder_here("killed"), pid=ended.pid))
    together, all_tried = threading.Barrier(8), threading.Barrier(8)
    won: list[str] = []

    def take(run_id: str) -> None:
        together.wait()
        try:
            with hold(layout, run_id, never) as ours:
                all_tried.wait()
                ours.check()
                won.append(run_id)
                all_tried.wait()
        except DatasetHeldError:
            all_tried.wait()
            all_tried.wait()
        except LostPlaceError:
            all_tried.wait()

    takers = [threading.Thread(target=take, args=(f"run{n}",)) for n in range(8)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join(30)
    assert len(won) == 1


def test_the_lease_tells_how_a_watch_stands(layout: Layout) -> None:
    """With its next renewal, and as it was told; a run that ends by itself writes nothing of it."""
    told = Watch(60.0, datetime(2026, 11, 30, 22, 0, tzinfo=UTC), 3, "The disk is away.")
    with hold(layout, "one", never) as held:
        assert b"watch" not in storage.read_bytes(layout.lease)
        held.tell_watch(told)
        held.renew()
        found = read_lease(layout)
        assert found is not None
        assert found.watch == told
