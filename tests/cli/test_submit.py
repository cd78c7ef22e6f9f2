"""`crackscan submit` and `crackscan jobs` as a user reads them: a server in memory, and one real cluster at the end."""

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import main
from tests import ROOT
from tests.conftest import Crackscan
from tests.helpers.fake_jobs import LINES, FakeJobs
from tests.helpers.ray_head import AUTHENTICATION, TOKEN, head

ADDRESS = "http://head:8265"
SCORE = ("submit", "score", "s3://b/in/", "--out", "s3://b/out", "--address", ADDRESS)
JOB = "crackscan-84e2f61a0bbd-1"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    """The server that the command finds at any address."""
    fake = FakeJobs()
    monkeypatch.setattr("pipeline.cluster.job_server.connect", lambda _address: fake)
    return fake


def told(*words: str) -> Result:
    """What a command shows."""
    return CliRunner(env={"COLUMNS": "200"}).invoke(main, words, prog_name="crackscan")


def job_of(server: FakeJobs) -> str:
    """The one job that was submitted."""
    return server.requests[0].job_id


def test_without_follow_it_returns_at_once_and_says_how_to_look(server: FakeJobs) -> None:
    """The id, and what to type next."""
    shown, job = told(*SCORE), job_of(server)
    assert (shown.exit_code, shown.output.splitlines()) == (0, [
        f"Submitted {job} to {ADDRESS}.",
        "Next:",
        f"  crackscan jobs logs {job} --address {ADDRESS} --follow",
        f"  crackscan jobs status {job} --address {ADDRESS}",
        f"  crackscan jobs stop {job} --address {ADDRESS}",
        "  crackscan status s3://b/out",
    ])  # fmt: skip
    sent = server.requests[0]
    assert sent.entrypoint == "python -m jobs.score --out=s3://b/out --address=auto -- s3://b/in"
    assert (sent.metadata, sent.image) == ({"command": "score", "out": "s3://b/out"}, None)


def test_a_second_submission_says_what_it_found(server: FakeJobs) -> None:
    """Joined, done, begun again: exit code 0 each time."""
    told(*SCORE)
    first = job_of(server)
    said = [told(*SCORE)]
    server.end(first, "succeeded", 0)
    said += [told(*SCORE), told(*SCORE, "--again")]
    assert [shown.exit_code for shown in said] == [0, 0, 0]
    assert [shown.output.splitlines()[0] for shown in said] == [
        f"{first} does this already; nothing was submitted.",
        f"{first} has done this; nothing was submitted. --again begins another attempt.",
        f"Submitted {first[:-1]}2 to {ADDRESS}.",
    ]


def test_follow_shows_the_log_and_ends_as_the_job_does(server: FakeJobs) -> None:
    """The log alone on stdout, so that its last line can be read by a program."""
    shown = told(*SCORE, "--follow")
    job = job_of(server)
    assert (shown.exit_code, shown.stdout) == (0, "".join(LINES))
    assert shown.stderr == f"Submitted {job} to {ADDRESS}.\n{job} succeeded.\n"
    server.ends = ("failed", 2)
    shown = told(*SCORE, "--follow", "--again")
    assert (shown.exit_code, shown.stderr.splitlines()[-1]) == (2, f"{job[:-1]}2 failed. It failed.")


