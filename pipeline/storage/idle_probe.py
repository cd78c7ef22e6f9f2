"""Asks remote storage for a file's size when nothing has come from Ray's workers for a while.

The workers may wait for storage, and cannot say so. If the storage does not answer this process either, its request
waits, and whoever shows progress says so (`core.waits`). One request in a few seconds costs nothing.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

from pipeline import storage
from pipeline.core.errors import StorageError
from pipeline.storage.retry import current_policy, limit_retries

Item = TypeVar("Item")

IDLE_S = 1.0
"""Ask when nothing has come for this long, and again after this long."""


def probe_while_idle(items: Iterable[Item | None], url: str | None, idle_s: float = IDLE_S) -> Iterator[Item | None]:
    """Pass items on; ask the storage whenever only None has come for a while.

    Args:
        items: with None where nothing has come.
        url: one of the files that are read; None and a local one are not asked for.
        idle_s: how long is a while.
    """
    asking, given_up, since = threading.Thread(), threading.Event(), time.monotonic()
    try:
        for item in items:
            is_idle = item is None and time.monotonic() - since >= idle_s
            if item is not None:
                since = time.monotonic()
            elif is_idle and url is not None and not url.startswith(storage.LOCAL) and not asking.is_alive():
                since = time.monotonic()
                asking = threading.Thread(target=_ask, args=(url, given_up), name="storage-probe", daemon=True)
                asking.start()
            yield item
    finally:
        given_up.set()


def _ask(url: str, given_up: threading.Event) -> None:
    policy = current_policy()
    soon = limit_retries(policy.limit_s, longest_wait_s=IDLE_S, given_up=given_up)
    with suppress(StorageError), soon:  # so that it ends soon after the outage
        storage.stat(url)  # the workers tell what is permanent
