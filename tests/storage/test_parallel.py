"""Calls in parallel are as calls one after the other, only sooner."""

import threading
from contextvars import ContextVar
from functools import partial

import pytest

from pipeline.storage.parallel import run_together

NAME = ContextVar("NAME", default="none")


@pytest.mark.parametrize("calls", [0, 1, 2, 9])
def test_results_come_in_order_and_with_the_caller_s_context(calls: int) -> None:
    """Retry policy and log fields are such context."""

    def answer(number: int) -> tuple[int, str]:
        return number, NAME.get()

    before = NAME.set("caller")
    found = run_together([partial(answer, number) for number in range(calls)], 4)
    NAME.reset(before)
    assert found == [(number, "caller") for number in range(calls)]


def test_calls_run_at_the_same_time() -> None:
    """Each waits for the others."""
    meeting = threading.Barrier(3)
    assert sorted(run_together([lambda: meeting.wait(30)] * 3, 3)) == [0, 1, 2]


def test_an_error_is_the_caller_s() -> None:
    """The first one in the order of the calls."""

    def fail(number: int) -> None:
        raise ValueError(f"number {number}")

    with pytest.raises(ValueError, match="number 0"):
        run_together([partial(fail, number) for number in range(3)], 2)
