"""Requests that wait for storage, and the clock that stands still meanwhile."""

import time

from pipeline.core.waits import longest_wait, requesting, working_time


def test_the_working_time_stands_still_while_a_request_waits() -> None:
    """Also if several wait at once; it goes on when the last of them has ended."""
    before = working_time()
    with requesting("s3://bucket/a") as one, requesting("s3://bucket/b") as other:
        one.has_failed("503")
        other.has_failed("500")
        began_s = working_time()
        time.sleep(0.2)
        assert working_time() - began_s < 0.01
    assert longest_wait() is None
    ended_s = working_time()
    time.sleep(0.05)
    assert working_time() - ended_s >= 0.05
    assert before <= began_s <= ended_s < before + 0.15


def test_a_request_without_a_failure_is_no_pause() -> None:
    """Slow work is work."""
    before = working_time()
    with requesting("s3://bucket/a"):
        time.sleep(0.05)
    assert working_time() - before >= 0.05
