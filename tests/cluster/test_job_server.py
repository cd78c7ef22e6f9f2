"""What Ray's job server is sent, and its answers in our words; a client in the place of Ray's records both."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobType

from pipeline.cluster import job_server
from pipeline.cluster.submission import Request
from pipeline.core.errors import CrackscanError, UsageError

ADDRESS = "http://head:8265"
REQUEST = Request("crackscan-0123456789ab-1", "python -m jobs.score", {"command": "score", "out": "s3://b/out"}, None)


class Recorder:
    """Ray's client: records what is submitted, with the files of the folder that would be packed, or fails."""

    fails: Exception | None = None
    lines = ("one\n", "two\n")

    def __init__(self, address: str) -> None:
        assert os.environ["RAY_API_SERVER_ADDRESS"] == address
        self.submitted: list[dict[str, Any]] = []
        self.packed: list[Path] = []

    def submit_job(self, **request: Any) -> None:  # noqa: ANN401 - as Ray does
        """Record it."""
        if self.fails:
            raise self.fails
        self.submitted.append(request)
        if folder := request["runtime_env"].get("working_dir"):
            self.packed = [path.relative_to(folder) for path in Path(folder).rglob("*") if path.is_file()]

    def get_job_info(self, job_id: str) -> JobDetails:
        """A job that failed."""
        if self.fails:
            raise self.fails
        return JobDetails(
            type=JobType.SUBMISSION, submission_id=job_id, status=JobStatus.FAILED, entrypoint="python",
            start_time=1500, end_time=2500, driver_exit_code=2, metadata={"command": "score", "out": "s3://b/out"},
            message="Job entrypoint command failed with exit code 2, last available logs (truncated):\nthe log",
        )  # fmt: skip

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        """Its log; then the connection breaks, if it does."""
        del job_id
        for line in self.lines:
            yield line
        if self.fails:
            raise self.fails


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[job_server.RayJobServer]:
    """A server with the recorder in it, in an environment that would lead elsewhere."""
    monkeypatch.setenv("RAY_ADDRESS", "http://elsewhere:8265")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://elsewhere:8265")
    monkeypatch.setattr(job_server, "_Client", Recorder)
    yield job_server.connect(ADDRESS)
    assert "RAY_ADDRESS" not in os.environ


def recorder(server: job_server.RayJobServer) -> Recorder:
    """The client of a server."""
    client: Any = server._client
    assert isinstance(client, Recorder)
    return client


def failing(server: job_server.RayJobServer, error: Exception) -> job_server.RayJobServer:
    """The same server, which now fails."""
    recorder(server).fails = error
    return server


def test_our_source_is_sent_and_nothing_else(server: job_server.RayJobServer) -> None:
    """Both packages with the model, no caches, nothing that lies beside them; no environment but Ray's patience."""
    assert server.submit(REQUEST)
    sent, packed = recorder(server).submitted[0], recorder(server).packed
    assert {path.parts[0] for path in packed} == {"jobs", "pipeline"}
    assert {Path("jobs/score.py"), Path("pipeline/models/shipped/model.safetensors")} <= set(packed)
    assert not any("__pycache__" in path.parts for path in packed)
    assert sent.pop("runtime_env").keys() == {"env_vars", "working_dir"}
    assert sent == {"entrypoint": REQUEST.entrypoint, "submission_id": REQUEST.job_id, "metadata": REQUEST.metadata}


def test_an_image_is_named_and_nothing_packed(server: job_server.RayJobServer) -> None:
    """All else in its environment is how it is stopped: by Ctrl-C's signal, with a minute to commit."""
    server.submit(REQUEST._replace(image="crackscan:1"))
    environment = recorder(server).submitted[0]["runtime_env"]
    assert environment == {"env_vars": job_server.STOPPING, "image_uri": "crackscan:1"}
    assert recorder(server).packed == []


def test_a_name_that_is_taken_is_no_error(server: job_server.RayJobServer) -> None:
    """Ray's words for it, in the traceback that its server sends."""
    taken = "Request failed with status code 400: Traceback …\nValueError: Job with submission_id x already exists. …"
    assert not failing(server, RuntimeError(taken)).submit(REQUEST)


def test_a_job_in_our_words(server: job_server.RayJobServer) -> None:
    """Seconds, small letters, and a message without the log."""
    job = server.job(REQUEST.job_id)
    assert job == (REQUEST.job_id, "failed", "score", "s3://b/out", "python", 1.5, 2.5, 2,
                   "Job entrypoint command failed with exit code 2")  # fmt: skip


@pytest.mark.parametrize("error", [
    None, RuntimeError("closed"), ConnectionResetError(), aiohttp.ClientConnectionError("gone"),
])  # fmt: skip
def test_a_log_ends_where_the_connection_does(server: job_server.RayJobServer, error: Exception | None) -> None:
    """What came before it is shown."""
    if error is not None:
        failing(server, error)
    assert list(server.tail(REQUEST.job_id)) == [*Recorder.lines]


@pytest.mark.parametrize(("error", "kind", "sentence"), [
    (RuntimeError("Request failed with status code 404: Job does not exist"), UsageError,
     f"There is no job {REQUEST.job_id} at {ADDRESS}; `crackscan jobs list` names those there are."),
    (RuntimeError("Request failed with status code 500: Traceback …\n  line\nOSError: disk full."), CrackscanError,
     f"The job server at {ADDRESS} could not do it: OSError: disk full."),
    (AuthenticationError("Authentication required"), UsageError,
     f"{ADDRESS} lets in nobody without its token; set RAY_AUTH_TOKEN to it."),
    (requests.ReadTimeout("slow"), UsageError, f"No job server of Ray answers at {ADDRESS} (ReadTimeout)."),
    (ConnectionError("refused"), UsageError, f"No job server of Ray answers at {ADDRESS} (ConnectionError)."),
    (KeyError("ray_version"), UsageError, f"No job server of Ray answers at {ADDRESS} (KeyError)."),
])  # fmt: skip
def test_what_goes_wrong_is_told_in_one_sentence(
    server: job_server.RayJobServer, error: Exception, kind: type[CrackscanError], sentence: str
) -> None:
    """Whatever Ray's client raises."""
    with pytest.raises(CrackscanError) as caught:
        failing(server, error).job(REQUEST.job_id)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
