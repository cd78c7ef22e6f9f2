"""How many scorers there are, and what each of them books, so that none starves what feeds it. Numbers only.

On a CPU as on a GPU a scorer decodes the photos that it scores: their pixels never leave its process.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pipeline.errors import UsageError

READ_CPUS = 0.25
"""Reading waits for disk and network; it gets a share that leaves room beside the scorers on a single CPU."""
SCORER_CPUS = 0.5
"""A scorer fills a core and is booked at half: scorers that book every CPU starve the readers that feed them."""
GPU_SCORERS = 4
"""Scorers that share a GPU, where there are CPUs for them: it works for one while the others decode. Of photos of 12
megapixels it needs one or two CPUs that decode, a large one six (docs/capacity.md)."""
GPU_SCORER_CPUS = 1.0
"""A scorer on a GPU spends most of its time decoding."""


@dataclass(frozen=True)
class Hosting:
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


def placed(hosting: Hosting, cpus: float, gpus: int) -> Placement:
    """Decide how many scorers there are, and what each of them books.

    Args:
        hosting: what was asked for.
        cpus: of the cluster.
        gpus: of the cluster.

    Raises:
        UsageError: they would wait for ever for what the cluster does not have.
    """
    on_gpu = hosting.device == "cuda" or (hosting.device == "auto" and gpus >= 1)
    if on_gpu and not gpus:
        raise UsageError("--device cuda was asked for, and Ray has no GPU. Give --device cpu.")
    each = GPU_SCORER_CPUS if on_gpu else SCORER_CPUS
    room = int((cpus - READ_CPUS) / each)
    actors = hosting.actors or max(1, min(gpus * GPU_SCORERS if on_gpu else int(cpus), room))
    if actors > room:
        raise UsageError(f"{actors} scorers do not fit on {cpus:g} CPUs; at most {room} do. Give fewer --actors.")
    return Placement(actors, each, _share(math.ceil(actors / gpus)) if on_gpu else 0.0)


def _share(of: int) -> float:
    """Divide a GPU; Ray counts in ten-thousandths."""
    return 1.0 if of == 1 else 10_000 // of / 10_000
