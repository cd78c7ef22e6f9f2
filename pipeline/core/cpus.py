"""How many CPUs this process may use: one count for estimates, checks, scorers and training workers."""

import os
from collections.abc import Iterator
from pathlib import Path

MEMBERSHIP = Path("/proc/self/cgroup")
"""Linux's list of the control groups of this process, each as `number:controllers:path`."""
GROUPS = Path("/sys/fs/cgroup")
"""Where Linux shows all control groups."""


def count_cpus(membership: Path = MEMBERSHIP, groups: Path = GROUPS) -> int:
    """Count the CPUs that this process may use, at least one.

    Its affinity limits them (`taskset`, a cpuset), as does the quota of its control groups (a container, systemd). A
    part of a CPU counts for nothing: 1.5 CPUs are one scorer, and Ray and the readers get the rest.

    Args:
        membership: the file that lists the control groups of this process.
        groups: the folder that shows all control groups, of version 1, version 2, or both.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for folder in _group_folders(membership, groups) if (quota := _read_quota(folder)) is not None]
    return max(1, int(min([allowed, *quotas])))


def _group_folders(membership: Path, groups: Path) -> Iterator[Path]:
    """Yield the folders of the control groups that may limit the CPUs, and of those around them.

    In a container the path may be that of the host; then the root of the mount is the container's group.
    """
    for line in _read(membership).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        mounts = ["", "unified"] if not controllers else [controllers, "cpu"] if "cpu" in controllers.split(",") else []
        inner = Path(path.lstrip("/"))
        for mount in dict.fromkeys(mounts):
            yield from (groups / mount / each for each in (inner, *inner.parents))


def _read_quota(folder: Path) -> float | None:
    """Read how many CPUs' time a control group gets; None if it has no limit of its own."""
    words = _read(folder / "cpu.max").split() or [  # version 2, else version 1
        *_read(folder / "cpu.cfs_quota_us").split(),
        *_read(folder / "cpu.cfs_period_us").split(),
    ]
    if len(words) != 2 or not all(word.isdecimal() for word in words) or "0" in words:
        return None  # no such file, `max`, or -1
    return int(words[0]) / int(words[1])


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
