"""Findings on made-up machines, with computable answers."""

import pytest

from pipeline.cluster import checks
from pipeline.cluster.checks import GIB, Finding
from pipeline.cluster.machine import Folder, Gpus, Processor
from pipeline.storage.probe import Probe

PLENTY = 100 * GIB


def folder(path: str = "/tmp", free: float = 0.5, *, temporary: bool = True, error: str | None = None) -> Folder:  # noqa: S108
    """A folder on a disk of 100 GiB."""
    return Folder(
        "temporary folder" if temporary else "this folder", path, temporary, PLENTY, int(free * PLENTY), error
    )


@pytest.mark.parametrize(("version", "state"), [("3.11.0", "ok"), ("3.14.2", "ok"), ("3.10.9", "failed")])
def test_python_is_checked_against_the_bounds(version: str, state: str) -> None:
    """The bound itself is good enough, an older version is not."""
    assert checks.check_python(version, ">=3.11").state == state


def test_without_bounds_any_python_is_good() -> None:
    """A source tree that is not installed has no bounds."""
    assert checks.check_python("3.11.7", "").state == "ok"


def test_old_and_missing_packages_are_named_with_their_bounds() -> None:
    """All of them in one finding; packages for other systems do not count."""
    needs = ["numpy>=2.1", "ray[data]>=2.60", "timm>=1.0.20", 'pywin32>=300; sys_platform == "win32"']
    found = checks.check_packages(needs, {"numpy": "2.1.0", "ray": "2.9.3", "timm": None, "pywin32": None})
    assert found == Finding("packages", "failed", "ray is 2.9.3, needed is ray[data]>=2.60; timm is missing",
                            "Run: pip install --upgrade crackscan")  # fmt: skip
    assert checks.check_packages(needs[:1], {"numpy": "2.2.0rc1"}).found == "1, all as new as needed"


def test_a_package_that_is_not_installed_is_a_warning() -> None:
    """There are no bounds to check."""
    assert checks.check_packages([], {}).state == "warning"


def test_instructions_have_their_usual_names() -> None:
    """One line has the CPUs, the architecture and the instruction sets that make a network fast."""
    amx = frozenset({"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "sse"})
    assert checks.check_processor(Processor("x86_64", 8, amx)) == Finding(
        "CPU", "ok", "8 CPUs, x86_64: AVX2, AVX-512, BF16, VNNI, AMX"
    )
    assert checks.check_processor(Processor("aarch64", 1, frozenset({"asimd"}))).found == "1 CPU, aarch64: NEON"


def test_a_cpu_without_vectors_is_slow_and_an_unknown_one_is_not_judged() -> None:
    """Only systems that list their instructions are judged by them."""
    assert checks.check_processor(Processor("x86_64", 2, frozenset({"sse2"}))).state == "warning"
    assert checks.check_processor(Processor("arm64", 2, None)).state == "ok"


def test_memory_is_judged_by_the_cpus() -> None:
    """A GiB for each, and 1.5 GiB for Ray; the advice names as many processes as fit."""
    assert checks.check_memory(int(3.5 * GIB), 2).state == "ok"
    short = checks.check_memory(8 * GIB, 16)
    assert short == Finding("memory", "warning", "8.0 GiB; 16 CPUs need 17.5 GiB",
                            "Run `score` with --actors 6 and `train` with --workers 6.")  # fmt: skip
    assert "--actors 1 " in str(checks.check_memory(GIB, 2).advice)


@pytest.mark.parametrize(
    ("found", "state", "words"),
    [
        (Gpus((), has_driver=False, torch_cuda="13.0"), "ok", "none"),
        (Gpus((), has_driver=True, torch_cuda="13.0"), "warning", "names no GPU"),
        (Gpus(("L4",), has_driver=True, torch_cuda=None), "warning", "L4; the torch installed is built for CPUs only"),
        (Gpus(("L4", "L4"), has_driver=True, torch_cuda="13.0"), "ok", "L4, L4; torch is built for CUDA 13.0"),
    ],
)
def test_a_gpu_needs_a_driver_and_a_torch_for_it(found: Gpus, state: str, words: str) -> None:
    """No GPU is fine; a GPU that torch cannot use is a warning."""
    finding = checks.check_gpus(found)
    assert finding.state == state
    assert words in finding.found


def test_shared_memory_must_suffice_for_ray() -> None:
    """With the usual 64 MiB of a container Ray falls back on the disk; other systems have no shared memory."""
    assert checks.check_object_store(GIB).state == "ok"
    assert (
        checks.check_object_store(64 << 20).advice
        == "Free some of /dev/shm; start a container with `docker run --shm-size=2g`."
    )
    assert checks.check_object_store(None).state == "ok"


def test_a_folder_that_cannot_be_written_fails() -> None:
    """The finding says why; the advice for the current folder is another folder."""
    assert checks.check_folder(folder(error="Read-only file system")).state == "failed"
    assert checks.check_folder(folder("/mnt", temporary=False, error="Permission denied")) == Finding(
        "this folder", "failed", "/mnt cannot be written: Permission denied", "Make it writable, or work in another."
    )


@pytest.mark.parametrize(("free", "state"), [(0.5, "ok"), (0.04, "warning"), (0.001, "warning")])
def test_ray_spills_nothing_to_a_disk_that_is_nearly_full(free: float, state: str) -> None:
    """Less than 5 % free is a warning, however many bytes that is."""
    assert checks.check_folder(folder(free=free)).state == state


def test_a_nearly_full_disk_is_good_for_the_current_folder() -> None:
    """As long as a GiB is free."""
    assert checks.check_folder(folder(free=0.04, temporary=False)).state == "ok"
    assert checks.check_folder(folder(free=0.001, temporary=False)).state == "warning"


def test_missing_codecs_are_named() -> None:
    """All photos of that format would fail."""
    assert checks.check_codecs({"JPEG": True, "WebP": False, "TIFF": False}).found == "cannot decode WebP, TIFF"
    assert checks.check_codecs({"JPEG": True, "PNG": True}).found == "decodes JPEG, PNG"


def test_ray_that_is_not_installed_fails() -> None:
    """The finding has its version, without starting it."""
    assert checks.check_ray(None).state == "failed"
    assert checks.check_ray("2.60.0").state == "ok"


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (Probe("s3://b/new"), "ok"),
        (Probe("s3://b/full", is_there=True), "ok"),
        (Probe("s3://b/one.zip", is_there=True, is_file=True), "ok"),
        (Probe("s3://b/photos", is_there=True, write_error="denied"), "warning"),
        (Probe("s3://b/new", write_error="denied"), "failed"),
        (Probe("s3://nobody", read_error="no such bucket"), "failed"),
    ],
)
def test_storage_that_can_only_be_read_is_good_for_photos(found: Probe, state: str) -> None:
    """A place that does not exist and cannot be created is of no use."""
    finding = checks.check_storage(found)
    assert finding.state == state
    assert (finding.advice is None) == (state == "ok")
