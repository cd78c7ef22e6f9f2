"""A Ray cluster of one machine with its job server, for tests that submit over HTTP."""

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import requests

CPUS = 2
TOKEN = "0123456789abcdef" * 4
AUTHENTICATION = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
"""Environment of the cluster and of its clients."""
START_S = 120.0
ATTEMPTS = 3
LOG_CHARACTERS = 2000
"""Of each log, at most, where a head ended by itself."""
SETTLED_ANSWERS = 4
"""Answers in a row, half a second apart: a head that lost a port to another process ends soon after its start."""
PORTS = ("port", "dashboard-port", "ray-client-server-port", "dashboard-agent-listen-port",
         "dashboard-agent-grpc-port", "runtime-env-agent-port", "metrics-export-port")  # fmt: skip
"""Ports for which Ray would take fixed numbers, which another Ray may use."""


PORT_RANGE = range(20_000, 32_000)
"""Above the ports of Ray's workers, below those that systems give to outgoing connections: Ray listens on some of its
ports only seconds after its start, and ends if one is taken by then."""


def find_free_ports(count: int) -> list[int]:
    """Find different free ports."""
    ports: list[int] = []
    with ExitStack() as held:
        for port in random.Random().sample(PORT_RANGE, len(PORT_RANGE)):
            with suppress(OSError):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
                ports.append(port)
            if len(ports) == count:
                return ports
    raise RuntimeError(f"fewer than {count} free ports")


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
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        process, head, log = _start_until_settled(given, Path(folder))
        try:
            yield head
            if not _is_settled(head.jobs, process, answers=1, within_s=10):
                raise RuntimeError(f"the head ended by itself:\n{_read_logs(log)}")
        finally:
            _stop(process)


def _read_logs(log: Path) -> str:
    """Read the end of what a head and its processes wrote."""
    logs = [log, *sorted(log.parent.glob("session_2*/logs/*"))]
    return "\n".join(
        f"{path.name}:\n{path.read_text(errors='replace')[-LOG_CHARACTERS:]}" for path in logs if path.is_file()
    )


def _start_until_settled(given: Mapping[str, str], folder: Path) -> tuple["subprocess.Popen[bytes]", Head, Path]:
    """Start a head; once more with other ports if another process took one of them meanwhile, which ends it."""
    for number in range(ATTEMPTS):
        log = folder / f"head-{number}.log"
        process, head = _start(given, folder, log)
        if _is_settled(head.jobs, process):
            return process, head, log
        _stop(process)
    raise TimeoutError(f"no job server at {head.jobs}:\n{log.read_text(errors='replace')}")


def _start(given: Mapping[str, str], folder: Path, log: Path) -> tuple["subprocess.Popen[bytes]", Head]:
    ports = dict(zip(PORTS, find_free_ports(len(PORTS)), strict=True))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "RAY_USAGE_STATS_ENABLED": "0"}
    environment |= given
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus", str(CPUS),
               "--node-ip-address", "127.0.0.1", "--dashboard-host", "127.0.0.1", "--temp-dir", str(folder),
               "--object-store-memory", str(256 << 20)]  # fmt: skip
    command += [f"--{name}={port}" for name, port in ports.items()]
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file)
    return process, Head(f"http://127.0.0.1:{ports['dashboard-port']}", f"127.0.0.1:{ports['port']}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)  # with --block it ends its own processes, and no others
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()


def _is_settled(
    address: str, process: "subprocess.Popen[bytes]", answers: int = SETTLED_ANSWERS, within_s: float = START_S
) -> bool:
    """Wait until the job server answers so many times in a row."""
    until_s, found = time.monotonic() + within_s, 0
    while process.poll() is None and time.monotonic() < until_s and found < answers:
        try:
            requests.get(f"{address}/api/jobs/", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=5)
        except requests.RequestException:
            found = 0
        else:
            found += 1
        time.sleep(0.5)
    return found == answers
