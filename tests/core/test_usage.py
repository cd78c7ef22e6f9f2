"""The usage of a step is the difference of two readings of the clocks."""

import time

from pipeline.core import usage
from pipeline.core.usage import Usage, measure, usage_now, with_peak


def test_a_step_is_measured() -> None:
    """`measure` returns its result, wall and CPU seconds, bytes and retries."""

    def step() -> str:
        until_s = time.process_time() + 0.05
        while time.process_time() < until_s:
            pass
        time.sleep(0.05)
        usage.count(read_bytes=7, retries=2)
        return "done"

    result, used = measure(step)
    assert (result, used.read_bytes, used.retries, used.gpu_s) == ("done", 7, 2, 0.0)
    assert used.cpu_s >= 0.05
    assert used.wall_s >= 0.1


def test_another_clock_counts_this_thread_alone() -> None:
    """`time.thread_time` leaves out the work of other threads."""
    assert measure(lambda: time.sleep(0.01), time.thread_time).usage.cpu_s < 0.01


def test_usages_are_added_and_subtracted() -> None:
    """Time and traffic add up, memory is that of the larger process; a share divides only the time."""
    one, other = Usage(1.0, 0.5, 0.25, 10, 1, 100), Usage(3.0, 1.5, 0.75, 30, 2, 50)
    assert one + other == Usage(4.0, 2.0, 1.0, 40, 3, 100)
    assert (one + other) - other == Usage(1.0, 0.5, 0.25, 10, 1, 100)
    assert one.share(0.5) == Usage(0.5, 0.25, 0.125, 10, 1, 100)


def test_memory_is_the_peak_of_the_process() -> None:
    """The peak is at least some tens of megabytes, and it never falls."""
    before = with_peak(usage_now()).peak_bytes
    block = bytearray(64 << 20)
    block[:: 1 << 12] = b"x" * len(block[:: 1 << 12])
    del block
    assert 10 << 20 < before <= with_peak(usage_now()).peak_bytes
