"""Says on stderr that a command waits for storage, since when and why, and when it goes on."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.cli.messages import echo, short_url
from pipeline.core.waits import Wait, longest_wait

POLL_S = 0.5
SAID_AFTER_S = 3.0
"""A shorter wait is not worth a line …"""
AGAIN_EVERY_S = 30.0
"""… and a longer one gets another line this often."""
OVER_AFTER_S = 2.0
"""An outage is over when no request has waited for this long: the next one may fail again at once."""


class Outages:
    """Turns waits into lines: one after a few seconds, some while it lasts, one at its end.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None
        self._waited_at = 0.0
        self._said_at: float | None = None

    def look(self, wait: Wait | None) -> str | None:
        """Return the line to print now, if there is one."""
        now = self._clock()
        if wait is None:
            return self._end(now)
        self._waited_at = now
        since = self._since = wait.since if self._since is None else self._since
        is_due = now - since >= SAID_AFTER_S if self._said_at is None else now - self._said_at >= AGAIN_EVERY_S
        if not is_due:
            return None
        self._said_at = now
        return f"Waiting for storage for {now - since:.0f} s: {wait.cause} ({short_url(wait.url)})"

    def _end(self, now: float) -> str | None:
        if self._since is None or now - self._waited_at < OVER_AFTER_S:
            return None
        waited_s, was_said = self._waited_at - self._since, self._said_at is not None
        self._since = self._said_at = None
        return f"Storage answers again after {waited_s:.0f} s." if was_said else None


@contextmanager
def say_waits() -> Iterator[None]:
    """Look for waits in a thread while the context lasts."""
    ended = threading.Event()
    outages = Outages()

    def watch() -> None:
        while not ended.wait(POLL_S):
            if line := outages.look(longest_wait()):
                echo(line, err=True)

    watching = threading.Thread(target=watch, name="storage-waits", daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()
