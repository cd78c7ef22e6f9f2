"""One count of CPUs: affinity, and the quotas of both versions of control groups, as files that look like them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.cpus import count_cpus

ALL = len(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def _many_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of eight CPUs."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: set(range(8)))


def count(folder: Path, membership: str, **files: str) -> int:
    """Count in a tree of control groups with these files; `__` stands for a slash."""
    for name, text in files.items():
        file = folder / "groups" / name.replace("__", "/").replace("cpu_", "cpu.")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "membership").write_text(membership)
    return count_cpus(folder / "membership", folder / "groups")


@pytest.mark.parametrize(("quota", "cpus"), [
    ("max 100000", 8), ("200000 100000", 2), ("150000 100000", 1), ("50000 100000", 1), ("990000 100000", 8),
    ("", 8), ("nonsense", 8), ("0 100000", 8),
])  # fmt: skip
def test_a_quota_of_version_2(tmp_path: Path, quota: str, cpus: int) -> None:
    """Whole CPUs count, at least one; never more than the affinity."""
    assert count(tmp_path, "0::/job\n", job__cpu_max=quota) == cpus


@pytest.mark.parametrize("name", ["cpu", "cpu,cpuacct"])
def test_a_quota_of_version_1(tmp_path: Path, name: str) -> None:
    """In the folder of the controllers, by the names that they are mounted under."""
    files = {f"{name}__job__cpu_cfs_quota_us": "300000\n", f"{name}__job__cpu_cfs_period_us": "100000\n"}
    assert count(tmp_path, f"3:memory:/job\n2:{name}:/job\n", **files) == 3
    files[f"{name}__job__cpu_cfs_quota_us"] = "-1\n"
    assert count(tmp_path, f"2:{name}:/job\n", **files) == 8


def test_the_narrowest_of_the_groups_around_counts(tmp_path: Path) -> None:
    """A group without a quota of its own is limited by those around it."""
    assert count(tmp_path, "0::/a/b\n", a__b__cpu_max="max 100000", a__cpu_max="300000 100000") == 3
    assert count(tmp_path, "0::/a/b\n", a__b__cpu_max="200000 100000") == 2


def test_a_container_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    """The path in the list may be the host's, which is not there."""
    assert count(tmp_path, "0::/docker/0123abc\n", cpu_max="250000 100000") == 2


def test_both_versions_at_once(tmp_path: Path) -> None:
    """Version 2 is mounted as `unified` then."""
    files = {"unified__job__cpu_max": "300000 100000"}
    assert count(tmp_path, "1:cpu:/\n0::/job\n", **files) == 3


def test_a_system_without_control_groups(tmp_path: Path) -> None:
    """The affinity alone counts."""
    assert count_cpus(tmp_path / "none", tmp_path / "none") == 8


@pytest.mark.skipif(shutil.which("taskset") is None or ALL < 2, reason="needs taskset and two CPUs")
def test_taskset_leaves_one_cpu() -> None:
    """The real system, and the command that restricts a process."""
    code = "from pipeline.core.cpus import count_cpus; print(count_cpus())"
    first = min(set(range(os.cpu_count() or 1)))
    ran = subprocess.run(
        ["taskset", "-c", str(first), sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "1\n"
