"""Work for a Ray cluster, submitted as a job: its name, its command line, and what becomes of it when it comes again.

A job's name comes of what it is to do, so that the same work is never begun twice side by side. How a cluster is spoken
to is `job_server`'s.
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

WITHOUT_EFFECT = {"actors", "batch-tiles", "max-failures", "mlflow", "prices", "verbose"}
"""Options that change how the work is done and nothing of what comes out."""

POLL_S = 1.0
"""Between two looks at a job whose log has ended while it has not."""

TRIES = 5
"""Of finding a free name, where others submit the same at the same time."""

State = Literal["pending", "running", "stopped", "succeeded", "failed"]
ACTIVE = ("pending", "running")


@dataclass(frozen=True)
class Work:
    """What a job is to do: a command without its cluster."""

    command: str
    """Of `score`, `train`, `evaluate`, `compact`."""
    arguments: tuple[str, ...] = ()
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Values by option name, only where they are not the defaults; none for a flag."""
    flags: tuple[str, ...] = ()

    @property
    def out(self) -> str:
        """The place that is written to, for people."""
        return next((self.options[name][0] for name in ("to", "out") if name in self.options), "")

    @property
    def key(self) -> str:
        """The work's name: the same for the same result, in whatever order options and inputs were typed."""
        inputs = sorted(set(self.arguments)) if self.command == "score" else list(self.arguments)
        options = {name: list(values) for name, values in self.options.items() if name not in WITHOUT_EFFECT}
        flags = sorted(set(self.flags) - WITHOUT_EFFECT)
        text = json.dumps([self.command, inputs, options, flags], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]

    @property
    def entrypoint(self) -> str:
        """The command line that the cluster runs."""
        options = [f"--{name}={value}" for name, values in sorted(self.options.items()) for value in values]
        cluster = [] if self.command == "compact" else ["--address=auto"]
        words = [*options, *(f"--{name}" for name in sorted(self.flags)), *cluster, "--", *self.arguments]
        return shlex.join(["python", "-m", f"jobs.{self.command}", *words])

    def texts(self) -> Iterator[tuple[str, str]]:
        """Everything that is sent, each with the name of where it was given."""
        yield from (("an argument", text) for text in self.arguments)
        yield from ((f"--{name}", text) for name, values in self.options.items() for text in values)


class Job(NamedTuple):
    """A job as a cluster knows it."""

    job_id: str
    state: State
    command: str
    """`score` or the like; empty for what was not submitted by us."""
    out: str
    entrypoint: str
    began_at_s: float | None
    """Unix time."""
    ended_at_s: float | None
    exit_code: int | None
    """Of its process; None while it runs, and where it never began."""
    message: str

    @property
    def attempt(self) -> tuple[str, int]:
        """The key of its work and the number of the attempt; ("", 0) for what was not submitted by us."""
        prefix, _, rest = self.job_id.partition("-")
        key, _, number = rest.partition("-")
        is_ours = prefix == PREFIX and len(key) == KEY_DIGITS and number.isdecimal()
        return (key, int(number)) if is_ours else ("", 0)


class Request(NamedTuple):
    """What is sent to a cluster."""

    job_id: str
    entrypoint: str
    metadata: dict[str, str]
    image: str | None
    """Container that holds crackscan; None sends the package's own source along."""


class JobServer(Protocol):
    """A cluster that takes jobs.

    All raise `CrackscanError` where it cannot be reached, and `UsageError` where there is no such job.
    """

    address: str

    def jobs(self) -> list[Job]:
        """List all jobs, of others too."""

    def job(self, job_id: str) -> Job:
        """Look one up."""

    def submit(self, request: Request) -> bool:
        """Begin a job; tell False, and begin nothing, where there is one of that name."""

    def log(self, job_id: str) -> str:
        """Return what a job has printed."""

    def tail(self, job_id: str) -> Iterator[str]:
        """Yield what a job prints, from its beginning, until it ends or the connection does."""

    def stop(self, job_id: str) -> bool:
        """Ask a job to stop; tell False where it has ended already."""


class Submitted(NamedTuple):
    """What became of a submission."""

    job_id: str
    became: Literal["begun", "joined", "done"]
    """A job of its own, one that is at work already, or nothing because one has succeeded."""


def submit(server: JobServer, work: Work, image: str | None = None, *, again: bool = False) -> Submitted:
    """Begin the work, join the job that does it already, or find it done.

    Args:
        server: the cluster.
        work: is free of secrets (`check_no_secrets`).
        image: container that holds crackscan; None sends the package's own source along.
        again: whether to begin another attempt where one has succeeded.
    """
    for _ in range(TRIES):
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


def follow(server: JobServer, job_id: str, show: Callable[[str], None]) -> Job:
    """Show what a job prints until it has ended, each line once, however often the connection breaks."""
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
        time.sleep(POLL_S)


def ours(jobs: Iterable[Job]) -> list[Job]:
    """Return the jobs that were submitted by us, the newest first."""
    found = [job for job in jobs if job.attempt[0]]
    return sorted(found, key=lambda job: float("inf") if job.began_at_s is None else job.began_at_s, reverse=True)


def exit_code(job: Job) -> int:
    """Return what a command that waited for an ended job ends with: the job's own code where it has one of ours."""
    if job.state == "succeeded":
        return 0
    if job.state == "stopped":
        return 4
    return job.exit_code if job.exit_code in {1, 2, 4} else 1


def check_address(address: str) -> None:
    """Check that an address is that of a dashboard.

    Raises:
        UsageError: it is of another kind, or may hold a password.
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
