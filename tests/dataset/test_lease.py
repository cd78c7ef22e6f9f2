"""The lease: one writer at a time, who it is, and when another may take its place."""

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
from pipeline.dataset.lease import Holder, hold, is_gone, read_lease

TTL_S = 0.4


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time to live that a test can wait for."""
    monkeypatch.setattr(lease, "TTL_S", TTL_S)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A place for a dataset."""
    return Layout(storage.canonical(str(tmp_path / "out")))


def never(holder: Holder) -> None:
    """What `hold` calls where it must not wait."""
    raise AssertionError(f"waited for {holder}")


def patient(_holder: Holder) -> None:
    """What `hold` calls where it may wait."""


def holder_like_us(run_id: str) -> Holder:
    """This very process under another run's name."""
    return replace(lease._this_process(run_id), ttl_s=TTL_S)


def elsewhere(run_id: str) -> Holder:
    """A holder on another machine."""
    return replace(holder_like_us(run_id), host="far", machine="far away")


def put(layout: Layout, holder: Holder) -> None:
    """Write a lease by hand."""
    storage.write_whole(layout.lease, lease._encoded(holder))


def check_after(layout: Layout, event: Callable[[], None]) -> None:
    """Hold a free dataset, let something happen, and check."""
    with hold(layout, "one", never) as ours:
        event()
        ours.check()


@contextmanager
def process(script: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A process of its own that knows `hold`, `layout` and the short time to live."""
    head = (
        "import sys, time, os\nfrom pipeline import lease, storage\nfrom pipeline.dataset import Layout\n"
        "from pipeline.core.errors import *\nlayout, rest = Layout(sys.argv[1]), sys.argv[2:]\n"
        f"lease.TTL_S = {TTL_S}\n"
    )
    command = [sys.executable, "-c", head + script, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        try:
            yield other
        finally:
            other.kill()


HOLDS = "with lease.hold(layout, 'other', print):\n  print('holds', flush=True); sys.stdin.readline()\n"
HOLDS_AND_CHECKS = """
try:
    with lease.hold(layout, 'other', print) as ours:
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


def test_a_free_dataset_is_held_and_let_go(layout: Layout) -> None:
    """The lease says who writes and where, and stands only while the context lasts."""
    with hold(layout, "one", never):
        holder = read_lease(layout)
        assert holder is not None
        assert (holder.run_id, holder.pid, holder.ttl_s) == ("one", os.getpid(), TTL_S)
        assert not is_gone(holder)
    assert read_lease(layout) is None


def test_it_is_renewed_while_it_is_held(layout: Layout) -> None:
    """A holder that does nothing for several times to live is still seen to live, and since when."""
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
    """It is told who, where and since when, and what to do; the first goes on."""
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
    """There is nothing to wait for: its process is gone, even while nobody has taken note of its end."""
    with held_elsewhere(layout) as other:
        with pytest.raises(DatasetHeldError, match=f"run other \\(process {other.pid} "), hold(layout, "two", never):
            pass
        os.kill(other.pid, signal.SIGKILL)
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table of processes
        with hold(layout, "two", never) as ours:
            ours.check()


@pytest.mark.ray
def test_a_stopped_writer_of_this_machine_is_replaced_in_time(layout: Layout) -> None:
    """A process that stands still is no writer once its lease is stale; awake again, it finds that out itself."""
    with process(HOLDS_AND_CHECKS, layout.url) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "holds\n"
        os.kill(other.pid, signal.SIGSTOP)
        time.sleep(TTL_S)  # until then it looks as alive as any
        waited: list[Holder] = []
        with hold(layout, "two", waited.append) as ours:
            os.kill(other.pid, signal.SIGCONT)
            said, _ = other.communicate("go on\n")
            ours.check()
    assert waited
    assert "no longer holds" in said
    assert "the lease is run two" in said


def test_a_number_used_again_is_not_taken_for_the_writer() -> None:
    """A living process that began later than the lease says is another one."""
    ours = holder_like_us("one")
    assert not is_gone(ours)
    assert is_gone(replace(ours, started="1"))


def test_an_ended_process_is_gone_and_one_of_another_machine_is_not() -> None:
    """Only of this machine can be said that a process has ended."""
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    gone = replace(holder_like_us("one"), pid=ended.pid)
    assert is_gone(gone)
    assert not is_gone(replace(gone, machine="far away"))


def test_a_lease_from_elsewhere_is_stale_by_our_own_clock(layout: Layout) -> None:
    """However its writer's clock is set, it is watched for its time to live and then taken."""
    for wrong in (timedelta(days=-3), timedelta(0), timedelta(days=3)):
        put(layout, replace(elsewhere("other"), renewed=datetime.now(UTC) + wrong))
        watched: list[Holder] = []
        began_s = time.monotonic()
        with hold(layout, "two", watched.append) as ours:
            assert time.monotonic() - began_s >= TTL_S
            ours.check()
        assert {holder.host for holder in watched} == {"far"}


def test_a_lease_from_elsewhere_that_changes_is_refused(layout: Layout) -> None:
    """One renewal is a sign of life."""
    put(layout, elsewhere("other"))

    def renewed(holder: Holder) -> None:
        put(layout, replace(holder, renewed=holder.renewed + timedelta(microseconds=1)))

    with pytest.raises(DatasetHeldError, match="on far"), hold(layout, "two", renewed):
        pass


def test_a_lease_that_is_let_go_meanwhile_is_taken(layout: Layout) -> None:
    """Who waits for a lease gets it when its holder ends."""
    put(layout, replace(elsewhere("other"), ttl_s=2))

    def let_go(_holder: Holder) -> None:
        storage.remove(layout.lease)

    with hold(layout, "two", let_go) as ours:
        ours.check()


def test_waiting_can_be_ended(layout: Layout) -> None:
    """What is raised while it waits ends the wait, and leaves the lease alone."""
    put(layout, elsewhere("other"))

    def enough(_holder: Holder) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), hold(layout, "two", enough):
        pass
    assert read_lease(layout) == replace(elsewhere("other"), since=_since(layout), renewed=_since(layout))


