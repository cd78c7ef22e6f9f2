"""A Ray cluster of one machine with its job server, for tests that submit over HTTP."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import requests

CPUS = 2
TOKEN = "0123456789abcdef" * 4
AUTHENTICATION = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
"""Environment of the cluster and of its clients."""
START_S = 120.0
PORTS = ("port", "dashboard-port", "ray-client-server-port", "dashboard-agent-listen-port",
         "dashboard-agent-grpc-port", "runtime-env-agent-port", "metrics-export-port")  # fmt: skip
"""Ports for which Ray would take fixed numbers, which another Ray may use."""


def find_free_ports(count: int) -> list[int]:
    """Find different free ports."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Head(NamedTuple):
    """The head of a running cluster."""

    jobs: str
    """Address of its job server."""
    ray: str
    """Address of Ray itself."""


@contextmanager
def run_head(given: Mapping[str, str] = AUTHENTICATION) -> Iterator[Head]:
    """Run the head of a cluster while the context lasts.

    It finds crackscan only in the packages of jobs: neither PYTHONPATH nor its folder leads here.

    Args:
        given: environment variables; with the default, it needs `TOKEN`.
    """
    ports = dict(zip(PORTS, find_free_ports(len(PORTS)), strict=True))
    address = f"http://127.0.0.1:{ports['dashboard-port']}"
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "RAY_USAGE_STATS_ENABLED": "0"}
        environment |= given
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus", str(CPUS),
                   "--node-ip-address", "127.0.0.1", "--dashboard-host", "127.0.0.1", "--temp-dir", folder,
                   "--object-store-memory", str(256 << 20)]  # fmt: skip
        command += [f"--{name}={port}" for name, port in ports.items()]
        log = Path(folder) / "head.log"
        with log.open("wb") as file:
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file)
        try:
            _wait(address, process, log)
            yield Head(address, f"127.0.0.1:{ports['port']}")
        finally:
            process.send_signal(signal.SIGTERM)  # with --block it ends its own processes, and no others
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the job server answers."""
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            answer = requests.get(f"{address}/api/jobs/", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=5)
        except requests.RequestException:
            time.sleep(0.5)
        else:
            answer.raise_for_status()
            return
    raise TimeoutError(f"no job server at {address}:\n{log.read_text(errors='replace')}")
