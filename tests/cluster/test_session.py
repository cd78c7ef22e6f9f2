"""The private Ray of a run."""

import os

import psutil
import pytest

from pipeline.cluster.session import IDLE_ENV, ClusterConfig, ray_session


@pytest.mark.ray
def test_a_private_ray_idles_unless_the_user_sets_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its processes have our settings, but the user's value stays; this process keeps its own environment."""
    monkeypatch.setenv("RAY_metrics_report_interval_ms", "5000")
    with ray_session(ClusterConfig(cpus=1)):
        [raylet] = [child for child in psutil.Process().children(recursive=True) if child.name() == "raylet"]
        environment = raylet.environ()
    assert IDLE_ENV.keys() & os.environ.keys() == {"RAY_metrics_report_interval_ms"}
    assert {name: environment.get(name) for name in IDLE_ENV} == IDLE_ENV | {"RAY_metrics_report_interval_ms": "5000"}
