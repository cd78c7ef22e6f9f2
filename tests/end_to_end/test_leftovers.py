"""Runs that are killed, interrupted, stopped or whole leave nothing: one run later, not a file of ours is there."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT

pytestmark = pytest.mark.ray

START_S = 120.0
MESSAGE = "crackscan: Interrupted. What is finished is committed; run the same command again to go on.\n"


def start(photos: Path, folder: Path, temporary: Path) -> "subprocess.Popen[str]":
    """Start a run below a `uv run`, in a folder below a project, with home and temporary folders of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"HOME": str(folder / "home"), "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "pipeline.cli", "score", str(photos), "--out", str(folder / "scores")]
    return subprocess.Popen(
        ["bash", "-c", 'exec -a uv bash run "$@"', "uv", *words],
        cwd=folder / "project" / "deep", env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def find_rays(temporary: Path) -> set[Path]:
    """Find the sockets of private Rays."""
    return {*temporary.glob("crackscan-*/ray/session_2*/sockets/raylet")}


def find_driver(parent: int, temporary: Path, before: set[Path]) -> int:
    """Wait until a run has begun a Ray beside those of before; return the number of its process."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        if children and find_rays(temporary) - before:
            return int(children[0])
        time.sleep(0.05)
    raise TimeoutError("no run of Ray")


def wait_for_line(run: "subprocess.Popen[str]", start: str) -> None:
    """Read what a run says until a line that begins so."""
    assert run.stderr is not None
    assert any(line.startswith(start) for line in run.stderr)


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Make a folder for temporary files with a path that is short enough for sockets."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    "ends", [((signal.SIGKILL, 137), (signal.SIGINT, 4)), pytest.param(((signal.SIGTERM, 4),), marks=pytest.mark.soak)]
)
def test_nothing_is_left_one_run_later(
    photos: Path, tmp_path: Path, temporary: Path, ends: tuple[tuple[int, int], ...]
) -> None:
    """Not in the temporary folder, nor at home; and `uv run` neither uploads the folder nor asks for its project."""
    for name in ("home", "project/deep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").write_text("[project]\nname = 'x'\nversion = '0'\n")
    (tmp_path / "project" / "deep" / "run").write_text('"$@"\n')
    with (tmp_path / "project" / "deep" / "large").open("wb") as large:
        large.truncate(1 << 30)  # Ray packs 512 MB at most
    for number, code in ends:
        before = find_rays(temporary)
        with start(photos, tmp_path, temporary) as run:
            driver = find_driver(run.pid, temporary, before)
            if number != signal.SIGKILL:
                wait_for_line(run, "0 of 12 photos")  # until Ray has started, it has a handler of its own
            os.kill(driver, number)
            _, err = run.communicate(timeout=START_S)
        assert run.returncode == code, err
        assert number == signal.SIGKILL or err.endswith(MESSAGE)
        assert "Traceback" not in err
        assert "ERROR" not in err
    with start(photos, tmp_path, temporary) as run:
        out, err = run.communicate(timeout=START_S)
    assert (run.returncode, out.partition(" photos ")[0]) == (0, "Scored 12"), err
    assert [*temporary.iterdir(), *(tmp_path / "home").iterdir()] == []
