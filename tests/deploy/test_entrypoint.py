"""`entrypoint.sh` ends a job that no fresh cluster can mend as STOPPED, and leaves all others alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.manifests import DEPLOY
from tests.helpers.ray_head import AUTHENTICATION, run_head

SCRIPT = str(DEPLOY / "entrypoint.sh")
STOPPING = '#!/bin/sh\necho "$@" >>calls\nkill -INT $PPID\n'
"""A `ray` that stops jobs as Ray does."""
REFUSING = '#!/bin/sh\necho "$@" >>calls\nexit 1\n'
JOB = {"RAY_JOB_CONFIG_JSON_ENV_VAR": '{"metadata": {"job_submission_id": "night-1"}}'}


def run_entrypoint(place: Path, ray: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command below the script, with this in place of Ray's own command."""
    (place / "ray").write_text(ray)
    (place / "ray").chmod(0o755)
    path = f"{place}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(["sh", SCRIPT, *words], cwd=place, env=os.environ | JOB | {"PATH": path}, text=True,
                          capture_output=True, check=False, timeout=60)  # fmt: skip


@pytest.mark.parametrize("code", [0, 1, 4, 137])
def test_other_ends_stay_what_they_are(tmp_path: Path, code: int) -> None:
    """KubeRay repeats failures and interruptions; the job keeps its arguments and its output."""
    ran = run_entrypoint(tmp_path, STOPPING, "sh", "-c", f'echo "$1"; exit {code}', "sh", "two words")
    assert (ran.returncode, ran.stdout, ran.stderr) == (code, "two words\n", "")
    assert not (tmp_path / "calls").exists()


def test_wrong_usage_stops_its_own_job(tmp_path: Path) -> None:
    """By the name that Ray gave it; the log says so."""
    ran = run_entrypoint(tmp_path, STOPPING, "sh", "-c", "exit 2")
    assert (tmp_path / "calls").read_text() == "job stop --no-wait night-1\n"
    assert ran.returncode == 2
    assert ran.stderr.startswith("crackscan-entrypoint: exit code 2 is wrong usage, which a fresh cluster cannot mend;")


def test_a_job_that_cannot_be_stopped_fails(tmp_path: Path) -> None:
    """So it is repeated in vain, and seen."""
    assert run_entrypoint(tmp_path, REFUSING, "sh", "-c", "exit 2").returncode == 2


def test_an_interrupted_job_is_waited_for(tmp_path: Path) -> None:
    """Ray signals the script as well as the job, which commits and ends with 4."""
    job = "trap 'sleep 0.5; exit 4' INT; echo ready; while :; do sleep 0.1; done"
    with subprocess.Popen(["sh", SCRIPT, "sh", "-c", job], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
                          start_new_session=True) as running:  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(30) == 4


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    """A cluster that stops jobs as the manifests say."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_JOB_STOP_SIGNAL", "SIGINT")
        with run_head() as found:
            for name, value in AUTHENTICATION.items():
                patch.setenv(name, value)
            yield found.jobs


@pytest.mark.ray
def test_ray_takes_wrong_usage_for_stopped(head: str) -> None:
    """A job server of Ray: KubeRay repeats FAILED, and neither SUCCEEDED nor STOPPED."""
    from ray.job_submission import JobSubmissionClient

    from pipeline.cluster.ray_token import token_for

    with token_for(head, lambda: True):  # an earlier test of this process may have used Ray without one
        client = JobSubmissionClient(head)
        jobs = {code: client.submit_job(entrypoint=f"{SCRIPT} sh -c 'exit {code}'") for code in (0, 2, 4)}
        deadline = time.monotonic() + 240
        while (
            any(not client.get_job_status(job).is_terminal() for job in jobs.values()) and time.monotonic() < deadline
        ):
            time.sleep(0.3)
        ends = {code: str(client.get_job_status(job).value) for code, job in jobs.items()}
    assert ends == {0: "SUCCEEDED", 2: "STOPPED", 4: "FAILED"}
