"""Scorers fit the cluster, and get neither too much nor too little at a time."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cluster.session import Node
from pipeline.core.errors import UsageError
from pipeline.scoring.placement import (
    GPU_SCORER_CPUS,
    READ_CPUS,
    BatchSizes,
    ScorerOptions,
    place_scorers,
)

SIZES = BatchSizes()
NODES = st.lists(st.builds(Node, st.floats(0, 100), st.integers(0, 8)), min_size=1, max_size=5)


def has_room(nodes: list[Node], actors: int, cpus: float, on_each_gpu: int | None) -> bool:
    """Tell whether the scorers fit when a reader takes its share of one of the machines."""
    for reader in range(len(nodes)):
        fit = [max(0, int((node.cpus - READ_CPUS * (number == reader)) / cpus)) for number, node in enumerate(nodes)]
        if on_each_gpu is not None:
            fit = [min(number, int(node.gpus) * on_each_gpu) for number, node in zip(fit, nodes, strict=True)]
        if sum(fit) >= actors and nodes[reader].cpus >= READ_CPUS:
            return True
    return False


@given(NODES, st.none() | st.integers(1, 64), st.sampled_from(["auto", "cpu", "cuda"]))
def test_scorers_fit_the_cluster_and_leave_room_for_readers(
    nodes: list[Node], actors: int | None, device: Literal["auto", "cpu", "cuda"]
) -> None:
    """Each scorer has its CPU on one machine, the one with its GPU if it uses one, and a reader fits beside them."""
    on_gpu = device == "cuda" or (device == "auto" and any(node.gpus for node in nodes))
    each = GPU_SCORER_CPUS if on_gpu else 0.5
    try:
        found = place_scorers(ScorerOptions(actors, device), nodes)
    except UsageError as error:
        assert "not fit on" in str(error) or "Ray has no GPU" in str(error)  # noqa: PT017 - one of many examples
        there = [node for node in nodes if node.gpus] if on_gpu else nodes
        assert not there or not has_room(nodes, actors or 1, each, 10_000 if on_gpu else None)
        return
    assert actors in {None, found.actors}
    assert found.cpus == each
    assert bool(found.gpus) == on_gpu
    assert has_room(nodes, found.actors, each, int(1 / found.gpus) if on_gpu else None)


def test_usual_machines() -> None:
    """Two CPUs: two scorers. A GPU with four CPUs: three scorers share it. Four GPUs with 64 CPUs: six on each."""
    assert place_scorers(ScorerOptions(), [Node(2)]) == (2, 0.5, 0.0)
    assert place_scorers(ScorerOptions(), [Node(4, 1)]) == (3, 1.0, 0.3333)
    assert place_scorers(ScorerOptions(), [Node(64, 4)]) == (24, 1.0, 0.1666)
    assert place_scorers(ScorerOptions(actors=2), [Node(64, 4)]) == (2, 1.0, 1.0)


def test_usual_clusters() -> None:
    """CPUs of other machines do not help a GPU: beside a head of eight CPUs, a GPU with four hosts four scorers."""
    assert place_scorers(ScorerOptions(), [Node(8), Node(4, 1)]) == (4, 1.0, 0.25)
    assert place_scorers(ScorerOptions(), [Node(8), Node(2, 1), Node(2, 1)]) == (4, 1.0, 0.5)
    assert place_scorers(ScorerOptions(device="cpu"), [Node(0), Node(8), Node(8)]) == (16, 0.5, 0.0)
    with pytest.raises(UsageError, match=r"^5 scorers do not fit on the 4 CPUs of machines with a GPU; at most 4 do"):
        place_scorers(ScorerOptions(actors=5), [Node(64), Node(4, 1)])


def test_readers_follow_the_scorers() -> None:
    """One reader for two scorers on CPUs, and one for each on a GPU."""
    readers = {actors: place_scorers(ScorerOptions(actors, "cpu"), [Node(8)]).readers for actors in (1, 2, 3, 8)}
    assert readers == {1: 1, 2: 1, 3: 2, 8: 4}
    assert place_scorers(ScorerOptions(3), [Node(8, 1)]).readers == 3


@given(st.integers(0, 1 << 50), st.integers(1, 1000), st.floats(0, 1))
def test_no_scorer_gets_more_than_its_part(photo_bytes: int, actors: int, done: float) -> None:
    """Units are small at both ends of a job and of one size in its middle; in between, every scorer gets its part."""
    before = int(photo_bytes * done)
    found = SIZES.next_unit_bytes(photo_bytes, actors, before)
    assert SIZES.small_unit_bytes <= found <= SIZES.unit_bytes
    ends = {SIZES.next_unit_bytes(photo_bytes, actors, end) for end in (0, photo_bytes)}
    assert ends == {SIZES.small_unit_bytes}
    handed_out_or_left = min(before, photo_bytes - before)
    if found > SIZES.small_unit_bytes:
        assert found * actors <= handed_out_or_left
    if found < SIZES.unit_bytes:
        assert (found + 1) * actors > handed_out_or_left


@given(st.integers(0, 1 << 50), st.integers(1, 1000))
def test_blocks_are_no_larger_than_units(photo_bytes: int, actors: int) -> None:
    """A single stream, whose photos are unknown, travels in small blocks."""
    found = SIZES.target_block_bytes(photo_bytes, actors)
    assert SIZES.target_block_bytes(0, actors) == SIZES.small_unit_bytes
    assert SIZES.small_unit_bytes <= found <= SIZES.block_bytes
    assert found <= SIZES.next_unit_bytes(photo_bytes, actors, photo_bytes // 2)
