"""Photos that every scoring test can use, and one Ray that they share."""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

settings.register_profile("unhurried", deadline=None)  # machines are shared: a slow moment is no failure
settings.load_profile("unhurried")

PHOTO_SIZES_PX = ((300, 450), (224, 224), (60, 500), (448, 448), (700, 260), (40, 40))
"""(height, width): grids of several shapes, one tile, a side shorter than a tile."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a soak kill more often, and at other moments."""
    parser.addoption("--kills", type=int, default=5, help="how often a run is killed in the kill tests")
    parser.addoption("--seed", type=int, default=2, help="seed of the moments at which it is killed")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of twelve small photos, blurred noise from a fixed seed."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(7)
    for number in range(12):
        height_px, width_px = PHOTO_SIZES_PX[number % len(PHOTO_SIZES_PX)]
        coarse = random.integers(0, 255, (height_px // 9 + 2, width_px // 9 + 2, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width_px, height_px), Image.Resampling.BICUBIC)
        image.save(folder / f"photo-{number:02d}.jpg", quality=90)
    return folder


@pytest.fixture(scope="session")
def packed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same photos as a folder, a zip, a tar and a tgz."""
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
    """A private Ray of two CPUs that the tests of a module share."""
    from pipeline.cluster import ClusterConfig, session

    with session(ClusterConfig(cpus=2)):
        yield
