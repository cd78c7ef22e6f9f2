"""Starts a private Ray or joins a cluster, without Ray's output: the only module that does.

By default a run starts a Ray of its own on this machine, so that it never joins a cluster by accident. Ray's log lines
and progress bars appear only with `verbose`.
"""

import logging
import os
import resource
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from pipeline.cluster.machine import detect_gpus
from pipeline.core.counts import count_of
from pipeline.core.cpus import count_cpus
from pipeline.core.errors import CrackscanError, UsageError
from pipeline.core.log import get_logger
from pipeline.core.scratch import system_folder, temporary_folder
from pipeline.core.streams import open_remarks

OBJECT_STORE_BYTES = 1 << 30
"""Shared memory of a private Ray. The flows bound what they keep there; more memory would only hide a leak."""

SHUTDOWN_S = 20.0
"""How long to wait for Ray to end; after that it ends with this process."""

MALLOC_ENV = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "MALLOC_ARENA_MAX": "1",
}
"""Environment of processes that run the network: makes glibc keep one batch's memory for the next.

Allocating it anew took a quarter of the time in training and nearly half in scoring (52 tiles/s against 29, one core).
One arena only: a thread's own arena cannot hold more than 64 MiB, and Ray Train works in a thread (16 pictures/s
against 10).
"""

IDLE_ENV = {
    "AUTOSCALER_UPDATE_INTERVAL_S": "3600",
    "LOG_NAME_UPDATE_INTERVAL_S": "3600",
    "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "0",  # else Ray ignores the interval above
    "RAY_event_stats": "0",
    "RAY_metrics_report_interval_ms": "60000",
    "REPORTER_UPDATE_INTERVAL_MS": "60000",
}
"""Environment of a private Ray: it has nothing to scale, nobody reads its log lines, metrics may be a minute old.

Every process of Ray that wakes takes a scorer off its core (docs/experiments.md). Values that are set already stay.
"""

MIN_OPEN_FILES = 256
"""Ray's processes open more than a hundred files each."""
MIN_DISK_BYTES = 1 << 20
"""Ray's logs and sockets of a short run."""

SOCKET_BYTES = 107
"""The longest path of a socket on Linux."""
RAY_SOCKET_BYTES = len("/crackscan-12345678/ray/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store")
"""What we and Ray append to a place for temporary files."""
SHORT_PLACES = ("/tmp", "/var/tmp")  # noqa: S108 - `temporary_folder` makes a folder of its own there
"""Where Ray's files go if the path of the usual place is too long for sockets."""

RAY_LOGGERS = ("ray.data", "ray.train")
"""Loggers of Ray that have a level of their own."""

NODE_GROUP = "ray.io/node-group"
"""Ray's label for a worker group of KubeRay or a node type of `ray up`."""


_log = get_logger("session")


@dataclass(frozen=True)
class ClusterConfig:
    """The Ray to work on."""

    address: str | None = None
    """Address of a running cluster; None starts a private one on this machine."""
    cpus: int | None = None
    """Number of CPUs of the private Ray; None takes all that this process may use."""
    verbose: bool = False
    """Show Ray's own log lines and progress bars."""

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
    """A machine of a Ray cluster."""

    cpus: float
    gpus: float = 0.0
    group: str = ""
    """Its node group, as named by KubeRay or `ray up`; empty on a Ray without groups."""


