"""Ray's job server, over HTTP: the `JobServer` of `submission`."""

import asyncio
import logging
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, cast

import aiohttp
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobSubmissionClient

from pipeline.cluster.ray_token import no_token, token_for, wrong_token
from pipeline.cluster.submission import Job, Request, State
from pipeline.core.errors import CrackscanError, UsageError
from pipeline.core.scratch import temporary_folder

ADDRESS = "RAY_API_SERVER_ADDRESS"
"""Ray's variable; `RAY_ADDRESS` counts where it is missing."""

TIMEOUT_S = (10.0, 120.0)
"""Limits for connecting, and between two bytes of an answer."""

STOP_ENV = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": "60"}
"""How Ray asks a job to stop, and how long the job may take for its last commit before Ray kills it.

With SIGTERM, the default, Ray's own handler in the job crashed over and over until Ray killed the job (2.60.0). The
default of 3 s is less than a commit to S3 may take.
"""

SOURCE = Path(__file__).parents[2]
SENT_FOLDERS = ("jobs", "pipeline")
"""Folders below `SOURCE` that are sent, and nothing else: a working folder may hold private files."""

LOG_TAIL = ", last available logs"
"""Ray's message about a failed job continues with the end of the log after these words."""

CHATTY_LOGGERS = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)


class TimeLimitedClient(JobSubmissionClient):
    """Ray's client, with time limits."""

    def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:  # noqa: ANN401 - Ray's
        return super()._do_request(method, endpoint, timeout=TIMEOUT_S, **options)


def make_client_with_token(address: str) -> JobSubmissionClient:
    """Make Ray's client; it gives the user's token to a server that asks for one."""
    with token_for(address, lambda: _asks_for_token(address)):
        return TimeLimitedClient(address)


def _asks_for_token(address: str) -> bool:
    answer = requests.get(f"{address.rstrip('/')}/api/authentication_mode", timeout=TIMEOUT_S)
    if answer.ok and "json" in answer.headers.get("Content-Type", ""):
        return bool(answer.json().get("authentication_mode") == "token")
    return answer.status_code in {401, 403}  # something in between asks


@contextmanager
def _in_environment(address: str) -> Iterator[None]:
    """Set an address where Ray's client looks first, before what it is given; later clients look elsewhere again."""
    before = os.environ.get(ADDRESS)
    os.environ[ADDRESS] = address
    try:
        yield
    finally:
        os.environ.pop(ADDRESS)
        if before is not None:
            os.environ[ADDRESS] = before


class RayJobServer:
    """The job server at an address.

    Args:
        address: of the cluster's dashboard.
        make_client: makes Ray's client for an address, with the token of the cluster.

    Raises:
        UsageError: there is no job server.
    """

    def __init__(self, address: str, make_client: Callable[[str], JobSubmissionClient] | None = None) -> None:
        for name in CHATTY_LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        self.address = address
        with _in_environment(address), self._translate_errors():
            self._client = (make_client or make_client_with_token)(address)

    def jobs(self) -> list[Job]:
        """List all jobs, also those of other programs."""
        with self._translate_errors():
            return [_parse_job(job) for job in self._client.list_jobs() if job.submission_id]

    def job(self, job_id: str) -> Job:
        """Look up a job."""
        with self._translate_errors(job_id):
            return _parse_job(self._client.get_job_info(job_id))

    def submit(self, request: Request) -> bool:
        """Begin a job; return False, and begin nothing, if there is a job of that name."""
        environment: dict[str, Any] = {"env_vars": dict(STOP_ENV)}
        with nullcontext() if request.image else _copy_source() as folder, self._translate_errors():
            environment |= {"image_uri": request.image} if request.image else {"working_dir": folder}
            try:
                self._client.submit_job(
                    entrypoint=request.entrypoint,
                    submission_id=request.job_id,
                    metadata=request.metadata,
                    runtime_env=environment,
                )
            except RuntimeError as error:
                if "already exists" in str(error):
                    return False
                raise
        return True

    def log(self, job_id: str) -> str:
        """Return the output of a job so far."""
        with self._translate_errors(job_id):
            return str(self._client.get_job_logs(job_id))

    def tail(self, job_id: str) -> Iterator[str]:
        """Yield a job's output from its beginning, until the job or the connection ends."""
        lines = self._client.tail_job_logs(job_id)
        # The caller asks `job` whether the job exists and has ended.
        with asyncio.Runner() as runner, suppress(RuntimeError, OSError, aiohttp.ClientError):
            while (text := runner.run(_next_line(lines))) is not None:
                yield text

    def stop(self, job_id: str) -> bool:
        """Ask a job to stop; return False if it has ended already."""
        with self._translate_errors(job_id):
            return bool(self._client.stop_job(job_id))

    @contextmanager
    def _translate_errors(self, job_id: str | None = None) -> Iterator[None]:
        """Translate the errors of Ray's client, each into one sentence."""
        try:
            yield
        except AuthenticationError as error:
            is_wrong = str(error).startswith("Authentication failed")
            raise (wrong_token if is_wrong else no_token)(self.address) from error
        except RuntimeError as error:
            if job_id is not None and "status code 404" in str(error):
                raise UsageError(
                    f"There is no job {job_id} at {self.address}; `crackscan jobs list` names those there are."
                ) from error
            raise CrackscanError(f"The job server at {self.address} could not do it: {_last_line(error)}.") from error
        except (OSError, KeyError, ValueError) as error:  # all that `requests` raises is an OSError
            raise UsageError(
                f"No job server of Ray answers at {self.address} ({type(error).__name__}). Is it the address of the "
                "dashboard, does the cluster run, and does the way there lead through a port-forward or proxy?"
            ) from error


def connect(address: str) -> RayJobServer:
    """Connect to the job server at an address.

    Raises:
        UsageError: there is none.
    """
    return RayJobServer(address)


async def _next_line(lines: AsyncIterator[str]) -> str | None:
    return await anext(lines, None)


@contextmanager
def _copy_source() -> Iterator[str]:
    """Copy the package's own source to a temporary folder, which exists while the context lasts."""
    with temporary_folder() as made:
        folder = made / "source"
        for name in SENT_FOLDERS:
            shutil.copytree(SOURCE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        yield str(folder)


def _parse_job(found: JobDetails) -> Job:
    metadata = found.metadata or {}
    return Job(
        str(found.submission_id),
        cast("State", str(found.status).lower()),
        metadata.get("command", ""),
        metadata.get("out", ""),
        found.entrypoint,
        None if found.start_time is None else found.start_time / 1000,
        None if found.end_time is None else found.end_time / 1000,
        found.driver_exit_code,
        (found.message or "").partition(LOG_TAIL)[0],
    )


def _last_line(error: Exception) -> str:
    """Return the last line of the traceback that a server sends: the error."""
    return str(error).strip().rstrip(".").splitlines()[-1]
