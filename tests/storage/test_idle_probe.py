"""Storage that is asked while nothing comes from the workers."""

import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.core.errors import StorageError
from pipeline.core.waits import longest_wait
from pipeline.storage.idle_probe import probe_while_idle
from tests.conftest import S3Place
from tests.helpers.fault_proxy import Rule


def idle_items(seconds: float) -> Iterator[int | None]:
    """Yield an item, then None for some time, then an item."""
    yield 1
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        time.sleep(0.01)
        yield None
    yield 2


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are asked for; the storage refuses each."""
    found = list[str]()

    def refuse(url: str) -> None:
        found.append(url)
        raise StorageError("permission was denied")

    monkeypatch.setattr("pipeline.storage.stat", refuse)
    return found


def test_remote_storage_is_asked_while_nothing_comes(asked: list[str]) -> None:
    """Items pass unchanged, and what is permanent is for the workers to tell."""
    passed = [item for item in probe_while_idle(idle_items(0.5), "s3://bucket/a.zip", 0.1) if item is not None]
    assert passed == [1, 2]
    assert 1 <= len(asked) <= 5
    assert {*asked} == {"s3://bucket/a.zip"}


@pytest.mark.parametrize(("url", "idle_s"), [(None, 0.0), ("file:///a.zip", 0.0), ("s3://bucket/a.zip", 60.0)])
def test_nothing_is_asked_without_a_reason(url: str | None, idle_s: float, asked: list[str]) -> None:
    """Not without a file, not on local disk, and not as long as items come."""
    assert len([*probe_while_idle(idle_items(0.1), url, idle_s)]) > 2
    assert asked == []


def test_an_outage_is_a_wait_of_this_process(faulty_s3: S3Place) -> None:
    """With the cause of the last attempt, as whoever shows progress says it."""
    faulty_s3.rules.append(Rule("slow_down", count=4))
    waits = set[str]()
    for _ in probe_while_idle(idle_items(3), f"{faulty_s3.url}/a.zip", 0.05):
        if (wait := longest_wait()) is not None:
            waits.add(wait.cause)
    assert any("503" in cause for cause in waits), waits


def test_nobody_is_asked_once_the_items_have_ended(faulty_s3: S3Place) -> None:
    """A wait that outlived them would be said beside the end of the work, or by the next command of the process."""
    faulty_s3.rules.append(Rule("slow_down", count=1_000))
    assert None in [*probe_while_idle(idle_items(1), f"{faulty_s3.url}/a.zip", 0.05)]
    for thread in threading.enumerate():
        if thread.name == "storage-probe":
            thread.join(10)
            assert not thread.is_alive()
    assert longest_wait() is None
