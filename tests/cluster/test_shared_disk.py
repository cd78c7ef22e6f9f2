"""A path that only one machine of a cluster has is refused before the work."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cluster.session import ClusterConfig, ray_session
from pipeline.cluster.shared_disk import check_shared, find_missing
from pipeline.core.errors import UsageError

STORE_BYTES = 128 << 20
ONLY_HERE = Path(f"/proc/self/task/{os.getpid()}")
"""A folder that exists for this process only, as if each process had a machine of its own."""


def test_missing_paths_are_named(tmp_path: Path) -> None:
    """Paths that exist are not."""
    there, gone = tmp_path.as_uri(), (tmp_path / "gone").as_uri()
    assert find_missing([gone, there]) == [gone]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two machines."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE_BYTES})
    try:
        cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        yield cluster.address
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


@pytest.mark.ray
def test_a_path_that_only_this_machine_has_is_refused(address: str, tmp_path: Path) -> None:
    """The message names the machine and what to do; paths that all machines have, and remote URLs, pass."""
    shared = [tmp_path.as_uri(), "s3://bucket/photos"]
    with ray_session(ClusterConfig(address)):
        check_shared(shared)
        with pytest.raises(UsageError) as refused:
            check_shared([*shared, ONLY_HERE.as_uri()])
    before, _, after = str(refused.value).partition(" and not on ")
    assert before == f"{ONLY_HERE} is on this machine"
    assert after.partition("), ")[2] == (
        "which is to work on it. Put it where all machines of the cluster reach it under one name: s3://…, or a disk "
        "that they share."
    )
