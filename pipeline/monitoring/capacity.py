"""Formulas for capacity: photos per hour, CPUs per GPU, bytes per second, dollars.

`docs/capacity.md` applies them to figures of usual machines; `crackscan plan` measures instead.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Photo:
    """The average photo."""

    tiles: float
    size_bytes: float
    """Of its file."""
    decode_s: float
    """Seconds of one CPU to read, decode and cut it."""


@dataclass(frozen=True)
class Machine:
    """A machine that scores photos."""

    cpus: float
    """As Ray and the clouds count them: hardware threads."""
    cpu_tiles_per_s: float
    """Tiles that one CPU scores per second when it does nothing else."""
    gpu_tiles_per_s: float = 0.0
    """Tiles that all its GPUs score per second; 0 without a GPU. The CPUs of a machine with a GPU only feed it."""


def photos_per_s(machine: Machine, photo: Photo) -> float:
    """Compute how many photos a machine scores per second in steady state.

    On CPUs the same process decodes and scores a photo, so the times add up. A GPU scores while CPUs decode, so the
    slower of the two counts.
    """
    if machine.gpu_tiles_per_s:
        return min(machine.gpu_tiles_per_s / photo.tiles, machine.cpus / photo.decode_s)
    return machine.cpus / (photo.tiles / machine.cpu_tiles_per_s + photo.decode_s)


def cpus_per_gpu(gpu_tiles_per_s: float, photo: Photo) -> float:
    """Compute how many CPUs keep a GPU busy."""
    return gpu_tiles_per_s / photo.tiles * photo.decode_s


def bytes_per_s(photos_per_s: float, photo: Photo) -> float:
    """Compute how many bytes per second a disk or store must deliver for a throughput."""
    return photos_per_s * photo.size_bytes


def dollars_per_1000(photos_per_s: float, dollars_per_h: float) -> float:
    """Compute what a thousand photos cost on a machine with this throughput and price."""
    return 1000 / photos_per_s / 3600 * dollars_per_h


def seconds_left(done: int, total: int, since: tuple[int, float]) -> float | None:
    """Compute how long the rest takes at the current pace.

    Args:
        done: photos done.
        total: photos done and left.
        since: photos that were done when the clock started, and seconds since then. The clock starts late because the
            start of a run is slower than the rest.

    Returns:
        None if no photo was done since the clock started.
    """
    before, seconds = since
    return (total - done) * seconds / (done - before) if done > before else None
