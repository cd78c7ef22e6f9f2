"""Time, processors, storage and memory that a step used: each process measures its own, the driver adds them up.

Steps are measured per photo or batch: reading the clocks twice costs a few microseconds.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

from pipeline.core import process

Result = TypeVar("Result")


@dataclass(frozen=True)
class Usage:
    """What a step used; the fields of `schema.USAGE`."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    """Of all threads of the process, without child processes."""
    gpu_s: float = 0.0
    """A scorer that shares a GPU counts by its share."""
    read_bytes: int = 0
    """From storage, including archives' directories and bytes read twice."""
    retries: int = 0
    """Repeated requests to storage."""
    peak_bytes: int = 0
    """Peak memory of the process since it began."""

    def __add__(self, other: "Usage") -> "Usage":
        """Add another step; memory is that of the larger process."""
        return Usage(
            self.wall_s + other.wall_s,
            self.cpu_s + other.cpu_s,
            self.gpu_s + other.gpu_s,
            self.read_bytes + other.read_bytes,
            self.retries + other.retries,
            max(self.peak_bytes, other.peak_bytes),
        )

    def __sub__(self, part: "Usage") -> "Usage":
        """Subtract a part of the step; memory stays."""
        return Usage(
            self.wall_s - part.wall_s,
            self.cpu_s - part.cpu_s,
            self.gpu_s - part.gpu_s,
            self.read_bytes - part.read_bytes,
            self.retries - part.retries,
            self.peak_bytes,
        )

    def share(self, part: float) -> "Usage":
        """Return a share of the time, for one of several photos in a batch."""
        return replace(self, wall_s=part * self.wall_s, cpu_s=part * self.cpu_s, gpu_s=part * self.gpu_s)


class Measured(NamedTuple, Generic[Result]):
    """The result of a step, and what it used."""

    result: Result
    usage: Usage


def usage_now(cpu_clock: Callable[[], float] = time.process_time) -> Usage:
    """Read the clocks and counters of this process; a step is the difference of two readings.

    Args:
        cpu_clock: counts CPU seconds; `time.thread_time` where other threads do other work meanwhile.
    """
    return Usage(time.perf_counter(), cpu_clock(), 0.0, *traffic_now())


def with_peak(usage: Usage) -> Usage:
    """Return a usage with the peak memory of this process."""
    return replace(usage, peak_bytes=process.peak_bytes())


def measure(work: Callable[[], Result], cpu_clock: Callable[[], float] = time.process_time) -> Measured[Result]:
    """Do a step and measure it with `usage_now`."""
    before = usage_now(cpu_clock)
    result = work()
    return Measured(result, usage_now(cpu_clock) - before)


class Traffic(NamedTuple):
    """Counts since the process began."""

    read_bytes: int = 0
    retries: int = 0


class _Counter:
    """The traffic of all threads."""

    def __init__(self) -> None:
        self.total = Traffic()
        self._lock = threading.Lock()

    def add(self, read_bytes: int, retries: int) -> None:
        """Add what one request moved."""
        with self._lock:
            self.total = Traffic(self.total.read_bytes + read_bytes, self.total.retries + retries)


_counter = _Counter()


def count(*, read_bytes: int = 0, retries: int = 0) -> None:
    """Count what a request moved; `storage` calls this."""
    _counter.add(read_bytes, retries)


def traffic_now() -> Traffic:
    """Return the counts of this process."""
    return _counter.total
