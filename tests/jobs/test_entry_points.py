"""Entry points for schedulers: the command's options, one line of JSON, and exit codes that do not repeat a night."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from jobs import compact, evaluate, score, train
from jobs.entry_point import Facts, run_job
from pipeline.cli.messages import DONE_WITH_FAILED_PHOTOS
from pipeline.core.errors import CrackscanError, InterruptedRunError, UsageError
from tests import ROOT
from tests.conftest import Crackscan
from tests.helpers.small_dataset import write_dataset

JOBS = {"score": score, "train": train, "evaluate": evaluate, "compact": compact}


@click.command("count", params=[click.Option(["--to"], type=int, required=True)], help="Count to a number.")
def count() -> None:
    """A command whose job is `count_to`."""


def count_to(to: int) -> Facts:
    """Count and print."""
    click.echo("one, two, three")
    return {"counted": to, "failed": max(0, to - 100)}


def end_of(capsys: pytest.CaptureFixture[str], words: list[str], work: Any = count_to) -> tuple[int, Any, str]:  # noqa: ANN401
    """The exit code of the process, the line on stdout, and all of stderr."""
    with pytest.raises(SystemExit) as caught:
        run_job(count, work, words)
    shown = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, json.loads(shown.out) if shown.out.startswith("{") else shown.out, shown.err


def test_one_line_of_json_and_all_else_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """The job's stdout has nothing that the command prints for people."""
    line = {"job": "count", "counted": 3, "failed": 0, "exit": 0}
    assert end_of(capsys, ["--to", "3"]) == (0, line, "one, two, three\n")


def test_failed_photos_do_not_make_a_scheduler_try_again(capsys: pytest.CaptureFixture[str]) -> None:
    """The line has the command's 3; the process ends with 0."""
    code, line, _ = end_of(capsys, ["--to", "105"])
    assert (code, line["failed"], line["exit"]) == (0, 5, 3)
    assert DONE_WITH_FAILED_PHOTOS == 3


@pytest.mark.parametrize("error", [CrackscanError("It broke."), UsageError("Wrong."), InterruptedRunError("Later.")])
def test_errors_keep_their_exit_code(capsys: pytest.CaptureFixture[str], error: CrackscanError) -> None:
    """Their sentence is on stderr and in the line."""

    def fail(**_given: object) -> Facts:
        raise error

    line = {"job": "count", "exit": error.exit_code, "error": str(error)}
    assert end_of(capsys, ["--to", "3"], fail) == (error.exit_code, line, f"crackscan: {error}\n")


def test_ctrl_c_is_an_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 4, like the command."""

    def stop(**_given: object) -> Facts:
        raise KeyboardInterrupt

    code, line, _ = end_of(capsys, ["--to", "3"], stop)
    assert (code, line["exit"]) == (4, 4)


def test_wrong_options_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Click's sentence is in the line, too."""
    code, line, err = end_of(capsys, ["--to", "many"])
    assert (code, line["exit"]) == (2, 2)
    assert line["error"] == "Invalid value for '--to': 'many' is not a valid integer."
    assert "Usage: python -m jobs.count [OPTIONS]" in err


def test_help_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    """It is that of the command, with no line of JSON behind it."""
    code, out, err = end_of(capsys, ["--help"])
    assert (code, out) == (0, "")
    assert "Count to a number." in err


@pytest.mark.parametrize("name", JOBS)
def test_a_job_takes_the_options_of_its_command(name: str) -> None:
    """They are the command's own objects, and the module has at most 40 lines."""
    module = JOBS[name]
    assert module.command.name == name
    assert f"python -m jobs.{name} " in str(module.__doc__)
    assert len((ROOT / "jobs" / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 40


def test_compact_as_a_job(tmp_path: Path) -> None:
    """In a process, as a scheduler runs it."""
    old = write_dataset(str(tmp_path / "old")).url
    (tmp_path / "job.yaml").write_text(f"out: {old}\nto: {tmp_path}/new\n")
    command = [sys.executable, "-m", "jobs.compact", "--config", str(tmp_path / "job.yaml")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    line = json.loads(ran.stdout)
    assert line.pop("url") == f"file://{tmp_path}/new"
    assert line == {"job": "compact", "out": f"{tmp_path}/new", "photos": 5, "tiles": 16, "parts": 1,
                    "parts_before": 2, "exit": 0}  # fmt: skip


@pytest.mark.ray
def test_score_as_a_job(photos: Path, tmp_path: Path, crackscan: Crackscan) -> None:
    """The job counts a bad photo and ends with 0; its dataset is like that of the command."""
    for path in photos.iterdir():
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "in" / "bad.jpg").write_bytes(b"no photo")
    command = [sys.executable, "-m", "jobs.score", str(tmp_path / "in"), "--out", str(tmp_path / "scores")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stderr
    line = json.loads(ran.stdout)
    assert (line["scored"], line["failed"], line["finished"], line["exit"]) == (12, 1, True, 3)
    assert crackscan("verify", "scores").returncode == 0
