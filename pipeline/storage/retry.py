"""The one retry policy for remote stores: every request goes through `retry`, and the stores' clients never retry.

Local disk gets no second attempt: its failures last. The unit is one request: a page of a listing, a block of a long
read, a part of a large upload.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_delay,
    stop_when_event_set,
    wait_random_exponential,
)

from pipeline.core import usage
from pipeline.core.counts import count_of
from pipeline.core.log import get_logger
from pipeline.core.waits import Request, requesting
from pipeline.storage.errors import cause_of, is_transient

Result = TypeVar("Result")

_log = get_logger(__name__)


@dataclass(frozen=True)
class RetryPolicy:
    """How long, and how often, one request is tried."""

    limit_s: float = 120.0
    """Give up after this time: longer than a store sheds load or a server restarts, far below a night."""
    first_wait_s: float = 0.2
    """Upper bound of the first pause; it doubles each time, and each pause is drawn between 0 and its bound."""
    longest_wait_s: float = 10.0
    """The bound stops growing here, so that at least a dozen attempts fit into the time limit."""
    answer_s: float = 30.0
    """End an attempt after this time without data: slow stores answer within a second or two."""
    slowest_bytes_per_s: float = 250_000
    """A transfer may take as long as on a line of 2 Mbit/s."""
    given_up: threading.Event = field(default_factory=threading.Event)
    """Once it is set, no request is tried again: nobody waits for the answer any more."""

    def attempt_s(self, size_bytes: int = 0) -> float:
        """Return how long one attempt may take that moves `size_bytes`."""
        return self.answer_s + size_bytes / self.slowest_bytes_per_s


_policy: ContextVar[RetryPolicy] = ContextVar("retry_policy", default=RetryPolicy())  # noqa: B039 - it is frozen


class OutOfTimeError(OSError):
    """A request failed until its time was up."""


def current_policy() -> RetryPolicy:
    """Return the policy of this thread."""
    return _policy.get()


@contextmanager
def limit_retries(limit_s: float, given_up: threading.Event | None = None, **changes: float) -> Iterator[None]:
    """Give up the requests of this thread sooner while the context lasts, because a caller waits for the answer.

    Args:
        limit_s: as in `RetryPolicy`.
        given_up: as in `RetryPolicy`.
        changes: other fields of `RetryPolicy`.
    """
    policy = _policy.get()
    before = _policy.set(replace(policy, limit_s=limit_s, given_up=given_up or policy.given_up, **changes))
    try:
        yield
    finally:
        _policy.reset(before)


def retry(url: str, attempt: Callable[[], Result]) -> Result:
    """Make one request, and repeat it while it fails of a transient error.

    Raises:
        OutOfTimeError: it still failed when the time was up; the message has the last cause.
        Exception: a permanent error of the request.
    """

    def give_up(state: RetryCallState) -> Result:
        error = _error_of(state)
        tried = f"{count_of(state.attempt_number, 'attempt')} in {state.seconds_since_start or 0:.0f} s"
        raise OutOfTimeError(f"{cause_of(error)} (the last of {tried})") from error

    policy = current_policy()
    with requesting(url) as request:
        retrying = Retrying(
            retry=retry_if_exception(is_transient),
            wait=wait_random_exponential(multiplier=policy.first_wait_s, max=policy.longest_wait_s),
            stop=stop_after_delay(policy.limit_s) | stop_when_event_set(policy.given_up),
            sleep=sleep_using_event(policy.given_up),
            before_sleep=lambda state: _note(url, request, state),
            retry_error_callback=give_up,
        )
        return retrying(attempt)


def _note(url: str, request: Request, state: RetryCallState) -> None:
    cause = cause_of(_error_of(state))
    usage.count(retries=1)
    request.has_failed(cause)
    _log.warning("tried again", url=url, cause=cause, wait_s=round(state.upcoming_sleep, 2))


def _error_of(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    if error is None:
        raise AssertionError("only a failed attempt is repeated")
    return error
