"""Where Ray is started or joined, quietly: the one place.

By default a run starts a Ray of its own on this machine and never joins somebody's cluster by accident. Ray's log
lines and progress bars stay out of sight unless asked for.
"""

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple, TextIO

from pipeline.cluster.machine import gpus
from pipeline.core.errors import CrackscanError, UsageError

OBJECT_STORE_BYTES = 1 << 30
"""Shared memory of a private Ray. The flows bound what they keep in it; more would only hide a leak."""

SHUTDOWN_S = 20.0
"""How long Ray may take to end before it is left to end with this process."""

KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "MALLOC_ARENA_MAX": "1",
}
"""Environment of processes that run the network: makes glibc keep one batch's memory for the next.

Getting it anew took a quarter of the time in training and nearly half in scoring (52 tiles/s against 29, one core). One
arena, for a thread's own can hold nothing over 64 MiB, and Ray Train works in a thread: 16 pictures/s against 10.
"""

CALM = {
    "AUTOSCALER_UPDATE_INTERVAL_S": "3600",
    "LOG_NAME_UPDATE_INTERVAL_S": "3600",
    "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "0",  # without it the interval above is not looked at
    "RAY_event_stats": "0",
    "RAY_metrics_report_interval_ms": "60000",
    "REPORTER_UPDATE_INTERVAL_MS": "60000",
}
"""Environment of a private Ray: there is nothing to scale, nobody reads its log lines, metrics may be a minute old.

Every process of Ray that wakes takes a scorer off its core (docs/experiments.md). A value that is set already stays.
"""

NODE_GROUP = "ray.io/node-group"
"""Ray's label for what KubeRay calls a group of workers, and `ray up` a node type."""


@dataclass(frozen=True)
class ClusterConfig:
    """Which Ray to work on."""

    address: str | None = None
    """Address of a running cluster; None starts a private one on this machine."""
    cpus: int | None = None
    """CPUs of the private Ray; None takes all."""
    verbose: bool = False
    """Whether Ray's own log lines and progress bars are shown."""

    def __post_init__(self) -> None:
        """Check that the options go together."""
        if self.address is not None and self.cpus is not None:
            raise UsageError("--cpus sizes a private Ray and --address joins a running one; give one of them.")
        if (self.address or "").startswith("ray://"):
            raise UsageError(
                f"--address {self.address} is a Ray client, which Ray Data cannot work through. "
                "Run the command on a machine of the cluster with --address auto."
            )


class Node(NamedTuple):
    """A machine that Ray has."""

    cpus: float
    gpus: float = 0.0
    group: str = ""
    """Its node group, as KubeRay and `ray up` name it; empty on a Ray that knows no groups."""


@contextmanager
def ray_session(config: ClusterConfig, noise: str = os.devnull) -> Iterator[None]:
    """Run Ray while the context lasts.

    Args:
        config: which Ray.
        noise: local file for what Ray's C++ side would write to the terminal; not used where `config` asks to see it.

    Raises:
        UsageError: the cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no report to anybody; Ray reads it from here alone
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # the coming default; silences a warning
    with nullcontext() if config.verbose else _terminal_kept_from_ray(noise):
        started, ended = Future[None](), threading.Event()
        host = threading.Thread(target=_host, args=(config, started, ended), daemon=True, name="ray")
        host.start()
        try:
            import ray.data  # noqa: F401 - takes a second, while Ray's processes start

            started.result()
            _hear_signals_again()
            _quiet(verbose=config.verbose)
            yield
        finally:
            ended.set()
            host.join(SHUTDOWN_S)


def has_gpus(config: ClusterConfig) -> bool:
    """Tell whether a Ray has a GPU that torch can use; a running one is asked, which takes a second or two.

    Raises:
        UsageError: the cluster cannot be reached.
    """
    if config.address is None:
        found = gpus()
        return bool(found.names) and found.torch_cuda is not None
    with ray_session(config):
        import ray

        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return resources.get("GPU", 0) >= 1


def nodes() -> tuple[Node, ...]:
    """Return the machines that Ray has; it must be running."""
    import ray

    found = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return tuple(
        Node(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0), node["Labels"].get(NODE_GROUP, ""))
        for node in found
    )


def _host(config: ClusterConfig, started: "Future[None]", ended: threading.Event) -> None:
    """Hold Ray in a thread of its own.

    In the main thread Ray would put its SIGTERM handler over ours. The thread lives as long as the session, for Linux
    ends Ray's processes with the thread that started them.
    """
    import ray

    try:
        with nullcontext() if config.address or config.verbose else _calm():
            ray.init(
                address=config.address or "local",
                include_dashboard=False if config.address is None else None,
                log_to_driver=config.verbose,
                logging_level=logging.INFO if config.verbose else logging.ERROR,
                num_cpus=config.cpus,
                object_store_memory=OBJECT_STORE_BYTES if config.address is None else None,
            )
    except (ConnectionError, ValueError, RuntimeError) as error:
        place = "on this machine" if config.address is None else f"at {config.address}"
        started.set_exception(UsageError(f"Ray cannot be used {place}: {error}. Is --address right?"))
        return
    except Exception as error:  # noqa: BLE001 - Ray raises it bare where its processes start too slowly
        started.set_exception(CrackscanError(f"Ray did not start: {error} Run the same command again."))
        return
    started.set_result(None)
    ended.wait()
    ray.shutdown()


@contextmanager
def _calm() -> Iterator[None]:
    """Start processes with `CALM`; a Ray that this process starts otherwise or later is not to have it."""
    added = CALM.keys() - os.environ.keys()
    os.environ.update({name: CALM[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _hear_signals_again() -> None:
    """Put Python's handler of SIGTERM back: Ray's C++ side lays its own over it, which may crash and never ends."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))


@contextmanager
def _terminal_kept_from_ray(noise: str) -> Iterator[None]:
    """Send file descriptor 2, which Ray's C++ side writes to, into a file; Python's stderr goes on to the terminal."""
    terminal, python_stderr = os.dup(2), sys.stderr
    with open(noise, "ab") as file, open(terminal, "w", buffering=1, closefd=True) as kept:  # noqa: PTH123 - descriptors
        os.dup2(file.fileno(), 2)
        if _writes_to_terminal(python_stderr):
            sys.stderr = kept
        try:
            yield
        finally:
            sys.stderr = python_stderr
            os.dup2(terminal, 2)


def _writes_to_terminal(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 2
    except (OSError, ValueError):  # a stream in memory, as in tests
        return False


def _quiet(*, verbose: bool) -> None:
    """Keep the progress bars and chatter of Ray Data and Ray Train off the terminal."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = context.enable_operator_progress_bars = verbose
    if not verbose:  # more scorers than blocks of photos is nothing a user can or need change
        warnings.filterwarnings("ignore", message="The minimum number of concurrent actors")
    for name in ("ray.data", "ray.train"):
        logging.getLogger(name).setLevel(logging.INFO if verbose else logging.ERROR)
