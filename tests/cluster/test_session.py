"""The Ray that a run starts for itself."""

import os

import psutil
import pytest

from pipeline.cluster.session import CALM, ClusterConfig, ray_session


@pytest.mark.ray
def test_a_private_ray_is_calm_unless_it_is_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its processes have the settings, and one that the user made stays; this process goes on without."""
    monkeypatch.setenv("RAY_metrics_report_interval_ms", "5000")
    with ray_session(ClusterConfig(cpus=1)):
        [raylet] = [child for child in psutil.Process().children(recursive=True) if child.name() == "raylet"]
        environment = raylet.environ()
    assert CALM.keys() & os.environ.keys() == {"RAY_metrics_report_interval_ms"}
    assert {name: environment.get(name) for name in CALM} == CALM | {"RAY_metrics_report_interval_ms": "5000"}
