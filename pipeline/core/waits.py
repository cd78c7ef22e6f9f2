"""Which requests of this process wait for storage, and why, so that whoever shows progress can say it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Wait:
    """A request that has failed and is tried again."""

    url: str
    cause: str
    """Of the last attempt."""
    since: float
    """When the first attempt began, by the monotonic clock of this process."""


_lock = threading.Lock()
_waiting = dict[object, Wait]()


def longest_wait() -> Wait | None:
    """Return the request that has waited longest; None while none waits."""
    with _lock:
        return min(_waiting.values(), key=lambda wait: wait.since, default=None)


class Request:
    """One request, which may have to wait."""

    def __init__(self, url: str) -> None:
        self._url, self._began_at = url, time.monotonic()

    def has_failed(self, cause: str) -> None:
        """Note that an attempt has failed and another will come."""
        with _lock:
            _waiting[self] = Wait(self._url, cause, self._began_at)

    def has_ended(self) -> None:
        """Note that nobody waits for it any more."""
        with _lock:
            _waiting.pop(self, None)


@contextmanager
def requesting(url: str) -> Iterator[Request]:
    """Follow one request while the context lasts."""
    request = Request(url)
    try:
        yield request
    finally:
        request.has_ended()
