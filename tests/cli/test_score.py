"""`crackscan score` in a process: exit codes, sentences, resume, signals."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pipeline.cli import score_display
from pipeline.dataset.commit_log import read_log
from pipeline.dataset.layout import Layout
from tests.conftest import Crackscan

pytestmark = pytest.mark.ray

SINGLE_COMMITS = ("-m", "tests.helpers.single_commits")
"""The command, which hands over and commits each photo separately: many moments to interrupt it."""


def has_commits(dataset: Path, at_least: int) -> bool:
    """Whether a dataset has at least this many commits."""
    return commits(dataset) >= at_least


def commits(dataset: Path) -> int:
    """Number of commits of a dataset."""
    return len(list(dataset.glob("images/part-*.parquet")))


def wait_until(ready: Callable[[], bool], process: "subprocess.Popen[bytes]", timeout_s: float = 120) -> None:
    """Wait until `ready` or the end of the process."""
    deadline = time.monotonic() + timeout_s
    while not ready() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


def test_bad_photos_fail_alone_and_a_second_run_scores_nothing(
    photos: Path, crackscan: Crackscan, tmp_path: Path
) -> None:
    """Unreadable photos and archives are failed rows and exit code 3; a second run says that nothing is left.

    The output says that these coloured clouds, which are no concrete, are unlike the training photos.
    """
    inputs = tmp_path / "inputs"
    shutil.copytree(photos, inputs)
    (inputs / "bad.jpg").write_bytes(b"no photo")
    (inputs / "empty.png").write_bytes(b"")
    (inputs / "layers.psd").write_bytes(b"8BPS")
    (inputs / "broken.zip").write_bytes(b"PK no zip")
    first = crackscan("score", "inputs", "--out", "scores")
    assert first.returncode == 3, first.stderr
    assert "Scored 12 photos" in first.stdout
    assert "Failed photos: 4 new, 4 in all." in first.stdout
    assert "12 photos are unlike the training photos: look yourself." in first.stdout
    unlike = crackscan("query", "scores", score_display.OUT_OF_DOMAIN, "--format", "csv")
    assert len(unlike.stdout.splitlines()) == 1 + 12
    failures = crackscan("query", "scores", "SELECT image, failure_stage, failure_kind FROM failures ORDER BY 1",
                         "--format", "csv")  # fmt: skip
    assert failures.stdout.splitlines()[1:] == [
        '"","open","archive_unreadable"',
        '"bad.jpg","decode","not_an_image"',
        '"empty.png","decode","empty_file"',
        '"layers.psd","decode","unsupported_format"',
    ]
    before = sorted(path for path in (tmp_path / "scores").rglob("*"))
    again = crackscan("score", "inputs", "--out", "scores")
    assert again.returncode == 3
    assert "Nothing left to score: 16 photos have their row" in again.stdout
    assert sorted(path for path in (tmp_path / "scores").rglob("*")) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_commits_what_is_finished(
    number: signal.Signals, packed: dict[str, Path], tmp_path: Path
) -> None:
    """At any moment Ctrl-C and SIGTERM end with exit code 4 and one sentence, and leave a sound dataset."""
    scores = tmp_path / "scores"
    command = [sys.executable, *SINGLE_COMMITS, "score", str(packed["tar"]), "--out", str(scores), "--tile", "16",
               "--batch-tiles", "8"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until((scores / "run.json").exists, process)
    if number == signal.SIGINT:
        wait_until(partial(has_commits, scores, 1), process)
    process.send_signal(number)
    shown = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 4, shown
    assert shown.strip().endswith("Interrupted. What is finished is committed; run the same command again to go on.")
    assert "Traceback" not in shown
    done = len(read_log(Layout(f"file://{scores}")).done)
    assert done >= (1 if number == signal.SIGINT else 0)
    (run,) = json.loads((scores / "run-report.json").read_text())["runs"]
    assert (run["ended"], run["photos"]) == ("interrupted", done)
