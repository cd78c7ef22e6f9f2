"""A real S3 server on loopback for the tests: SeaweedFS, one process for a whole test session.

It ends with the process that started it, even after a kill.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BUCKET = "photos"

START_S = 30.0
"""Longest wait for the server; on an idle machine it starts in about a second."""

_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""

_KEYS = {"admin": ("admin-key", "admin-secret"), "reader": ("reader-key", "reader-secret")}
"""User to access key and secret."""

_ACTIONS = {"admin": ["Admin", "Read", "List", "Tagging", "Write"], "reader": ["Read", "List"]}


@dataclass(frozen=True)
class S3Server:
    """Port of the server, and the variables with which a client finds it and logs in."""

    port: int

    def environment(self, user: str = "admin") -> dict[str, str]:
        """Return the usual AWS variables for one of the users."""
        key, secret = _KEYS[user]
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def find_server() -> str | None:
    """Find the server's program, beside this Python or on the path; None if it is not installed."""
    return shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


@contextlib.contextmanager
def run_server(weed: str, folder: Path) -> Iterator[S3Server]:
    """Run a server with one bucket on free ports, its files in an empty folder."""
    ports = _find_free_ports()
    _configure(folder)
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            _make_command(weed, folder, ports),
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"GOMEMLIMIT": "512MiB"},
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - no threads yet
        )
    server = S3Server(ports["s3"])
    try:
        _wait(process, server, folder)
        yield server
    finally:
        process.kill()
        process.wait()


def _make_command(weed: str, folder: Path, ports: dict[str, int]) -> list[str]:
    words = [weed, f"-config_dir={folder}/etc", f"-logdir={folder}/log", "mini", f"-dir={folder}/data"]
    words += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-admin.ui=false", "-webdav=false"]
    words += [f"-{name}.port={port}" for name, port in ports.items()]
    words += ["-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={folder}/etc/s3.json", "-volume.max=1000"]
    return [*words, "-s3.allowDeleteBucketNotEmpty=false", "-s3.autoCreateBucket=false"]


def _configure(folder: Path) -> None:
    for name in ("etc", "log", "data"):
        (folder / name).mkdir()
    identities = [
        {"name": user, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": _ACTIONS[user]}
        for user, (key, secret) in _KEYS.items()
    ]
    (folder / "etc" / "s3.json").write_text(json.dumps({"identities": identities}))
    (folder / "etc" / "master.toml").write_text("[master.volume_growth]\ncopy_1 = 2\n")
    (folder / "etc" / "filer.toml").write_text(
        f'[leveldb2]\nenabled = true\ndir = "{folder}/filer"\n[filer.options]\ns3.empty_folder_cleanup_delay = "50ms"\n'
    )


def _find_free_ports() -> dict[str, int]:
    """Find free ports whose gRPC ports, 10,000 higher, are free, too."""
    ports: dict[str, int] = {}
    with contextlib.ExitStack() as held:
        for number in range(20_000 + os.getpid() * 37 % 20_000, 55_000):
            with contextlib.suppress(OSError):
                for port in (number, number + 10_000):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
                ports[("master", "volume", "filer", "admin", "s3")[len(ports)]] = number
                if len(ports) == 5:
                    return ports
    raise RuntimeError("no five free ports")


def _end_with_parent() -> None:
    """Run in the child before the server starts: Linux ends it with the test process."""
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _wait(process: "subprocess.Popen[bytes]", server: S3Server, folder: Path) -> None:
    """Wait until the server has created the bucket."""
    import botocore.exceptions
    import botocore.session

    environment = server.environment()
    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
        config=botocore.config.Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=5),
    )
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.create_bucket(Bucket=BUCKET)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the S3 server did not start: {(folder / 'output.txt').read_text()[-2000:]}")
