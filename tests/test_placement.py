"""Scorers fit the cluster they are put on."""

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.placement import GPU_SCORER_CPUS, READ_CPUS, Hosting, placed


@given(st.floats(1, 200), st.integers(0, 16), st.none() | st.integers(1, 64), st.sampled_from(["auto", "cpu", "cuda"]))
def test_scorers_fit_the_cluster_and_leave_room_for_what_feeds_them(
    cpus: float, gpus: int, actors: int | None, device: Literal["auto", "cpu", "cuda"]
) -> None:
    """What they book is there, a reader has its share beside them, and no GPU stands idle for want of a scorer."""
    try:
        found = placed(Hosting(actors, device), cpus, gpus)
    except UsageError as error:
        assert "do not fit" in str(error) or "Ray has no GPU" in str(error)  # noqa: PT017 - one of many examples
        assert actors is not None or gpus == 0 or cpus < GPU_SCORER_CPUS + READ_CPUS
        return
    assert actors in {None, found.actors}
    assert found.actors * found.cpus + READ_CPUS <= cpus
    assert bool(found.gpus) == (device == "cuda" or (device == "auto" and gpus > 0))
    if found.gpus:
        on_each = int(1 / found.gpus)
        assert found.actors <= on_each * gpus
        if found.actors >= gpus:
            assert (found.actors - 1) // on_each + 1 <= gpus


def test_usual_machines() -> None:
    """Two CPUs: two scorers. A GPU with four CPUs: three that share it. Four with 64: four on each."""
    assert placed(Hosting(), 2, 0) == (2, 0.5, 0.0)
    assert placed(Hosting(), 4, 1) == (3, 1.0, 0.3333)
    assert placed(Hosting(), 64, 4) == (16, 1.0, 0.25)
    assert placed(Hosting(actors=2), 64, 4) == (2, 1.0, 1.0)
