"""Entry points for schedulers: the command's options, one line of JSON, and exit codes that do not repeat a night."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from jobs import DONE_WITH_FAILED_PHOTOS, Facts, compact, entry_point, evaluate, score, train
from pipeline.cli import score_display
from pipeline.core.errors import CrackscanError, InterruptedRunError, UsageError
from tests import ROOT
from tests.conftest import Crackscan
from tests.helpers.small_dataset import written

JOBS = {"score": score, "train": train, "evaluate": evaluate, "compact": compact}


@click.command("count", params=[click.Option(["--to"], type=int, required=True)], help="Count to a number.")
def count() -> None:
    """A command whose job is `counted`."""


def counted(to: int) -> Facts:
    """Count, aloud."""
    click.echo("one, two, three")
    return {"counted": to, "failed": max(0, to - 100)}


def ended(capsys: pytest.CaptureFixture[str], words: list[str], work: Any = counted) -> tuple[int, Any, str]:  # noqa: ANN401
    """Exit code of the process, the line on stdout, and all of stderr."""
    with pytest.raises(SystemExit) as caught:
        entry_point(count, work, words)
    shown = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, json.loads(shown.out) if shown.out.startswith("{") else shown.out, shown.err


def test_one_line_of_json_and_all_else_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """What the command prints for people is no result of the job."""
    line = {"job": "count", "counted": 3, "failed": 0, "exit": 0}
    assert ended(capsys, ["--to", "3"]) == (0, line, "one, two, three\n")


def test_failed_photos_do_not_make_a_scheduler_try_again(capsys: pytest.CaptureFixture[str]) -> None:
    """The command's 3 stands in the line; the process ends with 0."""
    code, line, _ = ended(capsys, ["--to", "105"])
    assert (code, line["failed"], line["exit"]) == (0, 5, 3)
    assert DONE_WITH_FAILED_PHOTOS == score_display.DONE_WITH_FAILED_PHOTOS == 3


@pytest.mark.parametrize("error", [CrackscanError("It broke."), UsageError("Wrong."), InterruptedRunError("Later.")])
def test_errors_keep_their_exit_code(capsys: pytest.CaptureFixture[str], error: CrackscanError) -> None:
    """The sentence is on stderr and in the line."""

    def fail(**_given: object) -> Facts:
        raise error

    line = {"job": "count", "exit": error.exit_code, "error": str(error)}
    assert ended(capsys, ["--to", "3"], fail) == (error.exit_code, line, f"crackscan: {error}\n")


def test_ctrl_c_is_an_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 4, as of the command."""

    def stop(**_given: object) -> Facts:
        raise KeyboardInterrupt

    code, line, _ = ended(capsys, ["--to", "3"], stop)
    assert (code, line["exit"]) == (4, 4)


def test_wrong_options_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Click's sentence, in the line too."""
    code, line, told = ended(capsys, ["--to", "many"])
    assert (code, line["exit"]) == (2, 2)
    assert line["error"] == "Invalid value for '--to': 'many' is not a valid integer."
    assert "Usage: python -m jobs.count [OPTIONS]" in told


def test_help_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    """The command's own, with no line of JSON behind it."""
    code, shown, told = ended(capsys, ["--help"])
    assert (code, shown) == (0, "")
    assert "Count to a number." in told


@pytest.mark.parametrize("name", JOBS)
def test_a_job_takes_the_options_of_its_command(name: str) -> None:
    """They are the command's own objects; each module is a page of at most 40 lines."""
    module = JOBS[name]
    assert module.command.name == name
    assert f"python -m jobs.{name} " in str(module.__doc__)
    assert len((ROOT / "jobs" / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 40


def test_compact_as_a_job(tmp_path: Path) -> None:
    """A real one, as a scheduler runs it."""
    old = written(str(tmp_path / "old")).url
    (tmp_path / "job.yaml").write_text(f"out: {old}\nto: {tmp_path}/new\n")
    command = [sys.executable, "-m", "jobs.compact", "--config", str(tmp_path / "job.yaml")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    told = json.loads(ran.stdout)
    assert told.pop("url") == f"file://{tmp_path}/new"
    assert told == {"job": "compact", "out": f"{tmp_path}/new", "photos": 5, "tiles": 16, "parts": 1,
                    "parts_before": 2, "exit": 0}  # fmt: skip


@pytest.mark.ray
def test_score_as_a_job(photos: Path, tmp_path: Path, crackscan: Crackscan) -> None:
    """A bad photo is counted, and no reason to come again; the dataset is the command's."""
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
