"""Work for a Ray cluster, submitted as a job: its name, its command line, and how a repeated submission joins it.

A job's name is a hash of its work, so that the same work never runs twice at the same time. `job_server` talks to the
cluster.
"""

import hashlib
import json
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from pipeline.core.errors import CrackscanError, UsageError

PREFIX = "crackscan"
KEY_DIGITS = 12

WITHOUT_EFFECT = {"actors", "batch-tiles", "fail-on", "max-failures", "mlflow", "prices", "verbose"}
"""Options that change how the work is done, but not its result."""

POLL_S = 1.0
"""Time between two requests for the state of a job whose log has ended while the job has not."""

ATTEMPTS = 5
"""Attempts at finding a free name, if others submit the same work at the same time."""

State = Literal["pending", "running", "stopped", "succeeded", "failed"]
ACTIVE = ("pending", "running")


@dataclass(frozen=True)
class Work:
    """The work of a job: a command without its cluster."""

    command: str
    """`score`, `train`, `evaluate` or `compact`."""
    arguments: tuple[str, ...] = ()
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Values by option name, without the defaults and without flags."""
    flags: tuple[str, ...] = ()

    @property
    def out(self) -> str:
        """The place that the job writes to, for people."""
        return next((self.options[name][0] for name in ("to", "out") if name in self.options), "")

    @property
    def key(self) -> str:
        """The work's name: the same for the same result, in any order of options and inputs."""
        inputs = sorted(set(self.arguments)) if self.command == "score" else list(self.arguments)
        options = {name: list(values) for name, values in self.options.items() if name not in WITHOUT_EFFECT}
        flags = sorted(set(self.flags) - WITHOUT_EFFECT)
        text = json.dumps([self.command, inputs, options, flags], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]

    @property
    def entrypoint(self) -> str:
        """The command line for the cluster."""
        options = [f"--{name}={value}" for name, values in sorted(self.options.items()) for value in values]
        cluster = [] if self.command == "compact" else ["--address=auto"]
        words = [*options, *(f"--{name}" for name in sorted(self.flags)), *cluster, "--", *self.arguments]
        return shlex.join(["python", "-m", f"jobs.{self.command}", *words])

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield all texts that are sent, each with the argument or option that it comes from."""
        yield from (("an argument", text) for text in self.arguments)
        yield from ((f"--{name}", text) for name, values in self.options.items() for text in values)


class Job(NamedTuple):
    """A job of a cluster."""

    job_id: str
    state: State
    command: str
    """`score` or the like; empty for jobs of other programs."""
    out: str
    entrypoint: str
    began_at_s: float | None
    """Unix time."""
    ended_at_s: float | None
    exit_code: int | None
    """Exit code of its process; None while it runs, and if it never began."""
    message: str

    @property
    def attempt(self) -> tuple[str, int]:
        """The key of its work and the number of the attempt; ("", 0) for jobs of other programs."""
        prefix, _, rest = self.job_id.partition("-")
        key, _, number = rest.partition("-")
        is_ours = prefix == PREFIX and len(key) == KEY_DIGITS and number.isdecimal()
        return (key, int(number)) if is_ours else ("", 0)


class Request(NamedTuple):
    """A job for a cluster."""

    job_id: str
    entrypoint: str
    metadata: dict[str, str]
    image: str | None
    """Container image with crackscan; None sends the package's own source."""


class JobServer(Protocol):
    """A cluster that runs jobs.

    All methods raise `CrackscanError` if they cannot reach it, and `UsageError` if there is no such job.
    """

    address: str

    def jobs(self) -> list[Job]:
        """List all jobs, also those of other programs."""

    def job(self, job_id: str) -> Job:
        """Look up a job."""

    def submit(self, request: Request) -> bool:
        """Begin a job; return False, and begin nothing, if there is a job of that name."""

    def log(self, job_id: str) -> str:
        """Return the output of a job so far."""

    def tail(self, job_id: str) -> Iterator[str]:
        """Yield a job's output from its beginning, until the job or the connection ends."""

    def stop(self, job_id: str) -> bool:
        """Ask a job to stop; return False if it has ended already."""


class Submitted(NamedTuple):
    """The outcome of a submission."""

    job_id: str
    outcome: Literal["begun", "joined", "done"]
    """A new job, a job that is active already, or no job because one has succeeded."""


def submit(server: JobServer, work: Work, image: str | None = None, *, again: bool = False) -> Submitted:
    """Begin a job, join the active job of the same work, or find the work done.

    Args:
        server: the cluster.
        work: the work, free of secrets (`check_no_secrets`).
        image: container image with crackscan; None sends the package's own source.
        again: begin another attempt even if one has succeeded.
    """
    for _ in range(ATTEMPTS):
        before = [job for job in server.jobs() if job.attempt[0] == work.key]
        last = max(before, key=lambda job: job.attempt[1], default=None)
        if last is not None and last.state in ACTIVE:
            return Submitted(last.job_id, "joined")
        if last is not None and last.state == "succeeded" and not again:
            return Submitted(last.job_id, "done")
        job_id = f"{PREFIX}-{work.key}-{1 if last is None else last.attempt[1] + 1}"
        if server.submit(Request(job_id, work.entrypoint, {"command": work.command, "out": work.out}, image)):
            return Submitted(job_id, "begun")
    raise CrackscanError(f"{server.address} refuses {job_id} as there already, and does not list it. Try again.")


def follow(server: JobServer, job_id: str, show: Callable[[str], None], poll_s: float = POLL_S) -> Job:
    """Show a job's output until the job has ended, each line once, however often the connection breaks."""
    shown_chars = 0
    while True:
        seen_chars = 0
        for text in server.tail(job_id):
            new = text[max(0, shown_chars - seen_chars) :]
            seen_chars += len(text)
            shown_chars = max(shown_chars, seen_chars)
            if new:
                show(new)
        job = server.job(job_id)
        if job.state not in ACTIVE:
            return job
        time.sleep(poll_s)


def own_jobs(jobs: Iterable[Job]) -> list[Job]:
    """Return crackscan's own jobs, the newest first."""
    found = [job for job in jobs if job.attempt[0]]
    return sorted(found, key=lambda job: float("inf") if job.began_at_s is None else job.began_at_s, reverse=True)


def exit_code(job: Job) -> int:
    """Return the exit code for a command that followed a job: the job's own if it is one of crackscan's."""
    if job.state == "succeeded":
        return 0
    if job.state == "stopped":
        return 4
    return job.exit_code if job.exit_code in {1, 2, 4} else 1


def check_address(address: str) -> None:
    """Check that an address is that of a dashboard.

    Raises:
        UsageError: the address is of another kind, or may hold a password.
    """
    scheme, found, rest = address.partition("://")
    if "@" in rest or "?" in rest:
        raise UsageError(
            "--address holds a user, a password or a query, which would be printed and logged; expected "
            "http://HOST:8265. Ray takes a token from RAY_AUTH_TOKEN."
        )
    if not found or scheme not in {"http", "https"} or not rest.strip("/"):
        raise UsageError(
            f"--address is {address}; expected the address of the cluster's dashboard, such as http://HOST:8265."
        )
