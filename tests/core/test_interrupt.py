"""The first signal requests an end, the second enforces it, and iteration never blocks the main thread."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import InterruptedRunError
from pipeline.core.interrupt import Interrupt, iterate_in_thread


@settings(deadline=None)
@given(st.lists(st.integers()))
def test_iteration_keeps_order(items: list[int]) -> None:
    """The consumer gets every item in order; None only means that it waits."""
    with iterate_in_thread(items) as items_or_none:
        assert [item for item in items_or_none if item is not None] == items


def test_the_consumer_gets_the_iterators_error() -> None:
    """The error follows the items before it, as it would without the thread."""

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with iterate_in_thread(failing()) as items_or_none:
        items = (item for item in items_or_none if item is not None)

        assert next(items) == 1
        with pytest.raises(ValueError, match=r"^broken$"):
            next(items)


def test_errors_may_be_items() -> None:
    """An exception that the iterator yields is an item like any other."""
    items = [ValueError("an item"), StopIteration()]

    with iterate_in_thread(items) as items_or_none:
        assert [item for item in items_or_none if item is not None] == items


def test_the_consumer_gets_an_exit() -> None:
    """Whatever ends the iterator reaches the consumer, even `SystemExit`."""

    def leaving() -> Iterator[int]:
        yield 1
        raise SystemExit(3)

    with iterate_in_thread(leaving()) as items_or_none, pytest.raises(SystemExit):
        list(items_or_none)


def test_iteration_yields_none_while_it_waits() -> None:
    """A slow producer does not block its consumer."""
    go = threading.Event()

    def slow() -> Iterator[int]:
        go.wait()
        yield 7

    with iterate_in_thread(slow()) as items_or_none:
        assert next(items_or_none) is None
        go.set()
        assert [item for item in items_or_none if item is not None] == [7]


def test_a_slow_consumer_slows_the_producer_down() -> None:
    """Only a few items are made while the consumer takes none."""
    made = []

    def producer() -> Iterator[int]:
        for number in range(1_000):
            made.append(number)
            yield number

    with iterate_in_thread(producer()) as items_or_none:
        next(items_or_none)
        threading.Event().wait(0.3)

    assert len(made) < 10


def test_a_consumer_that_leaves_ends_the_iterator() -> None:
    """The iterator ends at its next item, and its clean-up is done when the context ends."""
    ended = []

    def producer() -> Iterator[int]:
        try:
            for number in range(1_000):
                threading.Event().wait(0.001)
                yield number
        finally:
            ended.append("cleaned up")

    with iterate_in_thread(producer()) as items_or_none:
        next(items_or_none)

    assert ended == ["cleaned up"]
    assert "producer" not in {thread.name for thread in threading.enumerate()}


def test_a_stuck_iterator_does_not_block_its_consumer() -> None:
    """A consumer that leaves waits no longer than `end_s`."""
    go = threading.Event()

    def stuck() -> Iterator[int]:
        go.wait()
        yield 1

    with iterate_in_thread(stuck(), end_s=0.1) as items_or_none:
        assert next(items_or_none) is None
    go.set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_only_sets_a_flag(number: signal.Signals) -> None:
    """The program continues and sees the request; afterwards the previous handlers are back."""
    before = signal.getsignal(number)

    with Interrupt() as interrupt:
        assert not interrupt.requested
        os.kill(os.getpid(), number)
        assert interrupt.requested

    assert signal.getsignal(number) is before


def test_the_time_to_stop_is_a_request() -> None:
    """From that moment on, as after a signal."""
    with Interrupt(datetime.now(UTC) + timedelta(hours=1)) as interrupt:
        interrupt.raise_if_requested()
    with Interrupt(datetime.now(UTC)) as interrupt, pytest.raises(InterruptedRunError, match="What is finished is"):
        interrupt.raise_if_requested()


def test_another_thread_installs_no_handler() -> None:
    """Python delivers signals to the main thread only; elsewhere the context does nothing."""
    seen = []

    def work() -> None:
        with Interrupt() as interrupt:
            seen.append(interrupt.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert seen == [False]


_TWICE = """
import os, signal
from pipeline.core.interrupt import Interrupt
with Interrupt() as interrupt:
    os.kill(os.getpid(), signal.{first})
    print("requested", interrupt.requested, flush=True)
    os.kill(os.getpid(), signal.{second})
    print("still here", flush=True)
"""


@pytest.mark.parametrize(("first", "second"), [("SIGINT", "SIGINT"), ("SIGTERM", "SIGTERM"), ("SIGINT", "SIGTERM")])
def test_the_second_signal_ends_at_once(first: str, second: str) -> None:
    """The second signal, of either kind, kills the process by its default handler."""
    script = _TWICE.format(first=first, second=second)

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)

    assert ended.stdout == "requested True\n"
    assert ended.returncode == -signal.Signals[second]
