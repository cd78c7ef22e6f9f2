"""Facts of this machine, which `checks` judges. Nothing here loads torch or Ray, which would take seconds."""

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

import psutil
from packaging.requirements import Requirement
from PIL import features

from pipeline.core.cpus import count_cpus
from pipeline.core.scratch import system_folder

DISTRIBUTION = "crackscan"

SMI_S = 3.0
"""How long `nvidia-smi` may take to list the GPUs."""

_CODECS = {"JPEG": "jpg", "PNG": "zlib", "TIFF": "libtiff", "WebP": "webp", "AVIF": "avif", "JPEG 2000": "jpg_2000"}
"""Formats that Pillow decodes with another library, and its name for that library; it decodes BMP and GIF itself."""

CPU_INFO = Path("/proc/cpuinfo")
"""Linux's description of the CPUs."""


class Processor(NamedTuple):
    """The CPU."""

    architecture: str
    cpus: int
    """Number of CPUs that this process may use."""
    flags: frozenset[str] | None
    """Linux's names of its instruction sets; None on systems that do not list them."""


class Gpus(NamedTuple):
    """The GPUs, as far as torch could use them."""

    names: tuple[str, ...]
    has_driver: bool
    """Whether NVIDIA's driver or `nvidia-smi` is installed."""
    torch_cuda: str | None
    """The CUDA version that torch was built for; None for a CPU build."""


class Folder(NamedTuple):
    """A folder that commands write to."""

    name: str
    path: str
    is_temporary: bool
    total_bytes: int
    free_bytes: int
    write_error: str | None
    """Why no file could be written; None if one could."""


def required_python() -> str:
    """Return the package's bounds on Python; none if crackscan is not installed as a package."""
    try:
        return metadata(DISTRIBUTION)["Requires-Python"]
    except PackageNotFoundError:
        return ""


def required_packages() -> list[str]:
    """Return the package's requirements without extras; none if crackscan is not installed as a package."""
    try:
        return [text for text in requires(DISTRIBUTION) or [] if "extra ==" not in text]
    except PackageNotFoundError:
        return []


def installed_versions(needs: Sequence[str]) -> dict[str, str | None]:
    """Return the version of each required package; None if it is not installed."""
    return {name: _installed_version(name) for name in (Requirement(need).name for need in needs)}


def _installed_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def detect_processor() -> Processor:
    """Return the CPU."""
    return Processor(platform.machine(), count_cpus(), cpu_flags())


def cpu_flags(cpuinfo: Path = CPU_INFO) -> frozenset[str] | None:
    """Read the CPU's instruction sets: Linux lists them as `flags` on x86 and as `Features` on Arm."""
    if not cpuinfo.exists():
        return None
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    flags = next((line.partition(":")[2] for line in lines if line.startswith(("flags", "Features"))), None)
    return None if flags is None else frozenset(flags.split())


def memory_bytes() -> int:
    """Return the memory of this machine, or of this container if that has less (psutil knows no cgroups)."""
    total: int = psutil.virtual_memory().total
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="ascii").strip() if limit.exists() else ""
    return min(total, int(text)) if text.isdecimal() else total


def detect_gpus() -> Gpus:
    """Return the GPUs, and the CUDA version that torch was built for."""
    tool = shutil.which("nvidia-smi")
    names = () if tool is None else _list_gpus(tool)
    return Gpus(names, tool is not None or Path("/proc/driver/nvidia/version").exists(), torch_cuda())


def _list_gpus(tool: str) -> tuple[str, ...]:
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=SMI_S, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in listed.splitlines() if line.strip())


def torch_cuda() -> str | None:
    """Read the CUDA version that torch was built for from its `version.py`: importing torch takes seconds."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    cuda: str | None = runpy.run_path(str(Path(spec.origin).with_name("version.py"))).get("cuda")
    return cuda


def shared_memory_bytes() -> int | None:
    """Return the free shared memory; None on systems where Ray does not use it."""
    place = Path("/dev/shm")  # noqa: S108 - nothing is written there
    return shutil.disk_usage(place).free if sys.platform == "linux" and place.exists() else None


def probe_temporary_folder() -> Folder:
    """Probe the folder for temporary files."""
    return _probe_folder("temporary folder", system_folder(), is_temporary=True)


def probe_current_folder() -> Folder:
    """Probe the folder in which the command runs."""
    return _probe_folder("this folder", str(Path.cwd()), is_temporary=False)


def _probe_folder(name: str, path: str, *, is_temporary: bool) -> Folder:
    usage = shutil.disk_usage(path)
    try:
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"trial")
        error = None
    except OSError as caught:
        error = caught.strerror or str(caught)
    return Folder(name, path, is_temporary, usage.total, usage.free, error)


def detect_codecs() -> dict[str, bool]:
    """Return which formats of photos Pillow can decode."""
    return {name: bool(features.check(feature)) for name, feature in _CODECS.items()} | {"BMP": True, "GIF": True}
