"""Processes told apart: ended, living, and later ones of the same number."""

import os
import subprocess
import sys

import pytest

from pipeline.core import process

ON_LINUX = sys.platform == "linux"


def test_this_process_lives() -> None:
    """It began once, and says so each time."""
    began = process.start_time(os.getpid())
    assert began == process.start_time(os.getpid())
    assert not process.has_ended(process.machine(), os.getpid(), began)


def test_an_ended_process_has_ended() -> None:
    """Only on its own machine can be said so."""
    with subprocess.Popen(["true"]) as other:
        began = process.start_time(other.pid)
        other.wait()
    assert process.has_ended(process.machine(), other.pid, began)
    assert not process.has_ended("far away", other.pid, began)


@pytest.mark.skipif(not ON_LINUX, reason="only Linux says when a process began")
def test_a_process_whose_end_nobody_noticed_has_ended() -> None:
    """A killed process stays in the table of processes until its parent asks for it; it writes nothing any more."""
    with subprocess.Popen(["sleep", "60"]) as other:
        began = process.start_time(other.pid)
        assert not process.has_ended(process.machine(), other.pid, began)
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert process.start_time(other.pid) == "ended"
        assert process.has_ended(process.machine(), other.pid, began)


@pytest.mark.skipif(not ON_LINUX, reason="only Linux says when a process began")
def test_a_number_used_again_is_another_process() -> None:
    """Who began at another time is not who was meant."""
    assert process.has_ended(process.machine(), os.getpid(), "1")


def test_nothing_is_known_of_when_an_unknown_process_began() -> None:
    """No number is as high as this."""
    assert process.start_time(2**31 - 1) == ""


def test_the_peak_is_of_this_program_alone() -> None:
    """A small child of a large process has not had what its parent has."""
    script = "from pipeline.core.process import peak_bytes; print(peak_bytes())"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 5 << 20 < int(told.stdout) < 60 << 20
