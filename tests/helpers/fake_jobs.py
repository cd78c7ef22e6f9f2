"""A cluster's job server in memory: it keeps requests, and ends jobs as a test says."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.cluster.submission import Job, Request, State
from pipeline.core.errors import UsageError

LINES = ("Running entrypoint\n", "4 of 4 ", "photos\n", '{"job": "score", "exit": 0}\n')
"""The output of every job, in the pieces in which it arrives."""


@dataclass
class FakeJobs:
    """A job server whose jobs end when a client has followed their log to its end."""

    address: str = "http://head:8265"
    ends: tuple[State, int | None] = ("succeeded", 0)
    """State and exit code with which jobs end."""
    breaks_after: list[int] = field(default_factory=list)
    """After how many pieces the connection breaks, call by call."""
    requests: list[Request] = field(default_factory=list)
    known: dict[str, Job] = field(default_factory=dict)
    rivals: list[Request] = field(default_factory=list)
    """Requests that another client submits just before each of ours."""

    def jobs(self) -> list[Job]:
        """List all jobs, in no order."""
        return list(self.known.values())

    def job(self, job_id: str) -> Job:
        """Return a job."""
        if job_id not in self.known:
            raise UsageError(f"There is no job {job_id} at {self.address}.")
        return self.known[job_id]

    def submit(self, request: Request) -> bool:
        """Keep a request, unless its name is taken."""
        if self.rivals:
            self.put(self.rivals.pop())
        if request.job_id in self.known:
            return False
        self.requests.append(request)
        self.put(request)
        return True

    def put(self, request: Request, state: State = "running", exit_code: int | None = None) -> None:
        """Add a job in some state; the n-th began n seconds into 1970."""
        command, out = request.metadata["command"], request.metadata["out"]
        began_at_s, ended_at_s = float(len(self.known)), None if state in {"pending", "running"} else 3661.0
        self.known[request.job_id] = Job(
            request.job_id, state, command, out, request.entrypoint, began_at_s, ended_at_s, exit_code, f"It {state}."
        )

    def end(self, job_id: str, state: State, exit_code: int | None = None) -> None:
        """End a job."""
        self.known[job_id] = self.known[job_id]._replace(
            state=state, exit_code=exit_code, ended_at_s=3661.0, message=f"It {state}."
        )

    def log(self, job_id: str) -> str:
        """Return the output of a job."""
        self.job(job_id)
        return "".join(LINES)

    def tail(self, job_id: str) -> Iterator[str]:
        """Yield a job's log in pieces, until the connection breaks or the job ends."""
        if self.breaks_after:
            yield from LINES[: self.breaks_after.pop(0)]
        elif job_id in self.known:
            yield from LINES
            self.end(job_id, *self.ends)

    def stop(self, job_id: str) -> bool:
        """End a job that is active; tell whether it was."""
        was_active = self.job(job_id).state in {"pending", "running"}
        if was_active:
            self.end(job_id, "stopped")
        return was_active
