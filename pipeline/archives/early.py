"""Hands on the first photos of an archive while the rest of it is still being listed.

A large tar takes a minute to list, in which scorers would have nothing to do. Listing it keeps most of a processor
busy, so it rests while they start. Names are numbered in the order of the archive, so the id of a photo does not depend
on what follows it.
"""

import threading
import time
from collections.abc import Callable

import pyarrow as pa

from pipeline.archives.listing import Listing

EARLY_S = 1.0
"""After this time since the first file there are some first photos; most archives are listed by then."""
REST_S = 15.0
"""After this time, scorers on two processors have started and scored a photo."""
POLL_S = 0.2
"""A listing that rests notices after this time that it has to end."""


class EarlyPhotos:
    """What is known of an archive that another thread lists; that thread calls this after each file.

    Args:
        check: raises what ends the listing.
        early_s: hand nothing on before; None hands nothing on at all.
        rest_s: rest for so long after handing photos on, or until somebody asks for more.
    """

    def __init__(self, check: Callable[[], None], early_s: float | None = EARLY_S, rest_s: float = REST_S) -> None:
        self._check, self._early_s, self._rest_s = check, early_s, rest_s
        self._first_s = float("inf")
        """When the first file was listed."""
        self._wanted, self._lock = threading.Event(), threading.Lock()
        self._found: pa.Table | None = None
        self._handed_on = 1
        """Rows of what was handed on last; the row of what is not listed yet is always there."""

    def __call__(self, listing: Listing) -> None:
        """Keep what is listed so far, if somebody waits for it and it has more photos than before."""
        self._check()
        self._first_s = min(self._first_s, time.monotonic())
        is_early = self._early_s is None or time.monotonic() - self._first_s < self._early_s
        if is_early or not self._wanted.is_set():
            return
        table = listing.table_so_far()
        if table.num_rows > self._handed_on:
            with self._lock:
                self._found, self._handed_on = table, table.num_rows
                self._wanted.clear()
            self._rest()

    def take(self) -> pa.Table | None:
        """Return what was listed so far, as `Listing.table_so_far`; None if there is nothing new yet."""
        with self._lock:
            found, self._found = self._found, None
            if found is None:
                self._wanted.set()
            return found

    def _rest(self) -> None:
        rested_s = time.monotonic() + self._rest_s
        while time.monotonic() < rested_s and not self._wanted.wait(POLL_S):
            self._check()
