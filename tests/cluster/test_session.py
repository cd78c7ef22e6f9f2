"""The private Ray of a run."""

import inspect
import json
import os

import psutil
import pytest
from ray._private import worker

from pipeline.cluster.session import IDLE_ENV, ClusterConfig, log_ray_errors, ray_session
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
