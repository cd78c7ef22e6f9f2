"""Scorers fit the cluster they are put on."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cluster.session import Node
from pipeline.core.errors import UsageError
from pipeline.scoring.placement import (
    BLOCK_BYTES,
    GPU_SCORER_CPUS,
    READ_CPUS,
    SMALL_UNIT_BYTES,
    UNIT_BYTES,
    ScorerOptions,
    block_bytes,
    place_scorers,
    unit_bytes,
)

NODES = st.lists(st.builds(Node, st.floats(0, 100), st.integers(0, 8)), min_size=1, max_size=5)


def has_room(nodes: list[Node], actors: int, cpus: float, on_each_gpu: int | None) -> bool:
    """Tell whether so many scorers fit once a reader has its share of one of the machines, whichever that is."""
    for reader in range(len(nodes)):
        fit = [max(0, int((node.cpus - READ_CPUS * (number == reader)) / cpus)) for number, node in enumerate(nodes)]
        if on_each_gpu is not None:
            fit = [min(number, int(node.gpus) * on_each_gpu) for number, node in zip(fit, nodes, strict=True)]
        if sum(fit) >= actors and nodes[reader].cpus >= READ_CPUS:
            return True
    return False


@given(NODES, st.none() | st.integers(1, 64), st.sampled_from(["auto", "cpu", "cuda"]))
def test_scorers_fit_the_cluster_and_leave_room_for_what_feeds_them(
    nodes: list[Node], actors: int | None, device: Literal["auto", "cpu", "cuda"]
) -> None:
    """Each has its CPU on one machine, that of its GPU where it has one, and a reader has its share beside them."""
    on_gpu = device == "cuda" or (device == "auto" and any(node.gpus for node in nodes))
    each = GPU_SCORER_CPUS if on_gpu else 0.5
    try:
        found = place_scorers(ScorerOptions(actors, device), nodes)
    except UsageError as error:
        assert "do not fit" in str(error) or "Ray has no GPU" in str(error)  # noqa: PT017 - one of many examples
        there = [node for node in nodes if node.gpus] if on_gpu else nodes
        assert not there or not has_room(nodes, actors or 1, each, 10_000 if on_gpu else None)
        return
    assert actors in {None, found.actors}
    assert found.cpus == each
    assert bool(found.gpus) == on_gpu
    assert has_room(nodes, found.actors, each, int(1 / found.gpus) if on_gpu else None)


def test_usual_machines() -> None:
    """Two CPUs: two scorers. A GPU with four CPUs: three that share it. Four with 64: six on each."""
    assert place_scorers(ScorerOptions(), [Node(2)]) == (2, 0.5, 0.0)
    assert place_scorers(ScorerOptions(), [Node(4, 1)]) == (3, 1.0, 0.3333)
    assert place_scorers(ScorerOptions(), [Node(64, 4)]) == (24, 1.0, 0.1666)
    assert place_scorers(ScorerOptions(actors=2), [Node(64, 4)]) == (2, 1.0, 1.0)


def test_usual_clusters() -> None:
    """CPUs of other machines help no GPU: beside a head of eight, one with four CPUs and a GPU hosts four scorers."""
    assert place_scorers(ScorerOptions(), [Node(8), Node(4, 1)]) == (4, 1.0, 0.25)
    assert place_scorers(ScorerOptions(), [Node(8), Node(2, 1), Node(2, 1)]) == (4, 1.0, 0.5)
    assert place_scorers(ScorerOptions(device="cpu"), [Node(0), Node(8), Node(8)]) == (16, 0.5, 0.0)
    with pytest.raises(UsageError, match=r"^5 scorers do not fit on the 4 CPUs of machines with a GPU; at most 4 do"):
        place_scorers(ScorerOptions(actors=5), [Node(64), Node(4, 1)])


def test_readers_follow_the_scorers() -> None:
    """One for two scorers on CPUs, and one for each on a GPU."""
    readers = {actors: place_scorers(ScorerOptions(actors, "cpu"), [Node(8)]).readers for actors in (1, 2, 3, 8)}
    assert readers == {1: 1, 2: 1, 3: 2, 8: 4}
    assert place_scorers(ScorerOptions(3), [Node(8, 1)]).readers == 3


@given(st.integers(0, 1 << 50), st.integers(1, 1000), st.floats(0, 1))
def test_no_scorer_is_handed_more_than_its_part(photo_bytes: int, actors: int, done: float) -> None:
    """Units are small at both ends, of one size where there is much, and each scorer gets one as large in between."""
    before = int(photo_bytes * done)
    found = unit_bytes(photo_bytes, actors, before)
    assert SMALL_UNIT_BYTES <= found <= UNIT_BYTES
    assert SMALL_UNIT_BYTES == unit_bytes(photo_bytes, actors, 0) == unit_bytes(photo_bytes, actors, photo_bytes)
    handed_out_or_left = min(before, photo_bytes - before)
    if found > SMALL_UNIT_BYTES:
        assert found * actors <= handed_out_or_left
    if found < UNIT_BYTES:
        assert (found + 1) * actors > handed_out_or_left


@given(st.integers(0, 1 << 50), st.integers(1, 1000))
def test_blocks_are_no_larger_than_units(photo_bytes: int, actors: int) -> None:
    """A stream alone, whose photos nobody knows, is shared out in small blocks."""
    assert block_bytes(0, actors) == SMALL_UNIT_BYTES
    assert SMALL_UNIT_BYTES <= block_bytes(photo_bytes, actors) <= BLOCK_BYTES
    assert block_bytes(photo_bytes, actors) <= unit_bytes(photo_bytes, actors, photo_bytes // 2)
