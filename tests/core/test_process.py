"""`process` distinguishes ended processes, living ones, and later ones with the same number."""

import os
import subprocess
import sys

import psutil
import pytest

from pipeline.core import process

ON_LINUX = sys.platform == "linux"


def test_this_process_lives() -> None:
    """Its start time never changes."""
    started = process.start_time(os.getpid())
    assert started == process.start_time(os.getpid())
    assert not process.has_ended(process.machine(), os.getpid(), started)


def test_an_ended_process_has_ended() -> None:
    """Only its own machine can tell."""
    with subprocess.Popen(["true"]) as other:
        started = process.start_time(other.pid)
        other.wait()
    assert process.has_ended(process.machine(), other.pid, started)
    assert not process.has_ended("far away", other.pid, started)


@pytest.mark.skipif(not ON_LINUX, reason="only Linux says when a process started")
def test_a_zombie_has_ended() -> None:
    """A killed process stays in the process table until its parent waits for it, and writes nothing more."""
    with subprocess.Popen(["sleep", "60"]) as other:
        started = process.start_time(other.pid)
        assert not process.has_ended(process.machine(), other.pid, started)
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert process.start_time(other.pid) == "ended"
        assert process.has_ended(process.machine(), other.pid, started)


@pytest.mark.skipif(not ON_LINUX, reason="only Linux says when a process started")
def test_a_reused_number_is_another_process() -> None:
    """A process with another start time is another process."""
    assert process.has_ended(process.machine(), os.getpid(), "1")


@pytest.mark.skipif(not ON_LINUX, reason="only Linux says when a process started")
def test_the_start_time_is_in_clock_ticks() -> None:
    """Leases of earlier versions hold this number: field 22 of proc(5), not psutil's seconds."""
    ticks = (psutil.Process().create_time() - psutil.boot_time()) * os.sysconf("SC_CLK_TCK")
    assert abs(int(process.start_time(os.getpid())) - ticks) < 200  # the boot time moves with the system clock


def test_an_unknown_process_has_no_start_time() -> None:
    """No process has a number as high as this."""
    assert process.start_time(2**31 - 1) == ""


def test_the_peak_is_of_this_program_alone() -> None:
    """A small child of a large process does not report the peak of its parent."""
    script = "from pipeline.core.process import peak_bytes; print(peak_bytes())"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 5 << 20 < int(shown.stdout) < 60 << 20
