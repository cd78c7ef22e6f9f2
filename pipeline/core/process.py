"""Which process wrote something, whether it has ended, and how large this one was: across machines and restarts."""

import os
import resource
import socket
import sys
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NUMBERING = Path("/proc/self/ns/pid")
_STATUS = Path("/proc/self/status")


def machine() -> str:
    """Name this machine so that no other is taken for it: also this boot, and a container's own process numbers."""
    try:
        return f"{socket.gethostname()} {_BOOT_ID.read_text().strip()} {_NUMBERING.readlink()}"
    except OSError:  # no Linux
        return socket.gethostname()


def start_time(pid: int) -> str:
    """Return when a process of this machine began, in clock ticks since the boot.

    Returns:
        Empty where the machine does not say; `ended` for a process that only waits for its parent to notice.
    """
    try:
        state, *facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "ended" if state in "ZX" else facts[18]  # field 22 of proc(5); the state is field 3


def has_ended(of_machine: str, pid: int, began: str) -> bool:
    """Tell whether a process of this machine has ended; a later one of its number is not it.

    Args:
        of_machine: as its `machine()` was; False for any other than this one, of which we cannot know.
        pid: its number.
        began: as `start_time` was.
    """
    if of_machine != machine():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's process; whether we can see its start depends on the machine
        pass
    return start_time(pid) not in {began, ""}


def peak_bytes() -> int:
    """Return the most memory that this process has had; what it shares with others counts in each of them.

    Linux's count for this program alone: `getrusage` begins with what the parent had.
    """
    lines = _STATUS.read_text(encoding="utf-8", errors="replace").splitlines() if _STATUS.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10