@contextmanager
def ray_session(config: ClusterConfig, output_path: str = os.devnull) -> Iterator[None]:
    """Run Ray while the context lasts.

    Args:
        config: the Ray to work on.
        output_path: local file for what Ray's C++ side would write to the terminal; not used if `config` is verbose.

    Raises:
        UsageError: Ray cannot be used with this configuration, or the cluster cannot be reached.
        CrackscanError: Ray did not start.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reads this only from the environment
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # the coming default; silences a warning
    with nullcontext() if config.verbose else _redirect_stderr(output_path):
        started, ended = Future[None](), threading.Event()
        host = threading.Thread(target=_run_ray, args=(config, started, ended), daemon=True, name="ray")
        host.start()
        try:
            import ray.data  # noqa: F401 - takes a second, while Ray's processes start

            started.result()
            _restore_sigterm_handler()
            _set_verbosity(verbose=config.verbose)
            if not config.verbose:
                log_ray_errors()
            yield
        finally:
            if not config.verbose:
                _mute_leftover_threads()
            ended.set()
            host.join(SHUTDOWN_S)


def log_ray_errors() -> None:
    """Write what Ray's processes report to our log: Ray prints it to stdout, whatever `log_to_driver` says (2.60).

    A run that ends early kills scorers at work, and Ray reports each of them.
    """
    from ray._private import worker

    def log(message: Mapping[str, Any], **_options: object) -> None:
        _log.warning("ray reports", lines=message["lines"])

    worker.print_to_stdstream = log  # type: ignore[assignment]  # its parameters have other names


def _mute_leftover_threads() -> None:
    """Keep threads of Ray Data off the terminal that outlive a run which ends early: they complain that Ray is gone."""
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    for name in RAY_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    threading.excepthook = _report_unless_of_ray


def _report_unless_of_ray(failed: threading.ExceptHookArgs) -> None:
    if not failed.exc_type.__module__.startswith("ray."):
        threading.__excepthook__(failed)


def has_gpus(config: ClusterConfig) -> bool:
    """Tell whether a Ray has a GPU that torch can use; joining a running cluster to ask it takes a second or two.

    Raises:
        UsageError: the cluster cannot be reached.
    """
    if config.address is None:
        found = detect_gpus()
        return bool(found.names) and found.torch_cuda is not None
    with ray_session(config):
        import ray

        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return resources.get("GPU", 0) >= 1


def nodes() -> tuple[Node, ...]:
    """Return the machines of the running Ray."""
    import ray

    found = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return tuple(
        Node(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0), node["Labels"].get(NODE_GROUP, ""))
        for node in found
    )


def _run_ray(config: ClusterConfig, started: "Future[None]", ended: threading.Event) -> None:
    """Start Ray in this thread, and stop it when the session has ended.

    In the main thread Ray would replace our SIGTERM handler. The thread lives as long as the session, because Linux
    ends Ray's processes with the thread that started them.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(_private_ray(config) if config.address is None else _joined_ray(config, config.address))
        except CrackscanError as error:
            started.set_exception(error)
            return
        # Of any class: whatever escaped here would end this thread alone, and the session would wait for ever.
        except Exception as error:  # noqa: BLE001
            failure = CrackscanError(f"Ray did not start: {error}")
            failure.__cause__ = error
            started.set_exception(failure)
            return
        started.set_result(None)
        ended.wait()


@contextmanager
def _private_ray(config: ClusterConfig) -> Iterator[None]:
    """Start a Ray that leaves nothing behind: its files lie in a temporary folder, its token in this process."""
    import ray

    from pipeline.cluster.ray_token import own_token

    check_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    with temporary_folder(_places_for_ray()) as folder, own_token():
        # Ray opens its own folder to every user; nobody else may enter the one around it.
        options = {
            "include_dashboard": False,
            "num_cpus": config.cpus or count_cpus(),
            "_temp_dir": str(folder / "ray"),
        }
        try:
            with nullcontext() if config.verbose else _idle_env():
                _init_ray(config, address="local", object_store_memory=OBJECT_STORE_BYTES, **options)
        # No narrower class: Ray raises a bare Exception if its processes start too slowly (`Node.__init__`, 2.60).
        except Exception as error:
            ray.shutdown()
            advice = advise_on_start(error, folder, shutil.disk_usage(folder).free)
            raise CrackscanError(f"Ray did not start: {error} {advice}") from error
        yield
        ray.shutdown()


