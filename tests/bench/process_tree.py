"""Resources of a command and all its child processes: seconds, CPU seconds, peak memory."""

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_EVERY_S = 0.5
"""At most the last half second of a process is missed."""
MEMORY_EVERY = 5
"""Samples between two measurements of memory: the kernel adds up all pages of a process, 10 ms for a worker."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - only its size is read


@dataclass(frozen=True)
class Usage:
    """Resources of one command."""

    seconds: float
    cpu_s: float
    """User and system, of all processes."""
    peak_bytes: int
    """Proportional set size of all processes, plus shared memory (Ray's object store is a file there)."""


def measure_command(command: Sequence[str], log: Path, env: dict[str, str] | None = None) -> Usage:
    """Run a command to its end and measure it; if it fails, exit, too.

    Args:
        command: program and arguments.
        log: file for its output.
        env: its environment; None for that of this process.
    """
    before, began_at = shared_bytes(), time.monotonic()
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, env=env) as process:
        peak_bytes, cpu_s, samples = 0, dict[tuple[int, float], float](), 0
        while process.poll() is None:
            if samples % MEMORY_EVERY == 0:
                peak_bytes = max(peak_bytes, tree_bytes(process.pid) + shared_bytes() - before)
            cpu_s |= cpu_times(process.pid)
            samples += 1
            time.sleep(SAMPLE_EVERY_S)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{log.read_text(errors='replace')[-2000:]}")
    return Usage(time.monotonic() - began_at, sum(cpu_s.values()), peak_bytes)


def list_tree(pid: int) -> list[psutil.Process]:
    """List a process and all below it, with Ray's workers; empty if it has ended."""
    try:
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_times(pid: int) -> dict[tuple[int, float], float]:
    """Return the CPU seconds of each process of a tree so far, by id and start time."""
    found = {}
    for process in list_tree(pid):
        try:
            times = process.cpu_times()
            found[process.pid, process.create_time()] = times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return found


def tree_bytes(pid: int) -> int:
    """Return the proportional set size of a process and all below it, without shared memory."""
    return sum(own_bytes(process.pid) for process in list_tree(pid))


def own_bytes(pid: int) -> int:
    """Return `Pss` less `Pss_Shmem` of one process; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0
    kibibytes = {name.rstrip(":"): int(value) for name, value, *_ in map(str.split, lines)}
    return (kibibytes["Pss"] - kibibytes["Pss_Shmem"]) * 1024


def shared_bytes() -> int:
    """Return the used bytes of shared memory."""
    return shutil.disk_usage(SHARED_MEMORY).used
