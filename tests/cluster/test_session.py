"""The private Ray of a run."""

import inspect
import json
import os
import resource
from pathlib import Path

import psutil
import pytest
from ray._private import worker

from pipeline.cluster.session import (
    IDLE_ENV,
    MIN_OPEN_FILES,
    ClusterConfig,
    advise_on_start,
    check_open_files,
    log_ray_errors,
    ray_session,
)
from pipeline.core.errors import UsageError
from pipeline.core.log import capture


def test_errors_of_ray_go_to_the_log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The thread that listens to them calls `print_to_stdstream` of its module, which would print them to stdout."""
    assert "print_to_stdstream(" in inspect.getsource(worker.listen_error_messages)
    monkeypatch.setattr(worker, "print_to_stdstream", worker.print_to_stdstream)
    log_ray_errors()
    with capture() as lines:
        worker.print_to_stdstream(
            {"lines": ["The actor is dead."], "pid": "raylet", "is_err": False}, ignore_prefix=False
        )
    assert capsys.readouterr() == ("", "")
    assert json.loads(lines[0])["lines"] == ["The actor is dead."]


@pytest.mark.ray
def test_a_private_ray_idles_unless_the_user_sets_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its processes have our settings, but the user's value stays; this process keeps its own environment."""
    monkeypatch.setenv("RAY_metrics_report_interval_ms", "5000")
    with ray_session(ClusterConfig(cpus=1)):
        [raylet] = [child for child in psutil.Process().children(recursive=True) if child.name() == "raylet"]
        environment = raylet.environ()
    assert IDLE_ENV.keys() & os.environ.keys() == {"RAY_metrics_report_interval_ms"}
    assert {name: environment.get(name) for name in IDLE_ENV} == IDLE_ENV | {"RAY_metrics_report_interval_ms": "5000"}


SLOW = Exception("The current node timed out during startup.")


def test_a_start_that_fails_gets_advice_that_helps() -> None:
    """Trying again helps against a busy machine only."""
    folder = Path("/tmp/crackscan-12345678")  # noqa: S108 - a name
    full = "The disk of /tmp is full: free some space, or set TMPDIR to a folder on another disk."
    assert advise_on_start(SLOW, folder, 1000) == full
    assert advise_on_start(SLOW, folder, 1 << 30) == "The machine is too busy: run the same command again."
    other = "`crackscan doctor` checks this machine; --verbose shows what Ray says."
    assert advise_on_start(OSError("no memory"), folder, 1 << 30) == other


def test_too_few_open_files_are_refused_before_the_work() -> None:
    """No limit is enough."""
    check_open_files(resource.RLIM_INFINITY)
    check_open_files(MIN_OPEN_FILES)
    with pytest.raises(
        UsageError, match=r"^Processes may open 64 files here; Ray needs at least 256\. Raise the limit"
    ):
        check_open_files(64)


@pytest.mark.ray
def test_a_path_too_long_for_sockets_leads_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a folder in a short place that nobody else may enter; the CPUs are those that this process may use."""
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    monkeypatch.setattr("tempfile.tempdir", str(long))
    monkeypatch.setattr("pipeline.cluster.session.count_cpus", lambda: 3)
    with ray_session(ClusterConfig()):
        import ray

        folder = Path(ray.get_runtime_context().get_temp_dir()).parent
        assert (folder.parent, folder.stat().st_mode & 0o777) == (Path("/tmp"), 0o700)  # noqa: S108 - Ray's files
        assert ray.cluster_resources()["CPU"] == 3  # type: ignore[no-untyped-call]
    assert not folder.exists()
    assert list(long.iterdir()) == []
