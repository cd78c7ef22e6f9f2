"""Judges the facts of a machine: what was found, whether it is good enough, and what to do about it.

Pure functions from facts to findings. `machine` and `storage.probe` gather the facts, `scoring.doctor` calls both.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from pipeline.cluster.machine import Folder, Gpus, Processor
from pipeline.cluster.session import OBJECT_STORE_BYTES
from pipeline.core.counts import count_of
from pipeline.storage.probe import Probe

State = Literal["ok", "warning", "failed"]
"""Works; works slowly or not everywhere; does not work."""

GIB = 1 << 30

PROCESS_BYTES = GIB
"""Memory of one scorer or training worker (docs/experiments.md, 2026-11-22)."""
RAY_BYTES = 3 * GIB // 2
"""Memory of Ray and the command, beside the scorers."""

MIN_FREE_BYTES = GIB
"""Ray keeps logs and spilled objects in the temporary folder, and a dataset takes some kilobytes a photo."""
RAY_FULL_SHARE = 0.95
"""Ray spills no more objects to a local disk that is fuller than this share."""

INSTRUCTIONS = {
    "AVX2": {"avx2"},
    "AVX-512": {"avx512f"},
    "BF16": {"avx512_bf16", "amx_bf16", "bf16"},
    "VNNI": {"avx512_vnni", "avx_vnni", "asimddp"},
    "AMX": {"amx_tile"},
    "NEON": {"asimd"},
}
"""Instruction sets that make a network fast on a CPU, each with Linux's names for it, any of which will do."""


class Finding(NamedTuple):
    """One line of `crackscan doctor`."""

    subject: str
    state: State
    found: str
    advice: str | None = None
    """What to do about it; None if there is nothing to do."""


def check_python(version: str, needed: str) -> Finding:
    """Check the interpreter against the package's bounds, such as `>=3.11`."""
    if version in SpecifierSet(needed):
        return Finding("Python", "ok", version)
    return Finding("Python", "failed", f"{version}; needed is {needed}", "Make an environment with a newer Python.")


def check_packages(requirements: Sequence[str], versions: Mapping[str, str | None]) -> Finding:
    """Check installed packages against the package's lower bounds."""
    if not requirements:
        advice = "Install it: pip install crackscan, or pip install -e . in its folder."
        return Finding("packages", "warning", "crackscan runs without being installed: no bounds to check", advice)
    needed = [need for need in map(Requirement, requirements) if need.marker is None or need.marker.evaluate()]
    wrong = [problem for need in needed if (problem := _find_mismatch(need, versions.get(need.name)))]
    if wrong:
        return Finding("packages", "failed", "; ".join(wrong), "Run: pip install --upgrade crackscan")
    return Finding("packages", "ok", f"{len(needed)}, all as new as needed")


def _find_mismatch(need: Requirement, version: str | None) -> str | None:
    if version is None:
        return f"{need.name} is missing"
    return None if need.specifier.contains(version, prereleases=True) else f"{need.name} is {version}, needed is {need}"


def check_processor(found: Processor) -> Finding:
    """Check the CPU's instruction sets; x86 without AVX2 is slow."""
    cpus = f"{found.cpus} CPU{'' if found.cpus == 1 else 's'}, {found.architecture}"
    if found.flags is None:
        return Finding("CPU", "ok", f"{cpus}; this system does not tell which instructions it has")
    fast = [name for name, flags in INSTRUCTIONS.items() if flags & found.flags]
    text = f"{cpus}: {', '.join(fast) or 'no vector instructions that help'}"
    if fast:
        return Finding("CPU", "ok", text)
    advice = "Expect a fraction of the usual speed. In a virtual machine, pass the host's CPU model through."
    return Finding("CPU", "warning", text, advice)


