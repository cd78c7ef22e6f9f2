"""Calls in parallel, each with the retry policy and the log fields of the caller."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

Result = TypeVar("Result")


def run_together(calls: Sequence[Callable[[], Result]], at_once: int) -> list[Result]:
    """Make calls in parallel and return their results in order; the first error cancels the calls that wait."""
    if len(calls) == 1:  # without a thread, which would take longer than some answers
        return [calls[0]()]
    contexts = [copy_context() for _ in calls]
    with ThreadPoolExecutor(max(1, min(at_once, len(calls)))) as pool:
        return list(pool.map(lambda context, call: context.run(call), contexts, calls))
