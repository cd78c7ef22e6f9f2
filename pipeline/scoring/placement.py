"""How many scorers there are, what each of them books, and what it is handed at a time. Numbers only.

On a CPU as on a GPU a scorer decodes the photos that it scores: their pixels never leave its process.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal, NamedTuple

from pipeline.cluster.session import Node
from pipeline.core.errors import UsageError

READ_CPUS = 0.25
"""Reading waits for disk and network; it gets a share that leaves room beside the scorers on a single CPU."""
SCORER_CPUS = 0.5
"""A scorer fills a core and is booked at half: scorers that book every CPU starve the readers that feed them."""
GPU_SCORERS = 6
"""Scorers that share a GPU, where there are CPUs for them: so many keep a large one busy, more get in each other's way,
and each takes 2.3 GB of its memory (docs/experiments.md)."""
GPU_SCORER_CPUS = 1.0
"""A scorer on a GPU spends most of its time decoding."""
READER_SCORERS = 2
"""Scorers on CPUs that one reading task feeds: it reads many times what they score, and each more is a process more."""
UNIT_BYTES = 32 << 20
"""A reading task gets at most this much of an archive: seconds of work, so that many share one archive …"""
SMALL_UNIT_BYTES = 1 << 20
"""… and about this much at both ends of a job, one large photo or small ones that fill a batch together. In between, it
gets no more than a scorer's part of what went before and of what is left: the first photo is there soon, and scorers
end together."""
BLOCK_BYTES = 8 << 20
"""Photos travel to a scorer in blocks of at most about this size: each costs it and the driver a round of calls."""
_SHARES = 10_000
"""Ray divides a GPU into so many."""


@dataclass(frozen=True)
class ScorerOptions:
    """How many scorers Ray hosts, and on what."""

    actors: int | None = None
    """None takes one for each CPU, or as many as keep the GPUs busy."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes the GPUs of the cluster where it has any."""


class Placement(NamedTuple):
    """How many scorers there are, and what each books of Ray."""

    actors: int
    cpus: float
    gpus: float
    """A GPU, or a share of one; 0 on CPUs."""

    @property
    def readers(self) -> int:
        """How many reading tasks there are at a time."""
        return self.actors if self.gpus else -(-self.actors // READER_SCORERS)


def place_scorers(hosting: ScorerOptions, nodes: Sequence[Node]) -> Placement:
    """Decide how many scorers there are, and what each of them books.

    Args:
        hosting: what was asked for.
        nodes: of the cluster; a scorer on a GPU takes its CPU from the machine that has the GPU.

    Raises:
        UsageError: they would wait for ever for what the cluster does not have.
    """
    has_gpus = any(node.gpus for node in nodes)
    if hosting.device == "cpu" or (hosting.device == "auto" and not has_gpus):
        cpus, room = sum(node.cpus for node in nodes), _room(nodes, SCORER_CPUS)
        actors = _fitting(hosting.actors or max(1, min(int(cpus), room)), room, f"{cpus:g} CPUs")
        return Placement(actors, SCORER_CPUS, 0.0)
    if not has_gpus:
        raise UsageError("--device cuda was asked for, and Ray has no GPU. Give --device cpu.")
    cpus = sum(node.cpus for node in nodes if node.gpus)
    actors = hosting.actors or max(1, _room(nodes, GPU_SCORER_CPUS, GPU_SCORERS))
    _fitting(actors, _room(nodes, GPU_SCORER_CPUS, _SHARES), f"the {cpus:g} CPUs of machines with a GPU")
    on_each = next(number for number in count(1) if _room(nodes, GPU_SCORER_CPUS, number) >= actors)
    return Placement(actors, GPU_SCORER_CPUS, 1.0 if on_each == 1 else _SHARES // on_each / _SHARES)


def unit_bytes(photo_bytes: int, actors: int, before: int) -> int:
    """Choose how much the next reading task gets, by how many bytes of photos there are, and went before."""
    return min(UNIT_BYTES, max(SMALL_UNIT_BYTES, min(before, photo_bytes - before) // actors))


def block_bytes(photo_bytes: int, actors: int) -> int:
    """Choose the size of the blocks in which photos travel: that of the largest unit, if that is little."""
    return min(BLOCK_BYTES, unit_bytes(photo_bytes, actors, photo_bytes // 2))


def _room(nodes: Sequence[Node], cpus_each: float, on_each_gpu: int | None = None) -> int:
    """Count the scorers for which there is room, with a reader beside them on one machine or another."""
    fit = [int(node.cpus / cpus_each) for node in nodes]
    if on_each_gpu is not None:
        fit = [min(number, int(node.gpus) * on_each_gpu) for node, number in zip(nodes, fit, strict=True)]
    left = max(node.cpus - number * cpus_each for node, number in zip(nodes, fit, strict=True))
    return sum(fit) if left >= READ_CPUS else sum(fit) - 1


def _fitting(actors: int, room: int, place: str) -> int:
    if actors > room:
        raise UsageError(f"{actors} scorers do not fit on {place}; at most {room} do. Give fewer --actors.")
    return actors
