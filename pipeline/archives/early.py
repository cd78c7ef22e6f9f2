"""Hands on the first photos of an archive while the rest of it is still being listed.

A large tar takes a minute to list, in which scorers would have nothing to do. Names are numbered in the order of the
archive, so the id of a photo does not depend on what follows it.
"""

import threading
import time
from collections.abc import Callable

import pyarrow as pa

from pipeline.archives.listing import Listing

EARLY_S = 3.0
"""After this time there are some first photos; most archives are listed by then."""


class EarlyPhotos:
    """What is known of an archive that another thread lists; that thread calls this after each file.

    Args:
        check: raises what ends the listing.
        early_s: hand nothing on before; None hands nothing on at all.
    """

    def __init__(self, check: Callable[[], None], early_s: float | None = EARLY_S) -> None:
        self._check = check
        self._due_s = None if early_s is None else time.monotonic() + early_s
        self._wanted, self._lock = threading.Event(), threading.Lock()
        self._found: pa.Table | None = None
        self._handed_on = 1
        """Rows of what was handed on last; the row of what is not listed yet is always there."""

    def __call__(self, listing: Listing) -> None:
        """Keep what is listed so far, if somebody waits for it and it has more photos than before."""
        self._check()
        if self._due_s is None or not self._wanted.is_set() or time.monotonic() < self._due_s:
            return
        table = listing.table_so_far()
        if table.num_rows > self._handed_on:
            with self._lock:
                self._found, self._handed_on = table, table.num_rows
                self._wanted.clear()

    def take(self) -> pa.Table | None:
        """Return what was listed so far, as `Listing.table_so_far`; None if there is nothing new yet."""
        with self._lock:
            found, self._found = self._found, None
            if found is None:
                self._wanted.set()
            return found
