"""Verdicts on machines that are made up: each has a computable answer."""

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
def test_python_is_judged_by_what_the_package_asks_for(version: str, state: str) -> None:
    """The bound itself will do, an older one will not."""
    assert checks.python(version, ">=3.11").state == state


def test_any_python_will_do_where_nothing_is_asked_for() -> None:
    """A package that is not installed names no bound."""
    assert checks.python("3.11.7", "").state == "ok"


def test_packages_too_old_or_missing_are_named_with_what_is_needed() -> None:
    """Every one that does not fit is told, with the bound; those for other systems are nobody's need."""
    needs = ["numpy>=2.1", "ray[data]>=2.60", "timm>=1.0.20", 'pywin32>=300; sys_platform == "win32"']
    found = checks.packages(needs, {"numpy": "2.1.0", "ray": "2.9.3", "timm": None, "pywin32": None})
    assert found == Finding("packages", "failed", "ray is 2.9.3, needed is ray[data]>=2.60; timm is missing",
                            "Run: pip install --upgrade crackscan")  # fmt: skip
    assert checks.packages(needs[:1], {"numpy": "2.2.0rc1"}).found == "1, all as new as needed"


def test_a_package_that_is_not_installed_is_a_warning() -> None:
    """There are no bounds to check, and that is said."""
    assert checks.packages([], {}).state == "warning"


def test_instructions_are_told_by_their_usual_names() -> None:
    """One line has the CPUs, the architecture and what of them makes a network quick."""
    amx = frozenset({"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "sse"})
    assert checks.processor(Processor("x86_64", 8, amx)) == Finding(
        "CPU", "ok", "8 CPUs, x86_64: AVX2, AVX-512, BF16, VNNI, AMX"
    )
    assert checks.processor(Processor("aarch64", 1, frozenset({"asimd"}))).found == "1 CPU, aarch64: NEON"


def test_a_cpu_without_vectors_is_slow_and_an_unknown_one_is_not_judged() -> None:
    """Only what the system tells is held against it."""
    assert checks.processor(Processor("x86_64", 2, frozenset({"sse2"}))).state == "warning"
    assert checks.processor(Processor("arm64", 2, None)).state == "ok"


def test_memory_is_judged_by_the_cpus() -> None:
    """A GiB for each, one and a half besides; the advice names as many processes as do fit."""
    assert checks.memory(int(3.5 * GIB), 2).state == "ok"
    short = checks.memory(8 * GIB, 16)
    assert short == Finding("memory", "warning", "8.0 GiB; 16 CPUs need 17.5 GiB",
                            "Run `score` with --actors 6 and `train` with --workers 6.")  # fmt: skip
    assert "--actors 1 " in str(checks.memory(GIB, 2).advice)
    assert checks.memory(None, 2).state == "ok"


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
    """No GPU is no trouble; one that lies idle is."""
    told = checks.gpus(found)
    assert told.state == state
    assert words in told.found


def test_shared_memory_is_judged_by_what_ray_takes() -> None:
    """A container's usual 64 MiB send Ray to the disk; other systems have none."""
    assert checks.object_store(GIB).state == "ok"
    assert checks.object_store(64 << 20).advice == "Free some of /dev/shm; start a container with --shm-size=2g."
    assert checks.object_store(None).state == "ok"


def test_a_folder_that_cannot_be_written_fails() -> None:
    """Why, and that another one would do for the current folder."""
    assert checks.folder(folder(error="Read-only file system")).state == "failed"
    assert checks.folder(folder("/mnt", temporary=False, error="Permission denied")) == Finding(
        "this folder", "failed", "/mnt cannot be written: Permission denied", "Make it writable, or work in another."
    )


@pytest.mark.parametrize(("free", "state"), [(0.5, "ok"), (0.04, "warning"), (0.001, "warning")])
def test_ray_spills_nothing_to_a_disk_that_is_nearly_full(free: float, state: str) -> None:
    """Less than a twentieth free is told, however much it is."""
    assert checks.folder(folder(free=free)).state == state


def test_a_nearly_full_disk_will_do_for_the_current_folder() -> None:
    """As long as a GiB is free."""
    assert checks.folder(folder(free=0.04, temporary=False)).state == "ok"
    assert checks.folder(folder(free=0.001, temporary=False)).state == "warning"


def test_a_temporary_folder_must_leave_room_for_the_names_of_sockets() -> None:
    """Linux allows 107 bytes: 39 for the folder and 68 for what Ray puts behind it."""
    assert checks.folder(folder("/" + "x" * 38)).state == "ok"
    assert checks.folder(folder("/" + "x" * 39)).state == "failed"
    assert checks.folder(folder("/" + "x" * 39, temporary=False)).state == "ok"


def test_missing_codecs_are_named() -> None:
    """Photos of that format would all fail."""
    assert checks.codecs({"JPEG": True, "WebP": False, "TIFF": False}).found == "cannot decode WebP, TIFF"
    assert checks.codecs({"JPEG": True, "PNG": True}).found == "decodes JPEG, PNG"


def test_ray_that_is_not_installed_fails() -> None:
    """Its version is told without starting it."""
    assert checks.ray(None).state == "failed"
    assert checks.ray("2.60.0").state == "ok"


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
def test_a_storage_that_can_only_be_read_will_do_for_photos(found: Probe, state: str) -> None:
    """What is neither there nor can be made is of no use."""
    told = checks.storage(found)
    assert told.state == state
    assert (told.advice is None) == (state == "ok")
