"""Which process wrote something, whether it has ended, and how much memory this one used: across machines and boots.

psutil does not fit here. Its `create_time` moves with the system clock, and a lease that an earlier version began holds
clock ticks. Its `pid_exists` denies another user's process on a /proc mounted with `hidepid`, so a second writer would
take over from a living one. It has no peak memory on Linux.
"""

import os
import resource
import socket
import sys
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE = Path("/proc/self/ns/pid")
_STATUS = Path("/proc/self/status")


def machine() -> str:
    """Return a name that this machine shares with no other, no other boot, and no other container's process numbers."""
    try:
        return f"{socket.gethostname()} {_BOOT_ID.read_text().strip()} {_PID_NAMESPACE.readlink()}"
    except OSError:  # not Linux
        return socket.gethostname()


def start_time(pid: int) -> str:
    """Return when a process of this machine began, in clock ticks since the boot.

    Returns:
        Empty where the machine does not say; `ended` for a zombie, which only waits for its parent.
    """
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "ended" if state in "ZX" else fields[18]  # field 22 of proc(5); the state is field 3


def has_ended(machine_name: str, pid: int, started: str) -> bool:
    """Tell whether a process of this machine has ended, even if a later one has its number.

    Args:
        machine_name: its `machine()`; False for any other machine, whose processes we cannot see.
        pid: its number.
        started: its `start_time`.
    """
    if machine_name != machine():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's process; whether we can see its start depends on the machine
        pass
    return start_time(pid) not in {started, ""}


def peak_bytes() -> int:
    """Return the peak resident memory of this process; shared pages count in every process.

    On Linux this is VmHWM, of this program alone: `getrusage` starts with the parent's peak.
    """
    lines = _STATUS.read_text(encoding="utf-8", errors="replace").splitlines() if _STATUS.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10