def _since(layout: Layout) -> datetime:
    holder = read_lease(layout)
    assert holder is not None
    return holder.since


def test_who_lost_the_lease_is_told_and_leaves_the_others_alone(layout: Layout) -> None:
    """A lease that became another's, or vanished, ends this writer at its next check; nothing is put back."""
    put_other = partial(put, layout, elsewhere("two"))
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
    """A write that hung in the network until after the take-over is written over; its run has been fenced off."""
    old = elsewhere("old")
    put(layout, old)
    with hold(layout, "new", patient) as ours:
        put(layout, replace(old, renewed=datetime.now(UTC)))
        ours.check()
        holder = read_lease(layout)
    assert holder is not None
    assert holder.run_id == "new"


def test_passing_trouble_with_a_renewal_costs_nothing(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewal that fails is tried again; the run notices nothing."""
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


def test_lasting_trouble_with_a_renewal_stops_the_run(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the lease may look stale to others, a check must renew it, or end the run with the cause."""

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
    """What the run did stands; the lease goes stale by itself."""

    def down(url: str) -> None:
        raise StorageError(f"{url} could not be removed: the network is down.")

    with hold(layout, "one", never):
        monkeypatch.setattr(storage, "remove", down)
    assert read_lease(layout) is not None


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"since": 3, "renewed": 3}'])
def test_a_damaged_lease_is_told(layout: Layout, data: bytes) -> None:
    """Nobody can say whose it is, so a person must look; the message says what at."""
    storage.write_whole(layout.lease, data)
    with pytest.raises(DatasetError, match=r"/lease is damaged: .* remove it"), hold(layout, "two", never):
        pass


def test_a_place_that_cannot_be_written_is_told_before_any_work(tmp_path: Path) -> None:
    """The lease is the first thing written, so a file in the way is found at once."""
    (tmp_path / "file").write_text("no folder")
    layout = Layout(f"file://{tmp_path}/file")
    with pytest.raises(StorageError, match=r"file/lease could not be created: a part of its path is a file"):
        hold(layout, "one", never).__enter__()


def test_a_read_only_place_is_told_before_any_work() -> None:
    """A folder closed to this user is told as such."""
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
        with lease.hold(here, rest[0], print) as ours:
            time.sleep(0.1)
            ours.check()
            print('won', flush=True)
            sys.stdin.readline()
    except (DatasetHeldError, LostPlaceError):
        print('lost', flush=True)
        sys.stdin.readline()
"""


def hear(others: "list[subprocess.Popen[str]]") -> list[str]:
    """Hear a line from each process."""
    return [str(other.stdout.readline()).strip() for other in others if other.stdout is not None]


def tell(others: "list[subprocess.Popen[str]]") -> None:
    """Let every process go on, all in the same moment."""
    for other in others:
        os.write(other.stdin.fileno() if other.stdin else -1, b"go\n")


@pytest.mark.ray
@pytest.mark.parametrize("stale", [False, True])
def test_of_two_writers_started_at_once_one_works(layout: Layout, stale: bool) -> None:  # noqa: FBT001 - a parameter
    """Two processes begin in the same moment, on a free dataset or a killed writer's: one works, one is refused."""
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    for race in range(5 if stale else 0):
        put(Layout(f"{layout.url}/{race}"), replace(holder_like_us("killed"), pid=ended.pid))
    with process(RACES, layout.url, "one") as one, process(RACES, layout.url, "two") as two:
        for _ in range(5):
            assert hear([one, two]) == ["ready", "ready"]
            tell([one, two])
            assert sorted(hear([one, two])) == ["lost", "won"]
            tell([one, two])


def test_a_lease_that_goes_and_comes_while_it_is_read_is_no_trouble(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a taker's two looks another releases the dataset and a third takes it: the taker is told who."""
    put(layout, holder_like_us("first"))
    read_bytes = storage.read_bytes

    def read_in_between(url: str) -> bytes:
        monkeypatch.setattr(storage, "read_bytes", read_bytes)
        storage.remove(url)
        try:
            return read_bytes(url)
        finally:
            put(layout, holder_like_us("third"))

    monkeypatch.setattr(storage, "read_bytes", read_in_between)
    with pytest.raises(DatasetHeldError, match="third"), hold(layout, "second", never):
        pass


def test_of_many_takers_of_a_stale_lease_one_works(layout: Layout) -> None:
    """Threads that all see the same stale lease: whatever they remove, one holds it in the end, and only one."""
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    put(layout, replace(holder_like_us("killed"), pid=ended.pid))
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
