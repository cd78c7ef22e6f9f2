"""Signals that ask, signals that end, and iteration that never deafens the main thread."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.interrupt import Interrupt, iterate_in_thread


@settings(deadline=None)
@given(st.lists(st.integers()))
def test_pumped_keeps_order(items: list[int]) -> None:
    """What comes out is what went in; None is only waiting."""
    with iterate_in_thread(items) as passing:
        assert [item for item in passing if item is not None] == items


def test_pumped_raises_the_iterators_error() -> None:
    """An error comes after the items before it, as it would without the thread."""

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with iterate_in_thread(failing()) as passing:
        items = (item for item in passing if item is not None)

        assert next(items) == 1
        with pytest.raises(ValueError, match=r"^broken$"):
            next(items)


def test_pumped_yields_none_while_waiting() -> None:
    """A slow producer leaves its consumer time to look around."""
    go = threading.Event()

    def slow() -> Iterator[int]:
        go.wait()
        yield 7

    with iterate_in_thread(slow()) as passing:
        assert next(passing) is None
        go.set()
        assert [item for item in passing if item is not None] == [7]


def test_pumped_holds_the_producer_back() -> None:
    """While nobody takes an item, only a few are made."""
    made = []

    def producer() -> Iterator[int]:
        for number in range(1_000):
            made.append(number)
            yield number

    with iterate_in_thread(producer()) as passing:
        next(passing)
        threading.Event().wait(0.3)

    assert len(made) < 10


def test_pumped_ends_its_iterator_when_it_is_left() -> None:
    """At its next item, not in a thread that lives on: what it cleans up is cleaned up when the context is over."""
    ended = []

    def producer() -> Iterator[int]:
        try:
            for number in range(1_000):
                threading.Event().wait(0.001)
                yield number
        finally:
            ended.append("cleaned up")

    with iterate_in_thread(producer()) as passing:
        next(passing)

    assert ended == ["cleaned up"]
    assert "pump" not in {thread.name for thread in threading.enumerate()}


def test_pumped_does_not_wait_for_ever_for_what_does_not_come() -> None:
    """An iterator that is stuck is left behind."""
    go = threading.Event()

    def stuck() -> Iterator[int]:
        go.wait()
        yield 1

    with iterate_in_thread(stuck(), end_s=0.1) as passing:
        assert next(passing) is None
    go.set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_only_asks(number: signal.Signals) -> None:
    """The program goes on, and can see that it was asked to end; the former handlers come back."""
    before = signal.getsignal(number)

    with Interrupt() as interrupt:
        assert not interrupt.asked
        os.kill(os.getpid(), number)
        assert interrupt.asked

    assert signal.getsignal(number) is before


def test_outside_the_main_thread_nobody_listens() -> None:
    """Python hears signals in the main thread only; elsewhere the context does nothing, and no harm."""
    seen = []

    def work() -> None:
        with Interrupt() as interrupt:
            seen.append(interrupt.asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert seen == [False]


_TWICE = """
import os, signal
from pipeline.core.interrupt import Interrupt
with Interrupt() as interrupt:
    os.kill(os.getpid(), signal.{first})
    print("asked", interrupt.asked, flush=True)
    os.kill(os.getpid(), signal.{second})
    print("still here", flush=True)
"""


@pytest.mark.parametrize(("first", "second"), [("SIGINT", "SIGINT"), ("SIGTERM", "SIGTERM"), ("SIGINT", "SIGTERM")])
def test_the_second_signal_ends_at_once(first: str, second: str) -> None:
    """Whichever it is, the second signal kills the process as if nobody listened."""
    script = _TWICE.format(first=first, second=second)

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)

    assert ended.stdout == "asked True\n"
    assert ended.returncode == -signal.Signals[second]
