"""Checks that every machine of a cluster reaches the paths on local disk."""

from collections.abc import Iterable, Sequence

from pipeline import storage
from pipeline.core.errors import UsageError


def check_shared(urls: Iterable[str]) -> None:
    """Check that every machine with CPUs has the files and folders on local disk; Ray must be running.

    Raises:
        UsageError: a machine lacks one.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    local = sorted({url for url in urls if url.startswith(storage.LOCAL)})
    own = ray.get_runtime_context().get_node_id()
    alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    others = [node for node in alive if node["NodeID"] != own and node["Resources"].get("CPU")]
    if not local or not others:
        return
    task = ray.remote(num_cpus=0)(find_missing)
    tasks = [(node, task.options(scheduling_strategy=On(node["NodeID"], soft=False)).remote(local)) for node in others]
    for node, reference in tasks:
        try:
            missing = ray.get(reference)
        except ray.exceptions.RayError:  # a machine that leaves the cluster now will not work on anything
            continue
        if missing:
            raise UsageError(
                f"{storage.local_path(missing[0])} is on this machine and not on {node['NodeManagerHostname']} "
                f"({node['NodeManagerAddress']}), which is to work on it. Put it where all machines of the cluster "
                "reach it under one name: s3://…, or a disk that they share."
            )


def find_missing(urls: Sequence[str]) -> list[str]:
    """Return the URLs of which this machine has no file or folder."""
    return [url for url in urls if not storage.exists(url)]