def check_memory(total_bytes: int, cpus: int) -> Finding:
    """Check that memory suffices for a process on each CPU."""
    needed_bytes = RAY_BYTES + cpus * PROCESS_BYTES
    if total_bytes >= needed_bytes:
        return Finding("memory", "ok", _gib(total_bytes))
    fit = max(1, (total_bytes - RAY_BYTES) // PROCESS_BYTES)
    advice = f"Run `score` with --actors {fit} and `train` with --workers {fit}."
    return Finding(
        "memory",
        "warning",
        f"{_gib(total_bytes)}; {count_of(cpus, 'CPU needs', 'CPUs need')} {_gib(needed_bytes)}",
        advice,
    )


def check_gpus(found: Gpus) -> Finding:
    """Check that this build of torch can use the GPUs, if there are any."""
    if not found.names and not found.has_driver:
        return Finding("GPU", "ok", "none; networks run on the CPU")
    if not found.names:
        advice = "Reboot, or install the driver again; until then everything runs on the CPU."
        return Finding("GPU", "warning", "a driver of NVIDIA's, which names no GPU", advice)
    names = ", ".join(found.names)
    if found.torch_cuda is None:
        advice = "Install the CUDA build of torch (pytorch.org, Get started) to use it."
        return Finding("GPU", "warning", f"{names}; the torch installed is built for CPUs only", advice)
    return Finding("GPU", "ok", f"{names}; torch is built for CUDA {found.torch_cuda}")


def check_object_store(free_bytes: int | None) -> Finding:
    """Check that shared memory suffices for a private Ray."""
    if free_bytes is None:
        return Finding("object store", "ok", "in the temporary folder, as is usual on this system")
    if free_bytes >= OBJECT_STORE_BYTES:
        return Finding("object store", "ok", f"{_gib(free_bytes)} of shared memory free; Ray takes 1.0 GiB")
    found = f"{_gib(free_bytes)} of shared memory free; Ray takes 1.0 GiB, and falls back on the disk"
    advice = "Free some of /dev/shm; start a container with `docker run --shm-size=2g`."
    return Finding("object store", "warning", found, advice)


def check_folder(found: Folder) -> Finding:
    """Check a folder that commands write to."""
    space = f"{found.path}: {_gib(found.free_bytes)} of {_gib(found.total_bytes)} free"
    if found.write_error is not None:
        advice = f"Make it writable{'' if found.is_temporary else ', or work in another'}."
        return Finding(found.name, "failed", f"{found.path} cannot be written: {found.write_error}", advice)
    is_full = found.is_temporary and found.free_bytes < (1 - RAY_FULL_SHARE) * found.total_bytes
    if is_full or found.free_bytes < MIN_FREE_BYTES:
        choose = "set TMPDIR to a folder on another disk" if found.is_temporary else "work on another disk"
        return Finding(found.name, "warning", space, f"Free some of it, or {choose}.")
    return Finding(found.name, "ok", space)


def check_codecs(found: Mapping[str, bool]) -> Finding:
    """Check that Pillow can decode every format that counts as a photo."""
    missing = [name for name, is_there in found.items() if not is_there]
    if missing:
        advice = "Install Pillow's own wheel: pip install --force-reinstall --only-binary :all: pillow"
        return Finding("Pillow", "failed", f"cannot decode {', '.join(missing)}", advice)
    return Finding("Pillow", "ok", f"decodes {', '.join(found)}")


def check_ray(version: str | None) -> Finding:
    """Check that Ray is installed, without starting it."""
    if version is None:
        return Finding("Ray", "failed", "not installed", "Run: pip install --upgrade crackscan")
    return Finding("Ray", "ok", f"{version} is installed; --ray starts it and scores a photo")


def check_storage(found: Probe) -> Finding:
    """Check what a place permits: photos need reading, a dataset needs writing, too."""
    subject = "storage"
    if found.read_error is not None:
        return Finding(subject, "failed", found.read_error, found.advice)
    if found.is_file:
        return Finding(subject, "ok", f"{found.url}: a file that can be read")
    if found.write_error is None:
        new = "" if found.is_there else "nothing there yet; "
        return Finding(subject, "ok", f"{found.url}: {new}can be listed, read and written, in commits that are safe")
    if found.is_there:
        readable = f"{found.url}: good for photos, not for --out: {found.write_error}"
        return Finding(subject, "warning", readable, found.advice)
    return Finding(subject, "failed", f"{found.url}: nothing there, and {found.write_error}", found.advice)


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:,.1f} GiB"
