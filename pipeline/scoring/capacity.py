"""What a job comes to on paper: photos an hour, processors to a GPU, bytes a second, dollars. Formulas only.

`plan` feeds them what it measures here and now, `docs/capacity.md` what was measured or published of usual machines.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Photo:
    """What one photo takes."""

    tiles: float
    size_bytes: float
    """Of its file."""
    decode_s: float
    """Seconds of one CPU for reading, decoding and cutting it."""


@dataclass(frozen=True)
class Machine:
    """What scores."""

    cpus: float
    """As Ray and the clouds count them: hardware threads."""
    cpu_tiles_per_s: float
    """Tiles a second that one of the CPUs scores when it does nothing else."""
    gpu_tiles_per_s: float = 0.0
    """Tiles a second of all its GPUs; 0 where it has none. Where it has some, its CPUs only feed them."""


def photos_per_s(machine: Machine, photo: Photo) -> float:
    """Return how many photos a machine scores in a second, in steady state.

    On CPUs a photo is decoded and scored by the same process: the times add up. A GPU scores while CPUs decode: the
    slower of the two counts.
    """
    if machine.gpu_tiles_per_s:
        return min(machine.gpu_tiles_per_s / photo.tiles, machine.cpus / photo.decode_s)
    return machine.cpus / (photo.tiles / machine.cpu_tiles_per_s + photo.decode_s)


def cpus_per_gpu(gpu_tiles_per_s: float, photo: Photo) -> float:
    """Return how many CPUs a GPU needs that it never waits."""
    return gpu_tiles_per_s / photo.tiles * photo.decode_s


def bytes_per_s(rate: float, photo: Photo) -> float:
    """Return what has to come from the disk or store at so many photos a second."""
    return rate * photo.size_bytes


def dollars_per_1000(rate: float, dollars_per_h: float) -> float:
    """Return what a thousand photos cost on a machine that scores so many a second."""
    return 1000 / rate / 3600 * dollars_per_h


def seconds_left(done: int, total: int, since: tuple[int, float]) -> float | None:
    """Return how long the rest will take at the pace so far.

    Args:
        done: photos done.
        total: of so many.
        since: photos that were done when the clock was started, and seconds since. The start of a run says nothing of
            its pace.

    Returns:
        None where nothing was done since.
    """
    before, seconds = since
    return (total - done) * seconds / (done - before) if done > before else None
