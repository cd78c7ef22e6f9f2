"""How many scorers there are, what each reserves of Ray, and how much it gets at a time. Numbers only.

On a CPU as on a GPU, a scorer decodes the photos that it scores: their pixels never leave its process.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal, NamedTuple

from pipeline.cluster.session import Node
from pipeline.core.counts import count_of
from pipeline.core.errors import UsageError

READ_CPUS = 0.25
"""Reading waits for disk and network; its share leaves room beside the scorers on a single CPU."""
SCORER_CPUS = 0.5
"""A scorer fills a core but reserves half of one: scorers that reserve every CPU starve the readers that feed them."""
GPU_SCORERS = 6
"""Scorers that share a GPU, if there are CPUs for them: six keep a large GPU busy, more get in each other's way, and
each takes 2.3 GB of its memory (docs/experiments.md)."""
GPU_SCORER_CPUS = 1.0
"""A scorer on a GPU spends most of its time decoding."""
READER_SCORERS = 2
"""CPU scorers that one reading task feeds: it reads many times what they score, and every reader is a process more."""
_SHARES = 10_000
"""Ray divides a GPU into this many shares."""


@dataclass(frozen=True)
class BatchSizes:
    """How much a reading task and a scorer get at a time. No score depends on it."""

    unit_photos: int = 256
    """Photos that a reading task gets at most: seconds of work."""
    unit_bytes: int = 32 << 20
    """Bytes of an archive that a reading task gets at most: seconds of work, so that many tasks share one archive …"""
    small_unit_bytes: int = 1 << 20
    """… and about this much at both ends of a job: one large photo, or small ones that fill a batch together. In
    between, a task gets no more than one scorer's part of what came before and of what is left: the first photo is
    scored soon, and all scorers end together."""
    block_bytes: int = 8 << 20
    """Photos travel to a scorer in blocks of about this size at most: each block costs it and the driver a round of
    calls."""

    def next_unit_bytes(self, photo_bytes: int, actors: int, before: int) -> int:
        """Choose how many bytes the next reading task gets.

        Args:
            photo_bytes: size of all photos.
            actors: number of scorers.
            before: size of the photos that earlier tasks got.
        """
        return min(self.unit_bytes, max(self.small_unit_bytes, min(before, photo_bytes - before) // actors))

    def target_block_bytes(self, photo_bytes: int, actors: int) -> int:
        """Choose the size of the blocks in which photos travel: the size of the largest unit, if that is small."""
        return min(self.block_bytes, self.next_unit_bytes(photo_bytes, actors, photo_bytes // 2))


@dataclass(frozen=True)
class ScorerOptions:
    """How many scorers Ray hosts, on what, and how much they get at a time."""

    actors: int | None = None
    """None takes one for each CPU, or as many as keep the GPUs busy."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes the GPUs of the cluster, if there are any."""
    sizes: BatchSizes = field(default_factory=BatchSizes)


class Placement(NamedTuple):
    """How many scorers there are, and what each reserves of Ray."""

    actors: int
    cpus: float
    gpus: float
    """A GPU, or a share of one; 0 on CPUs."""

    @property
    def readers(self) -> int:
        """Number of reading tasks at a time."""
        return self.actors if self.gpus else -(-self.actors // READER_SCORERS)


def place_scorers(options: ScorerOptions, nodes: Sequence[Node]) -> Placement:
    """Decide how many scorers there are, and what each reserves.

    Args:
        options: what the user chose.
        nodes: machines of the cluster; a scorer on a GPU takes its CPU from the machine that has the GPU.

    Raises:
        UsageError: the cluster lacks what the scorers need, so they would wait for ever.
    """
    has_gpus = any(node.gpus for node in nodes)
    if options.device == "cpu" or (options.device == "auto" and not has_gpus):
        cpus, room = sum(node.cpus for node in nodes), _count_room(nodes, SCORER_CPUS)
        actors = options.actors or max(1, min(int(cpus), room))
        _check_fit(actors, room, count_of(int(cpus), "CPU"))
        return Placement(actors, SCORER_CPUS, 0.0)
    if not has_gpus:
        raise UsageError("--device cuda was asked for, and Ray has no GPU. Give --device cpu.")
    cpus = sum(node.cpus for node in nodes if node.gpus)
    actors = options.actors or max(1, _count_room(nodes, GPU_SCORER_CPUS, GPU_SCORERS))
    _check_fit(
        actors, _count_room(nodes, GPU_SCORER_CPUS, _SHARES), f"the {count_of(int(cpus), 'CPU')} of machines with a GPU"
    )
    per_gpu = next(number for number in count(1) if _count_room(nodes, GPU_SCORER_CPUS, number) >= actors)
    return Placement(actors, GPU_SCORER_CPUS, 1.0 if per_gpu == 1 else _SHARES // per_gpu / _SHARES)


def _count_room(nodes: Sequence[Node], cpus_each: float, per_gpu: int | None = None) -> int:
    """Count the scorers that fit while one machine or another still has room for a reader."""
    fit = [int(node.cpus / cpus_each) for node in nodes]
    if per_gpu is not None:
        fit = [min(number, int(node.gpus) * per_gpu) for number, node in zip(fit, nodes, strict=True)]
    left = max(node.cpus - number * cpus_each for node, number in zip(nodes, fit, strict=True))
    return sum(fit) if left >= READ_CPUS else sum(fit) - 1


def _check_fit(actors: int, room: int, place: str) -> None:
    if actors > room:
        raise UsageError(
            f"{count_of(actors, 'scorer does', 'scorers do')} not fit on {place}; at most {room} do. "
            "Give fewer --actors."
        )