@contextmanager
def _joined_ray(config: ClusterConfig, address: str) -> Iterator[None]:
    import ray

    from pipeline.cluster.ray_token import token_of_cluster

    with ExitStack() as stack:
        try:
            stack.enter_context(token_of_cluster(address))
            _init_ray(config, address=address)
        except (OSError, ValueError, RuntimeError) as error:
            raise UsageError(f"Ray cannot be used at {address}: {error}. Is --address right?") from error
        yield
        ray.shutdown()


def _init_ray(config: ClusterConfig, **options: Any) -> None:  # noqa: ANN401 - Ray's
    import ray
    from ray._private import ray_constants

    # Below `uv run`, Ray would pack the current folder for its workers, and start them with `uv run` in it. Ray reads
    # the variable of this name when it is imported, which may be long ago.
    ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = False
    ray.init(log_to_driver=config.verbose, logging_level=logging.INFO if config.verbose else logging.ERROR, **options)


def _places_for_ray() -> list[str]:
    """Return where the files of a private Ray may go, the best place first."""
    own = os.environ.get("RAY_TMPDIR")  # Ray's variable
    places = [*([os.path.abspath(own)] if own else []), system_folder(), *SHORT_PLACES]  # noqa: PTH100 - links are fine
    return [place for place in places if len(os.fsencode(place)) + RAY_SOCKET_BYTES <= SOCKET_BYTES]


def check_open_files(limit: int) -> None:
    """Check that processes may open as many files as Ray needs; with too few, it dies in the middle of a run.

    Raises:
        UsageError: they may not.
    """
    if limit != resource.RLIM_INFINITY and limit < MIN_OPEN_FILES:
        raise UsageError(
            f"Processes may open {count_of(limit, 'file')} here; Ray needs at least {MIN_OPEN_FILES}. Raise the limit "
            "(ulimit -Hn, or LimitNOFILE of systemd)."
        )


def advise_on_start(error: Exception, folder: Path, free_bytes: int) -> str:
    """Say what helps when a private Ray did not start.

    Args:
        error: what Ray raised; for a full disk as for a busy machine, that its processes took too long.
        folder: where it writes.
        free_bytes: space left there.
    """
    if free_bytes < MIN_DISK_BYTES:
        return f"The disk of {folder.parent} is full: free some space, or set TMPDIR to a folder on another disk."
    if "timed out" in str(error):
        return "The machine is too busy: run the same command again."
    return "`crackscan doctor` checks this machine; --verbose shows what Ray says."


@contextmanager
def _idle_env() -> Iterator[None]:
    """Set `IDLE_ENV` while the private Ray starts; no later Ray of this process inherits it."""
    added = IDLE_ENV.keys() - os.environ.keys()
    os.environ.update({name: IDLE_ENV[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _restore_sigterm_handler() -> None:
    """Restore Python's SIGTERM handler: Ray's C++ side replaces it by one that may crash and never ends."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))


@contextmanager
def _redirect_stderr(output_path: str) -> Iterator[None]:
    """Redirect file descriptor 2, which Ray's C++ side writes to, to a file; Python's stderr keeps the terminal."""
    terminal, python_stderr = os.dup(2), sys.stderr
    with open(output_path, "ab") as file:  # noqa: PTH123 - os.devnull is no path of ours
        os.dup2(file.fileno(), 2)
        if _writes_to_terminal(python_stderr):
            sys.stderr = open_remarks(terminal)
        try:
            yield
        finally:
            sys.stderr = python_stderr
            os.dup2(terminal, 2)
            os.close(terminal)


def _writes_to_terminal(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 2
    except (OSError, ValueError):  # a stream in memory, as in tests
        return False


def _set_verbosity(*, verbose: bool) -> None:
    """Show the progress bars and log lines of Ray Data and Ray Train only if `verbose`."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = context.enable_operator_progress_bars = verbose
    if not verbose:  # Ray warns if scorers outnumber blocks of photos: harmless
        warnings.filterwarnings("ignore", message="The minimum number of concurrent actors")
    for name in RAY_LOGGERS:
        logging.getLogger(name).setLevel(logging.INFO if verbose else logging.ERROR)
