"""Ctrl-C and SIGTERM: the first asks a run to end after what is finished, the second ends it at once.

Work that blocks runs in a thread of its own, so that the main thread always hears the signal.
"""

import contextlib
import queue
import signal
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from pipeline.core.errors import InterruptedRunError

Item = TypeVar("Item")

POLL_S = 0.2
"""How long a waiting main thread takes to notice a signal."""

END_S = 10.0
"""A photo of 12 megapixels takes the slowest engine about so long."""


class Interrupt:
    """While this context lasts, the first signal only sets `asked`; the second acts as if nobody listened."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        """Listen, where signals can be heard at all: in the main thread."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Put the former handlers back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned

    def stop_if_asked(self) -> None:
        """Raise what ends the run, once a signal has come.

        Raises:
            InterruptedRunError: it has.
        """
        if self.asked:
            raise InterruptedRunError(
                "Interrupted. What is finished is committed; run the same command again to go on."
            )

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        for number in self._before:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def iterate_in_thread(items: Iterable[Item], end_s: float = END_S) -> Iterator[Iterator[Item | None]]:
    """Iterate in a thread while the context lasts; what comes is None whenever nothing has come for a moment.

    An error of the iterator is raised here. At most a few items wait, so a slow consumer holds the producer back. A
    consumer that leaves early ends the iterator, too, at its next item: it must not go on with a Ray that is shut down,
    which would end this process.

    Args:
        items: whatever it takes time to get.
        end_s: how long one who leaves early waits for that.
    """
    waiting: queue.Queue[Any] = queue.Queue(maxsize=4)
    left = threading.Event()
    pump = threading.Thread(target=_fill, args=(waiting, items, left), daemon=True, name="pump")
    pump.start()
    try:
        yield _passing(waiting)
    finally:
        left.set()
        deadline_s = time.monotonic() + end_s
        while pump.is_alive() and time.monotonic() < deadline_s:
            with contextlib.suppress(queue.Empty):  # room for what it still has to hand over
                waiting.get(timeout=POLL_S / 4)


def _fill(waiting: queue.Queue[Any], items: Iterable[object], left: threading.Event) -> None:
    iterator = iter(items)
    try:
        for item in iterator:
            waiting.put(item)
            if left.is_set():
                break
        if isinstance(iterator, Generator):
            iterator.close()
        waiting.put(StopIteration())
    except BaseException as error:  # noqa: BLE001 - handed over whole to the consumer
        waiting.put(error)


def _passing(waiting: queue.Queue[Any]) -> Iterator[Any]:
    while True:
        try:
            item = waiting.get(timeout=POLL_S)
        except queue.Empty:
            yield None
            continue
        if isinstance(item, StopIteration):
            return
        if isinstance(item, BaseException):
            raise item
        yield item


def until_interrupted(items: Iterable[Item], interrupt: Interrupt) -> Iterator[Item]:
    """Pass items on until a signal asks to stop."""
    for item in items:
        yield item
        interrupt.stop_if_asked()