def test_ctrl_c_ends_following_and_not_the_job(server: FakeJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 4, and how the job would be ended."""

    def interrupted(_server: FakeJobs, _job_id: str) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeJobs, "tail", interrupted)
    shown = told(*SCORE, "--follow")
    job = job_of(server)
    goes_on = f"crackscan: Not followed any further; {job} goes on. `crackscan jobs stop {job}` would end it."
    assert (shown.exit_code, shown.stderr.splitlines()[-1]) == (4, goes_on)
    assert server.job(job).state == "running"


def test_a_config_file_is_sent_as_options(server: FakeJobs, tmp_path: Path) -> None:
    """The file stays here; the job is the same as if all had been typed."""
    (tmp_path / "tonight.yaml").write_text("inputs: [s3://b/in/]\nout: s3://b/out\ntile: 128\n")
    told("submit", "score", "--config", str(tmp_path / "tonight.yaml"), "--address", ADDRESS)
    assert told(*SCORE, "--tile", "128").output.startswith(job_of(server))
    assert "tonight.yaml" not in server.requests[0].entrypoint


def test_prices_are_sent_and_make_no_other_work(server: FakeJobs, tmp_path: Path) -> None:
    """As a place that the cluster reads; the scores are the same."""
    told(*SCORE, "--prices", str(tmp_path / "prices.yaml"))
    assert f"--prices={tmp_path}/prices.yaml" in server.requests[0].entrypoint
    assert told(*SCORE).output.startswith(job_of(server))


def test_an_image_is_passed_on(server: FakeJobs) -> None:
    """And is no part of the work."""
    told(*SCORE, "--image", "registry.example.org/crackscan:1")
    assert server.requests[0].image == "registry.example.org/crackscan:1"
    assert "image" not in server.requests[0].entrypoint


def test_a_report_that_nobody_would_see_is_refused(server: FakeJobs) -> None:
    """Without --out and --model it would be written to the job's own folder."""
    shown = told("submit", "evaluate", "s3://b/tiles", "--address", ADDRESS)
    assert shown.exit_code == 2
    assert "The report would go with the job's folder: give --out, a folder or URL that stays." in shown.stderr
    assert server.requests == []


SECRET = "wJalrXUtnFEMI-K7MDENG"  # noqa: S105 - planted
PLANTED = [
    ["score", f"s3://anna:{SECRET}@b/in", "--out", "s3://b/out"],
    ["score", "s3://b/in", "--out", f"https://anna:{SECRET}@host/out"],
    ["score", "s3://b/in", "--out", "s3://b/out", "--model", f"https://host/m?X-Amz-Signature={SECRET}"],
    ["score", "s3://b/in", "--out", f"s3://b/{SECRET}"],
    ["score", "s3://b/in", "--out", "s3://b/out", "--image", f"https://anna:{SECRET}@registry/crackscan"],
    ["train", "s3://b/in", "--out", "s3://b/out", "--note", f"the key is {SECRET}"],
    ["train", "s3://b/in", "--out", "s3://b/out", "--val", "s3://b/v", "--val", f"s3://a:{SECRET}@b/v"],
    ["evaluate", "--masks", f"s3://a:{SECRET}@b/in", "--out", "s3://b/out"],
    ["compact", "s3://b/in", "--to", f"s3://a:{SECRET}@b/out"],
    ["score", "s3://b/in", "--out", "s3://b/out", "--address", f"http://anna:{SECRET}@head:8265"],
]


@pytest.mark.parametrize("words", PLANTED, ids=lambda words: next(f"{words[0]}-{i}" for i, w in enumerate(words)
                                                                  if SECRET in w))  # fmt: skip
def test_a_planted_secret_is_never_sent_nor_shown(
    server: FakeJobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    """In no argument or option, whether typed or in a file: exit code 2, nothing sent, and not a word of it told."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    shown = told("submit", *words)
    assert (shown.exit_code, server.requests) == (2, [])
    assert SECRET not in shown.output
    if words[0] == "score" and "--model" in words:
        (tmp_path / "job.yaml").write_text(f"model: {words[-1]}")
        shown = told("submit", *words[:-2], "--config", str(tmp_path / "job.yaml"))
        assert (shown.exit_code, server.requests, SECRET in shown.output) == (2, [], False)


def test_secrets_of_the_environment_are_not_sent(server: FakeJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a request comes from there."""
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    shown = told(*SCORE)
    assert shown.exit_code == 0
    assert SECRET not in shown.output + repr(server.requests)


def test_jobs_are_listed_newest_first(server: FakeJobs) -> None:
    """A table for people, JSON for programs, and words where there is none."""
    assert told("jobs", "list", "--address", ADDRESS).output.startswith(f"No jobs of crackscan at {ADDRESS}.")
    told(*SCORE)
    told("submit", "compact", "s3://b/out", "--to", "s3://b/[new]", "--address", ADDRESS)
    score, compact = (sent.job_id for sent in server.requests)
    server.end(score, "failed", 1)
    server.put(server.requests[0]._replace(job_id="raysubmit_1"))
    listed = told("jobs", "list", "--address", ADDRESS).output.splitlines()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in listed if "crackscan" in line]
    began = [f"1970-01-01 00:00:0{second} UTC" for second in (1, 0)]
    assert rows[1] == [score, "failed", "score", began[1], "1:01:01", "s3://b/out"]
    assert rows[0][:4] + rows[0][5:] == [compact, "running", "compact", began[0], "s3://b/[new]"]
    found = json.loads(told("jobs", "list", "--json", "--address", ADDRESS).output)
    assert [job["job"] for job in found] == [compact, score]


def test_status_logs_and_stop_of_a_job(server: FakeJobs) -> None:
    """Each by its name."""
    told(*SCORE)
    job, at = job_of(server), ("--address", ADDRESS)
    facts = json.loads(told("jobs", "status", job, "--json", *at).output)
    assert (facts["state"], facts["out"], facts["exit_code"]) == ("running", "s3://b/out", None)
    assert f"│ entrypoint │ {server.requests[0].entrypoint} " in told("jobs", "status", job, *at).output
    assert told("jobs", "logs", job, *at).output == "".join(LINES)
    commits = "it commits what is finished first. Submit the same again to go on."
    assert told("jobs", "stop", job, *at).output == f"Asked {job} to stop; {commits}\n"
    assert told("jobs", "stop", job, *at).output == f"{job} had ended already.\n"
    assert told("jobs", "logs", job, "--follow", *at).exit_code == 0


@pytest.mark.parametrize("words", [["status", JOB], ["logs", JOB], ["logs", JOB, "--follow"], ["stop", JOB]])
@pytest.mark.usefixtures("server")
def test_a_job_that_is_not_there_is_told(words: list[str]) -> None:
    """Wrong usage, in the server's sentence."""
    shown = told("jobs", *words, "--address", ADDRESS)
    assert (shown.exit_code, shown.stderr) == (2, f"crackscan: There is no job {JOB} at {ADDRESS}.\n")


def test_where_nobody_answers_is_told_in_one_sentence(crackscan: Crackscan) -> None:
    """A refused connection, with Ray's own client; and an address that is none."""
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        shown = crackscan("submit", "score", "in", "--out", "out", "--address", address)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr == (
        f"crackscan: No job server of Ray answers at {address} (ConnectionError). Is it the address of the dashboard, "
        "does the cluster run, and does the way there lead through a port-forward or proxy?\n"
    )
    shown = crackscan("jobs", "list", "--address", "head:8265")
    assert (shown.returncode, shown.stderr.count("\n")) == (2, 1)


@pytest.mark.ray
def test_a_real_cluster(photos: Path, tmp_path: Path, crackscan: Crackscan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Submitted over HTTP, followed to its end, found as a whole dataset, and not done twice; nobody else is let in."""
    for name, value in {**AUTHENTICATION, "PYTHONPATH": str(ROOT)}.items():
        monkeypatch.setenv(name, value)
    inputs = tmp_path / "photos"
    inputs.symlink_to(photos)
    with head() as address:
        words = ("submit", "score", "photos", "--out", "scores", "--actors", "1", "--address", address)
        ran = crackscan(*words, "--follow", timeout_s=500)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert json.loads(ran.stdout.splitlines()[-1])["scored"] == 12
        again = crackscan(*words)
        assert "has done this; nothing was submitted." in again.stdout
        (job,) = json.loads(crackscan("jobs", "list", "--json", "--address", address).stdout)
        assert (job["state"], job["exit_code"], job["out"]) == ("succeeded", 0, str(tmp_path / "scores"))
        log = crackscan("jobs", "logs", job["job"], "--address", address).stdout
        assert TOKEN not in ran.stdout + ran.stderr + log + json.dumps(job)
        monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN[::-1])
        stranger = crackscan("jobs", "list", "--address", address)
    told = f"crackscan: {address} lets in nobody without its token; set RAY_AUTH_TOKEN to it.\n"
    assert (stranger.returncode, stranger.stderr) == (2, told)
    assert crackscan("verify", "scores").returncode == 0
