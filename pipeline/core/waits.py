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


@dataclass
class _Pauses:
    """Time in which at least one request waited."""

    over_s: float = 0.0
    """Of pauses that are over."""
    since: float | None = None
    """When the current pause began."""

    def end(self, now: float) -> None:
        self.over_s, self.since = self.total_s(now), None

    def total_s(self, now: float) -> float:
        return self.over_s + (0.0 if self.since is None else now - self.since)


_lock = threading.Lock()
_waiting = dict[object, Wait]()
_pauses = _Pauses()


def longest_wait() -> Wait | None:
    """Return the request that has waited longest; None while none waits."""
    with _lock:
        return min(_waiting.values(), key=lambda wait: wait.since, default=None)


def working_time() -> float:
    """Return the monotonic clock without the time in which a request waited: what tells the pace of work."""
    now = time.monotonic()
    with _lock:
        return now - _pauses.total_s(now)


class Request:
    """One request, which may have to wait."""

    def __init__(self, url: str) -> None:
        self._url, self._began_at = url, time.monotonic()

    def has_failed(self, cause: str) -> None:
        """Note that an attempt has failed and another will come."""
        with _lock:
            _waiting[self] = Wait(self._url, cause, self._began_at)
            if _pauses.since is None:
                _pauses.since = time.monotonic()

    def has_ended(self) -> None:
        """Note that nobody waits for it any more."""
        with _lock:
            _waiting.pop(self, None)
            if not _waiting:
                _pauses.end(time.monotonic())


@contextmanager
def requesting(url: str) -> Iterator[Request]:
    """Follow one request while the context lasts."""
    request = Request(url)
    try:
        yield request
    finally:
        request.has_ended()
