"""Standard streams that are closed, broken or full, each as a shell makes it."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

HELP = [sys.executable, "-m", "pipeline.cli", "--help"]
WRONG = [*HELP[:3], "status", "nowhere"]
FULL = "crackscan: The output cannot be written: No space left on device. Write it elsewhere.\n"


def run(redirection: str, command: list[str] = HELP) -> tuple[int, str, str]:
    """The exit code, stdout and stderr of a command with a shell's redirection."""
    line = f"set -o pipefail; {shlex.join(command)} {redirection}"
    ran = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=ROOT)
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_closed_streams_change_nothing_else(closed: str) -> None:
    """Stdout has the results; exit code 0."""
    code, out, err = run(closed)
    assert (code, out.splitlines()[0], err) == (0, "Usage: crackscan [OPTIONS] COMMAND [ARGS]...", "")


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_without_stdout_the_work_is_done_in_silence(closed: str) -> None:
    """Exit code 0, and nothing on the other streams."""
    assert run(closed) == (0, "", "")


def test_errors_have_their_exit_code_without_stderr() -> None:
    """2 for wrong usage, though nobody can read why."""
    assert run("2>&-", WRONG) == (2, "", "")
    assert run("2> /dev/full", WRONG) == (2, "", "")


def test_a_full_disk_behind_stdout_is_an_error() -> None:
    """One sentence; exit code 1. Behind stderr it is none."""
    assert run("> /dev/full") == (1, "", FULL)
    assert run("2> /dev/full")[0] == 0


def test_a_reader_that_leaves_ends_the_command_quietly() -> None:
    """As `head` does."""
    assert run("| true") == (1, "", "")
    assert run("2>&1 >/dev/null | true")[0] == 0


def test_a_file_never_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    """What is printed afterwards would go into it."""
    file = tmp_path / "data"
    code = (
        "import sys; from pipeline.core.streams import prepare_streams; prepare_streams(); "
        f"file = open({str(file)!r}, 'w'); print('for stdout'); print('for stderr', file=sys.stderr); "
        "file.write(str(file.fileno() > 2))"
    )
    assert run("<&- >&- 2>&-", [sys.executable, "-c", code]) == (0, "", "")
    assert file.read_text() == "True"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "> /dev/full", "| true"])
def test_a_job_ends_as_its_work_did(closed: str) -> None:
    """A scheduler that reads neither stream does not repeat a finished job: here one of wrong usage."""
    job = [sys.executable, "-m", "jobs.score", "nowhere", "--out", "out"]
    assert run(closed, job)[0] == 2
