"""Ray's job server, spoken to over HTTP: what `submission` asks of a cluster."""

import asyncio
import logging
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import aiohttp
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobSubmissionClient

from pipeline.cluster.submission import Job, Request, State
from pipeline.core.errors import CrackscanError, UsageError

TIMEOUT_S = (10.0, 120.0)
"""To connect, and between two bytes of an answer."""

STOPPING = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": "60"}
"""How Ray asks a job to stop, and how long it waits for its last commit before it kills it.

With SIGTERM, its default, Ray's own handler of it in the job crashed over and over until the job was killed (2.60.0).
Its 3 s are less than a commit to S3 may take.
"""

SOURCE = Path(__file__).parents[2]
PACKED = ("jobs", "pipeline")
"""Folders below it that are sent along, and nothing else: a working folder may hold what is not for others."""

LOG_AGAIN = ", last available logs"
"""Where Ray goes on with the end of the log in what it says of a job that failed."""

CHATTER = ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk", "ray._private.runtime_env.packaging")


class _Client(JobSubmissionClient):
    """Ray's client, with a limit to its patience."""

    def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:  # noqa: ANN401 - Ray's
        return super()._do_request(method, endpoint, timeout=TIMEOUT_S, **options)


class RayJobServer:
    """The job server at an address."""

    def __init__(self, address: str) -> None:
        # Ray lets these two overrule what it is given.
        os.environ.pop("RAY_ADDRESS", None)
        os.environ["RAY_API_SERVER_ADDRESS"] = address
        for name in CHATTER:
            logging.getLogger(name).setLevel(logging.ERROR)
        self.address = address
        with self._told():
            self._client = _Client(address)

    def jobs(self) -> list[Job]:
        """List all jobs, of others too."""
        with self._told():
            return [_job(each) for each in self._client.list_jobs() if each.submission_id]

    def job(self, job_id: str) -> Job:
        """Look one up."""
        with self._told(job_id):
            return _job(self._client.get_job_info(job_id))

    def submit(self, request: Request) -> bool:
        """Begin a job; tell False, and begin nothing, where there is one of that name."""
        environment: dict[str, Any] = {"env_vars": dict(STOPPING)}
        with nullcontext() if request.image else _packed() as folder, self._told():
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
        """Return what a job has printed."""
        with self._told(job_id):
            return str(self._client.get_job_logs(job_id))

    def tail(self, job_id: str) -> Iterator[str]:
        """Yield what a job prints, from its beginning, until it ends or the connection does."""
        lines = self._client.tail_job_logs(job_id)
        # Whether the job has ended, and whether there is one, is asked of `job`.
        with asyncio.Runner() as runner, suppress(RuntimeError, OSError, aiohttp.ClientError):
            while (text := runner.run(_next(lines))) is not None:
                yield text

    def stop(self, job_id: str) -> bool:
        """Ask a job to stop; tell False where it has ended already."""
        with self._told(job_id):
            return bool(self._client.stop_job(job_id))

    @contextmanager
    def _told(self, job_id: str | None = None) -> Iterator[None]:
        """Say in one sentence what a server does not do."""
        try:
            yield
        except AuthenticationError as error:
            raise UsageError(f"{self.address} lets in nobody without its token; set RAY_AUTH_TOKEN to it.") from error
        except RuntimeError as error:
            said = _last_line(error)
            if job_id is not None and "status code 404" in str(error):
                raise UsageError(
                    f"There is no job {job_id} at {self.address}; `crackscan jobs list` names those there are."
                ) from error
            raise CrackscanError(f"The job server at {self.address} could not do it: {said}.") from error
        except (OSError, KeyError, ValueError) as error:  # all that `requests` raises is an OSError
            raise UsageError(
                f"No job server of Ray answers at {self.address} ({type(error).__name__}). Is it the address of the "
                "dashboard, does the cluster run, and does the way there lead through a port-forward or proxy?"
            ) from error


def connect(address: str) -> RayJobServer:
    """Return the job server at an address.

    Raises:
        UsageError: there is none.
    """
    return RayJobServer(address)


async def _next(lines: AsyncIterator[str]) -> str | None:
    return await anext(lines, None)


@contextmanager
def _packed() -> Iterator[str]:
    """Copy the package's own source to a folder that is sent along, while the context lasts."""
    with TemporaryDirectory(prefix="crackscan-") as folder:
        for name in PACKED:
            shutil.copytree(SOURCE / name, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__"))
        yield folder


def _job(found: JobDetails) -> Job:
    about = found.metadata or {}
    return Job(
        str(found.submission_id),
        cast("State", str(found.status).lower()),
        about.get("command", ""),
        about.get("out", ""),
        found.entrypoint,
        None if found.start_time is None else found.start_time / 1000,
        None if found.end_time is None else found.end_time / 1000,
        found.driver_exit_code,
        (found.message or "").partition(LOG_AGAIN)[0],
    )


def _last_line(error: Exception) -> str:
    """Return what was wrong; a server sends its whole traceback."""
    return str(error).strip().rstrip(".").splitlines()[-1]
