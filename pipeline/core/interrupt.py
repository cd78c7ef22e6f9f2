"""Ctrl-C, SIGTERM and the time to stop: the first ask a run to end after the current photos, the second ends it.

Blocking work runs in a thread of its own, so that the main thread always receives the signal.
"""

import queue
import signal
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from pipeline.core.errors import InterruptedRunError

Item = TypeVar("Item")

POLL_S = 0.2
"""A waiting main thread notices a signal after at most this time."""

END_S = 10.0
"""The slowest engine takes about this long for a photo of 12 megapixels."""


class Interrupt:
    """While this context lasts, the first signal only sets `requested`; the second has its default effect.

    Args:
        until: this moment does what a first signal does; None waits for signals only.
    """

    def __init__(self, until: datetime | None = None) -> None:
        self._until, self._has_signal = until, False
        self._before: dict[int, object] = {}

    @property
    def requested(self) -> bool:
        """Whether the run is asked to end."""
        return self._has_signal or (self._until is not None and datetime.now(UTC) >= self._until)

    def __enter__(self) -> Self:
        """Install the handlers; only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restore the previous handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned

    def raise_if_requested(self) -> None:
        """End the run after a signal, or when its time is up.

        Raises:
            InterruptedRunError: it is asked to end.
        """
        if self.requested:
            raise InterruptedRunError(
                "Interrupted. What is finished is committed; run the same command again to go on."
            )

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._has_signal = True
        for number in self._before:
            signal.signal(number, signal.SIG_DFL)


@dataclass(frozen=True)
class _End:
    """The last entry of the queue between producer and consumer."""

    error: BaseException | None
    """What ended the iterator early."""


@contextmanager
def iterate_in_thread(items: Iterable[Item], end_s: float = END_S) -> Iterator[Iterator[Item | None]]:
    """Iterate in a thread while the context lasts; yield None whenever no item has come for `POLL_S`.

    The consumer gets the iterator's error. The queue holds at most four items, so a slow consumer slows the producer
    down. When a consumer leaves early, the iterator ends at its next item: using a Ray that has shut down would end
    this process.

    Args:
        items: an iterable that takes time between items.
        end_s: how long a consumer that leaves early waits for the iterator to end.
    """
    waiting: queue.Queue[Any] = queue.Queue(maxsize=4)
    left = threading.Event()
    producer = threading.Thread(target=_produce, args=(waiting, items, left), daemon=True, name="producer")
    producer.start()
    try:
        yield _consume(waiting)
    finally:
        left.set()
        deadline_s = time.monotonic() + end_s
        while producer.is_alive() and time.monotonic() < deadline_s:
            with suppress(queue.Empty):  # make room for what the producer still has to put
                waiting.get(timeout=POLL_S / 4)


def _produce(waiting: queue.Queue[Any], items: Iterable[object], left: threading.Event) -> None:
    def end(_kind: object, error: BaseException | None, _traceback: object) -> bool:
        waiting.put(_End(error))
        return True  # not lost: `_consume` raises it

    with ExitStack() as stack:
        stack.push(end)
        iterator = iter(items)
        for item in iterator:
            waiting.put(item)
            if left.is_set():
                break
        if isinstance(iterator, Generator):
            iterator.close()


def _consume(waiting: queue.Queue[Any]) -> Iterator[Any]:
    while True:
        try:
            item = waiting.get(timeout=POLL_S)
        except queue.Empty:
            yield None
            continue
        if not isinstance(item, _End):
            yield item
        elif item.error is not None:
            raise item.error
        else:
            return


def stop_on_interrupt(items: Iterable[Item], interrupt: Interrupt) -> Iterator[Item]:
    """Pass items on until a signal comes.

    Raises:
        InterruptedRunError: a signal has come.
    """
    for item in items:
        yield item
        interrupt.raise_if_requested()
