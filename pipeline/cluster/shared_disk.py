"""Whether what lies on local disk is there on every machine of a cluster."""

from collections.abc import Iterable, Sequence

from pipeline import storage
from pipeline.core.errors import UsageError


def check_shared(urls: Iterable[str]) -> None:
    """Check that what lies on local disk is on every machine that works; Ray must be running.

    Raises:
        UsageError: a machine lacks it.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    local = sorted({url for url in urls if url.startswith(storage.LOCAL)})
    own = ray.get_runtime_context().get_node_id()
    alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    others = [node for node in alive if node["NodeID"] != own and node["Resources"].get("CPU")]
    if not local or not others:
        return
    look = ray.remote(num_cpus=0)(missing)
    looks = [(node, look.options(scheduling_strategy=On(node["NodeID"], soft=False)).remote(local)) for node in others]
    for node, found in looks:
        try:
            lacking = ray.get(found)
        except ray.exceptions.RayError:  # a machine that goes while it is asked will not work on anything
            continue
        if lacking:
            raise UsageError(
                f"{storage.local_path(lacking[0])} is on this machine and not on {node['NodeManagerHostname']} "
                f"({node['NodeManagerAddress']}), which is to work on it. Put it where all machines of the cluster "
                "reach it under one name: s3://…, or a disk that they share."
            )


def missing(urls: Sequence[str]) -> list[str]:
    """Return those that are not on this machine."""
    return [url for url in urls if not storage.exists(url)]
