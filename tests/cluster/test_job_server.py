"""Requests to Ray's job server, and its answers in our terms; a recorder stands in for Ray's client."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobType

from pipeline.cluster.job_server import STOP_ENV, RayJobServer
from pipeline.cluster.submission import Request
from pipeline.core.errors import CrackscanError, UsageError

ADDRESS = "http://head:8265"
REQUEST = Request("crackscan-0123456789ab-1", "python -m jobs.score", {"command": "score", "out": "s3://b/out"}, None)


class Recorder:
    """Stands in for Ray's client: records what is submitted, with the files of the working folder, or fails."""

    lines = ("one\n", "two\n")

    def __init__(self) -> None:
        self.fails: Exception | None = None
        self.submitted: list[dict[str, Any]] = []
        self.packed: list[Path] = []

    def connect(self, address: str) -> Any:  # noqa: ANN401 - in the place of Ray's client
        """Return itself as the client for an address."""
        assert os.environ["RAY_API_SERVER_ADDRESS"] == address
        return self

    def submit_job(self, **request: Any) -> None:  # noqa: ANN401 - as Ray does
        """Record a submission."""
        if self.fails:
            raise self.fails
        self.submitted.append(request)
        if folder := request["runtime_env"].get("working_dir"):
            self.packed = [path.relative_to(folder) for path in Path(folder).rglob("*") if path.is_file()]

    def get_job_info(self, job_id: str) -> JobDetails:
        """Return a job that failed."""
        if self.fails:
            raise self.fails
        return JobDetails(
            type=JobType.SUBMISSION, submission_id=job_id, status=JobStatus.FAILED, entrypoint="python",
            start_time=1500, end_time=2500, driver_exit_code=2, metadata={"command": "score", "out": "s3://b/out"},
            message="Job entrypoint command failed with exit code 2, last available logs (truncated):\nthe log",
        )  # fmt: skip

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        """Yield the log; then the connection breaks if `fails` is set."""
        del job_id
        for line in self.lines:
            yield line
        if self.fails:
            raise self.fails


@pytest.fixture
def recorder() -> Recorder:
    """Stands in for Ray's client."""
    return Recorder()


@pytest.fixture
def server(recorder: Recorder) -> RayJobServer:
    """A job server that uses the recorder."""
    return RayJobServer(ADDRESS, make_client=recorder.connect)


@pytest.mark.parametrize("elsewhere", ["http://elsewhere:8265", None])
def test_the_address_counts_whatever_the_environment_says(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, elsewhere: str | None
) -> None:
    """Ray's client prefers two variables to what it is given; later clients of this process find them as they were."""
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
        if elsewhere is not None:
            monkeypatch.setenv(name, elsewhere)
    before = dict(os.environ)
    assert RayJobServer(ADDRESS, make_client=recorder.connect).address == ADDRESS
    assert dict(os.environ) == before


def test_our_source_is_sent_and_nothing_else(server: RayJobServer, recorder: Recorder) -> None:
    """Both packages with the model, no caches, nothing beside them; of the environment only how the job stops."""
    assert server.submit(REQUEST)
    sent, packed = recorder.submitted[0], recorder.packed
    assert {path.parts[0] for path in packed} == {"jobs", "pipeline"}
    assert {Path("jobs/score.py"), Path("pipeline/models/shipped/model.safetensors")} <= set(packed)
    assert not any("__pycache__" in path.parts for path in packed)
    assert sent.pop("runtime_env").keys() == {"env_vars", "working_dir"}
    assert sent == {"entrypoint": REQUEST.entrypoint, "submission_id": REQUEST.job_id, "metadata": REQUEST.metadata}


def test_an_image_is_named_and_nothing_packed(server: RayJobServer, recorder: Recorder) -> None:
    """The environment says how the job stops: by the signal of Ctrl-C, with a minute to commit."""
    server.submit(REQUEST._replace(image="crackscan:1"))
    environment = recorder.submitted[0]["runtime_env"]
    assert environment == {"env_vars": STOP_ENV, "image_uri": "crackscan:1"}
    assert recorder.packed == []


def test_a_name_that_is_taken_is_no_error(server: RayJobServer, recorder: Recorder) -> None:
    """Ray says so in the traceback that its server sends."""
    taken = "Request failed with status code 400: Traceback …\nValueError: Job with submission_id x already exists. …"
    recorder.fails = RuntimeError(taken)
    assert not server.submit(REQUEST)


def test_a_job_is_translated(server: RayJobServer) -> None:
    """Seconds, small letters, and a message without the log."""
    job = server.job(REQUEST.job_id)
    assert job == (REQUEST.job_id, "failed", "score", "s3://b/out", "python", 1.5, 2.5, 2,
                   "Job entrypoint command failed with exit code 2")  # fmt: skip


@pytest.mark.parametrize("error", [
    None, RuntimeError("closed"), ConnectionResetError(), aiohttp.ClientConnectionError("gone"),
])  # fmt: skip
def test_a_log_ends_where_the_connection_does(
    server: RayJobServer, recorder: Recorder, error: Exception | None
) -> None:
    """The lines before that are shown."""
    recorder.fails = error
    assert list(server.tail(REQUEST.job_id)) == [*Recorder.lines]


@pytest.mark.parametrize(("error", "kind", "sentence"), [
    (RuntimeError("Request failed with status code 404: Job does not exist"), UsageError,
     f"There is no job {REQUEST.job_id} at {ADDRESS}; `crackscan jobs list` names those there are."),
    (RuntimeError("Request failed with status code 500: Traceback …\n  line\nOSError: disk full."), CrackscanError,
     f"The job server at {ADDRESS} could not do it: OSError: disk full."),
    (AuthenticationError("Authentication required"), UsageError,
     f"{ADDRESS} lets in nobody without its token, and there is none here."),
    (AuthenticationError("Authentication failed"), UsageError, f"{ADDRESS} does not accept the token from "),
    (requests.ReadTimeout("slow"), UsageError, f"No job server of Ray answers at {ADDRESS} (ReadTimeout)."),
    (ConnectionError("refused"), UsageError, f"No job server of Ray answers at {ADDRESS} (ConnectionError)."),
    (KeyError("ray_version"), UsageError, f"No job server of Ray answers at {ADDRESS} (KeyError)."),
])  # fmt: skip
def test_every_error_is_one_sentence(
    server: RayJobServer, recorder: Recorder, error: Exception, kind: type[CrackscanError], sentence: str
) -> None:
    """Whatever Ray's client raises."""
    recorder.fails = error
    with pytest.raises(CrackscanError) as caught:
        server.job(REQUEST.job_id)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
