"""Facts of this machine, for `checks` to judge: nothing here loads torch or Ray, so that it takes no time."""

import os
import platform
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from PIL import features

DISTRIBUTION = "crackscan"

SMI_S = 3.0
"""How long NVIDIA's own tool may take to name the GPUs."""

_CODECS = {"JPEG": "jpg", "PNG": "zlib", "TIFF": "libtiff", "WebP": "webp"}
"""Formats that Pillow decodes with a library of others, and its name for that; BMP and GIF are its own."""


class Processor(NamedTuple):
    """The CPU."""

    architecture: str
    cpus: int
    """How many this process may use."""
    flags: frozenset[str] | None
    """Linux's words for its instructions; None where the system does not tell."""


class Gpus(NamedTuple):
    """The GPUs, as far as torch could use them."""

    names: tuple[str, ...]
    has_driver: bool
    """Whether NVIDIA's driver, or its tool, is there."""
    torch_cuda: str | None
    """The CUDA that torch was built for."""


class Folder(NamedTuple):
    """A folder that commands write to."""

    name: str
    path: str
    is_temporary: bool
    total_bytes: int
    free_bytes: int
    write_error: str | None
    """Why no file could be written; None where one could."""


def needed_python() -> str:
    """Return which Pythons the package asks for; any where it is not installed as one."""
    try:
        return metadata(DISTRIBUTION)["Requires-Python"]
    except PackageNotFoundError:
        return ""


def requirements() -> list[str]:
    """Return what the package needs, without its extras; nothing where it is not installed as one."""
    try:
        return [text for text in requires(DISTRIBUTION) or [] if "extra ==" not in text]
    except PackageNotFoundError:
        return []


def versions(needs: Sequence[str]) -> dict[str, str | None]:
    """Return the version of each required package, None where it is not installed."""
    return {name: _version(name) for name in (Requirement(need).name for need in needs)}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def processor() -> Processor:
    """Look at the CPU."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Processor(platform.machine(), cpus, _flags(Path("/proc/cpuinfo")))


def _flags(cpuinfo: Path) -> frozenset[str] | None:
    """Read Linux's list: `flags` on x86, `Features` on Arm."""
    if not cpuinfo.exists():
        return None
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    words = next((line.partition(":")[2] for line in lines if line.startswith(("flags", "Features"))), None)
    return None if words is None else frozenset(words.split())


def memory_bytes() -> int | None:
    """Return the memory of this machine, or of this container where that has less; None where it is not told."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="ascii").strip() if limit.exists() else ""
    return min(total, int(text)) if text.isdecimal() else total


def gpus() -> Gpus:
    """Look for GPUs, and at what torch was built for."""
    tool = shutil.which("nvidia-smi")
    names = () if tool is None else _named_by(tool)
    return Gpus(names, tool is not None or Path("/proc/driver/nvidia/version").exists(), _torch_cuda())


def _named_by(tool: str) -> tuple[str, ...]:
    words = [tool, "--query-gpu=name", "--format=csv,noheader"]
    try:
        told = subprocess.run(words, capture_output=True, text=True, timeout=SMI_S, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in told.splitlines() if line.strip())


def _torch_cuda() -> str | None:
    """Read it from torch's own file of versions: to import torch takes seconds."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    cuda: str | None = runpy.run_path(str(Path(spec.origin).with_name("version.py"))).get("cuda")
    return cuda


def shared_memory_bytes() -> int | None:
    """Return how much shared memory is free; None where Ray would not look for it."""
    place = Path("/dev/shm")  # noqa: S108 - not to write there
    return shutil.disk_usage(place).free if sys.platform == "linux" and place.exists() else None


def temporary_folder() -> Folder:
    """Look at the folder for temporary files."""
    return _folder("temporary folder", tempfile.gettempdir(), is_temporary=True)


def current_folder() -> Folder:
    """Look at the folder in which the command runs."""
    return _folder("this folder", str(Path.cwd()), is_temporary=False)


def _folder(name: str, path: str, *, is_temporary: bool) -> Folder:
    usage = shutil.disk_usage(path)
    try:
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"trial")
        error = None
    except OSError as found:
        error = found.strerror or str(found)
    return Folder(name, path, is_temporary, usage.total, usage.free, error)


def codecs() -> dict[str, bool]:
    """Tell which formats of photos Pillow can decode."""
    return {name: bool(features.check(feature)) for name, feature in _CODECS.items()} | {"BMP": True, "GIF": True}
