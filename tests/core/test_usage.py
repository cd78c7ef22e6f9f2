"""What a step takes is the difference of two looks at the clocks."""

import time

from pipeline.core import usage
from pipeline.core.usage import Usage, measure, usage_now, with_peak


def test_a_step_is_measured() -> None:
    """Wall and CPU seconds, bytes and retries between its beginning and its end, and what it gave."""

    def step() -> str:
        until_s = time.process_time() + 0.05
        while time.process_time() < until_s:
            pass
        time.sleep(0.05)
        usage.count(read_bytes=7, retries=2)
        return "given"

    result, effort = measure(step)
    assert (result, effort.read_bytes, effort.retries, effort.gpu_s) == ("given", 7, 2, 0.0)
    assert effort.cpu_s >= 0.05
    assert effort.wall_s >= 0.1


def test_another_clock_counts_this_thread_alone() -> None:
    """For steps beside which other threads work."""
    assert measure(lambda: time.sleep(0.01), time.thread_time).effort.cpu_s < 0.01


def test_efforts_are_added_and_parted() -> None:
    """Time and traffic by sums, memory as that of the larger process; a share is one of time alone."""
    one, other = Usage(1.0, 0.5, 0.25, 10, 1, 100), Usage(3.0, 1.5, 0.75, 30, 2, 50)
    assert one + other == Usage(4.0, 2.0, 1.0, 40, 3, 100)
    assert (one + other) - other == Usage(1.0, 0.5, 0.25, 10, 1, 100)
    assert one.share(0.5) == Usage(0.5, 0.25, 0.125, 10, 1, 100)


def test_memory_is_that_of_the_process() -> None:
    """Some tens of megabytes at least, and it never falls."""
    before = with_peak(usage_now()).peak_bytes
    block = bytearray(64 << 20)
    block[:: 1 << 12] = b"x" * len(block[:: 1 << 12])
    del block
    assert 10 << 20 < before <= with_peak(usage_now()).peak_bytes
