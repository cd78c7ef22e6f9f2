"""The one retry policy for remote stores: who asks them asks through `retry`, and their clients never ask twice.

Local disk is never tried again: what fails there stays so. One request is one unit: a listing is tried again by the
page, a long read by the block, a large upload by the part.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from pipeline.core import usage
from pipeline.storage.errors import cause_of, is_passing

LIMIT_S = 120.0
"""After this time one request is given up: longer than a store sheds load or a server restarts, far below a night."""

FIRST_WAIT_S = 0.2
"""Upper bound of the first pause; it doubles from one to the next, and each pause is drawn between 0 and its bound."""

LONGEST_WAIT_S = 10.0
"""Bound that the pauses do not grow beyond, so that at least a dozen attempts fit into the time limit."""

ANSWER_S = 30.0
"""An attempt that brings nothing for this long is broken off: slow stores answer within a second or two."""

SLOWEST_BYTES_PER_S = 250_000
"""A transfer may take as long as on a line of 2 Mbit/s."""

Result = TypeVar("Result")

_limit_s: ContextVar[float | None] = ContextVar("limit_s", default=None)
"""Where somebody has less patience than `LIMIT_S`."""


class OutOfTimeError(OSError):
    """A request failed again and again until its time was up."""


def attempt_s(size_bytes: int = 0) -> float:
    """Return how long one attempt may take that moves so many bytes."""
    return ANSWER_S + size_bytes / SLOWEST_BYTES_PER_S


@contextmanager
def limit_retries(limit_s: float) -> Iterator[None]:
    """Give requests of this thread up sooner while the context lasts: somebody waits for the answer."""
    before = _limit_s.set(limit_s)
    try:
        yield
    finally:
        _limit_s.reset(before)


def retry(url: str, attempt: Callable[[], Result]) -> Result:
    """Make one request, and again while it fails of something that passes.

    Raises:
        OutOfTimeError: it still failed when the time was up; says of what.
        Exception: what the request failed of, where that does not pass.
    """

    def give_up(state: RetryCallState) -> Result:
        error = _error_of(state)
        tried = f"{state.attempt_number} attempts in {state.seconds_since_start or 0:.0f} s"
        raise OutOfTimeError(f"{cause_of(error)} (the last of {tried})") from error

    policy = Retrying(
        retry=retry_if_exception(is_passing),
        wait=wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S),
        stop=stop_after_delay(_limit_s.get() or LIMIT_S),
        before_sleep=lambda state: _note(url, state),
        retry_error_callback=give_up,
    )
    return policy(attempt)


def _note(url: str, state: RetryCallState) -> None:
    from pipeline.core.log import get_logger  # which writes through `storage` itself

    usage.count(retries=1)
    wait_s = round(state.upcoming_sleep, 2)
    get_logger(__name__).warning("tried again", url=url, cause=cause_of(_error_of(state)), wait_s=wait_s)


def _error_of(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    if error is None:
        raise AssertionError("only a failed attempt is tried again")
    return error
