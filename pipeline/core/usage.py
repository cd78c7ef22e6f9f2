"""What a step of the work took: time, processors, storage, memory. Measured where it is done, added up by the driver.

Steps are measured per photo or batch: two looks at the clocks cost a few microseconds.
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
    """What a step took; columns of `schema.EFFORT`."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    """Of all threads of the process; child processes are not in it."""
    gpu_s: float = 0.0
    """A scorer that shares a GPU counts by its share."""
    read_bytes: int = 0
    """That came from storage, archives' directories and what was read twice included."""
    retries: int = 0
    """Requests to storage that were made again."""
    peak_bytes: int = 0
    """The most memory that the process has had, since it began."""

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
        """Take a part of the step out."""
        return Usage(
            self.wall_s - part.wall_s,
            self.cpu_s - part.cpu_s,
            self.gpu_s - part.gpu_s,
            self.read_bytes - part.read_bytes,
            self.retries - part.retries,
            self.peak_bytes,
        )

    def share(self, part: float) -> "Usage":
        """Return a share of the time, for one of several photos that were worked on together."""
        return replace(self, wall_s=part * self.wall_s, cpu_s=part * self.cpu_s, gpu_s=part * self.gpu_s)


class Measured(NamedTuple, Generic[Result]):
    """What a step gave, and what it took."""

    result: Result
    effort: Usage


def usage_now(cpu_clock: Callable[[], float] = time.process_time) -> Usage:
    """Look at the clocks and counts of this process; a step is the difference of two looks.

    Args:
        cpu_clock: what counts CPU seconds; `time.thread_time` where other threads do other work meanwhile.
    """
    return Usage(time.perf_counter(), cpu_clock(), 0.0, *traffic_now())


def with_peak(effort: Usage) -> Usage:
    """Add the most memory that this process has had."""
    return replace(effort, peak_bytes=process.peak_bytes())


def measure(work: Callable[[], Result], cpu_clock: Callable[[], float] = time.process_time) -> Measured[Result]:
    """Do a step and measure it, as `usage_now`."""
    before = usage_now(cpu_clock)
    result = work()
    return Measured(result, usage_now(cpu_clock) - before)


class Traffic(NamedTuple):
    """Counts since the process began."""

    read_bytes: int = 0
    retries: int = 0


class _Meter:
    """Counts requests of all threads."""

    def __init__(self) -> None:
        self.total = Traffic()
        self._lock = threading.Lock()

    def add(self, read_bytes: int, retries: int) -> None:
        """Count what one request was."""
        with self._lock:
            self.total = Traffic(self.total.read_bytes + read_bytes, self.total.retries + retries)


_meter = _Meter()


def count(*, read_bytes: int = 0, retries: int = 0) -> None:
    """Count what came of a request; `storage` and `storage_retry` do."""
    _meter.add(read_bytes, retries)


def counted(pieces: list[bytes]) -> list[bytes]:
    """Count what was read, and pass it on."""
    count(read_bytes=sum(map(len, pieces)))
    return pieces


def traffic_now() -> Traffic:
    """Look at the counts."""
    return _meter.total
