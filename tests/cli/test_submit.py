"""The output of `crackscan submit` and `crackscan jobs`, with a server in memory; the last test has a real cluster."""

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import main
from tests import ROOT
from tests.conftest import Crackscan
from tests.helpers.fake_jobs import LINES, FakeJobs
from tests.helpers.ray_head import AUTHENTICATION, TOKEN, run_head

ADDRESS = "http://head:8265"
SCORE = ("submit", "score", "s3://b/in/", "--out", "s3://b/out", "--address", ADDRESS)
JOB = "crackscan-84e2f61a0bbd-1"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    """The server that the command finds at any address."""
    fake = FakeJobs()
    monkeypatch.setattr("pipeline.cluster.job_server.connect", lambda _address: fake)
    return fake


def run(*words: str) -> Result:
    """The output of a command."""
    return CliRunner(env={"COLUMNS": "200"}).invoke(main, words, prog_name="crackscan")


def job_of(server: FakeJobs) -> str:
    """The one job that was submitted."""
    return server.requests[0].job_id


def test_without_follow_it_returns_at_once(server: FakeJobs) -> None:
    """It prints the id and the next commands."""
    shown, job = run(*SCORE), job_of(server)
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


def test_names_that_are_no_paths_stay(server: FakeJobs) -> None:
    """`shipped` means the model of the package there, too, and `none` random weights."""
    run(*SCORE, "--model", "shipped")
    run("submit", "train", "/tiles", "--out", "s3://b/model", "--weights", "none", "--address", ADDRESS)
    assert "--model=shipped" in server.requests[0].entrypoint
    assert "--weights=none" in server.requests[1].entrypoint


def test_a_second_submission_says_what_it_found(server: FakeJobs) -> None:
    """A running job, a finished one, another attempt: exit code 0 each time."""
    run(*SCORE)
    first = job_of(server)
    outputs = [run(*SCORE)]
    server.end(first, "succeeded", 0)
    outputs += [run(*SCORE), run(*SCORE, "--again")]
    assert [shown.exit_code for shown in outputs] == [0, 0, 0]
    assert [shown.output.splitlines()[0] for shown in outputs] == [
        f"{first} does this already; nothing was submitted.",
        f"{first} has done this; nothing was submitted. --again begins another attempt.",
        f"Submitted {first[:-1]}2 to {ADDRESS}.",
    ]


def test_follow_shows_the_log_and_ends_as_the_job_does(server: FakeJobs) -> None:
    """Stdout has only the log, so that a program can read its last line."""
    shown = run(*SCORE, "--follow")
    job = job_of(server)
    assert (shown.exit_code, shown.stdout) == (0, "".join(LINES))
    assert shown.stderr == f"Submitted {job} to {ADDRESS}.\n{job} succeeded.\n"
    server.ends = ("failed", 2)
    shown = run(*SCORE, "--follow", "--again")
    assert (shown.exit_code, shown.stderr.splitlines()[-1]) == (2, f"{job[:-1]}2 failed. It failed.")


def test_ctrl_c_ends_following_and_not_the_job(server: FakeJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 4, and how to stop the job."""

    def interrupted(_server: FakeJobs, _job_id: str) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeJobs, "tail", interrupted)
    shown = run(*SCORE, "--follow")
    job = job_of(server)
    goes_on = f"crackscan: Stopped following; {job} continues. `crackscan jobs stop {job}` ends it."
    assert (shown.exit_code, shown.stderr.splitlines()[-1]) == (4, goes_on)
    assert server.job(job).state == "running"


def test_a_config_file_is_sent_as_options(server: FakeJobs, tmp_path: Path) -> None:
    """The file stays here; the job is the same as with these options."""
    (tmp_path / "tonight.yaml").write_text("inputs: [s3://b/in/]\nout: s3://b/out\ntile: 128\n")
    run("submit", "score", "--config", str(tmp_path / "tonight.yaml"), "--address", ADDRESS)
    assert run(*SCORE, "--tile", "128").output.startswith(job_of(server))
    assert "tonight.yaml" not in server.requests[0].entrypoint


def test_prices_are_sent_and_make_no_other_work(server: FakeJobs, tmp_path: Path) -> None:
    """The cluster reads the file of prices; the work is the same, as the scores are."""
    run(*SCORE, "--prices", str(tmp_path / "prices.yaml"))
    assert f"--prices={tmp_path}/prices.yaml" in server.requests[0].entrypoint
    assert run(*SCORE).output.startswith(job_of(server))


def test_scales_and_cracks_are_sent(server: FakeJobs, tmp_path: Path) -> None:
    """The table by its absolute path, from the command line or a file; a flag in the sense in which it was given."""
    table, config = tmp_path / "scales.csv", tmp_path / "tonight.json"
    config.write_text(json.dumps({"inputs": "s3://b/in", "out": "s3://b/out", "cracks": False, "scale": str(table)}))
    run(*SCORE, "--cracks", "--mm-per-px", "0.4", "--scale", f"{tmp_path}/x/../scales.csv", "--scale-from", "coarse")
    run("submit", "score", "--config", str(config), "--address", ADDRESS)
    begin, end = f"--out=s3://b/out --scale={table}", "--address=auto -- s3://b/in"
    assert [sent.entrypoint for sent in server.requests] == [
        f"python -m jobs.score --mm-per-px=0.4 {begin} --scale-from=coarse --cracks {end}",
        f"python -m jobs.score {begin} --no-cracks {end}",
    ]


def test_every_name_of_a_class_is_passed_on(server: FakeJobs) -> None:
    """Options that may be given again are, and those at their defaults are no part of the work."""
    words = ("submit", "train", "s3://b/tiles", "--out", "s3://b/m", "--address", ADDRESS)
    run(*words, "--positive", "CD", "--positive", "CP", "--negative", "Negative")
    assert "--positive=CD --positive=CP" in server.requests[0].entrypoint
    assert "--negative" not in server.requests[0].entrypoint


def test_an_image_is_passed_on(server: FakeJobs) -> None:
    """It is no part of the work."""
    run(*SCORE, "--image", "registry.example.org/crackscan:1")
    assert server.requests[0].image == "registry.example.org/crackscan:1"
    assert "image" not in server.requests[0].entrypoint


def test_a_report_in_the_jobs_folder_is_refused(server: FakeJobs) -> None:
    """Without --out and --model the job would write it to its own folder, where nobody sees it."""
    shown = run("submit", "evaluate", "s3://b/tiles", "--address", ADDRESS)
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
    """In no argument or option, on the command line or in a file: exit code 2, no request, and no output with it."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    shown = run("submit", *words)
    assert (shown.exit_code, server.requests) == (2, [])
    assert SECRET not in shown.output
    if words[0] == "score" and "--model" in words:
        (tmp_path / "job.yaml").write_text(f"model: {words[-1]}")
        shown = run("submit", *words[:-2], "--config", str(tmp_path / "job.yaml"))
        assert (shown.exit_code, server.requests, SECRET in shown.output) == (2, [], False)


def test_secrets_of_the_environment_are_not_sent(server: FakeJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """No request has anything from there."""
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    shown = run(*SCORE)
    assert shown.exit_code == 0
    assert SECRET not in shown.output + repr(server.requests)


def test_jobs_are_listed_newest_first(server: FakeJobs) -> None:
    """A table for people, JSON for programs, and a sentence without jobs."""
    assert run("jobs", "list", "--address", ADDRESS).output.startswith(f"No jobs of crackscan at {ADDRESS}.")
    run(*SCORE)
    run("submit", "compact", "s3://b/out", "--to", "s3://b/[new]", "--address", ADDRESS)
    score, compact = (sent.job_id for sent in server.requests)
    server.end(score, "failed", 1)
    server.put(server.requests[0]._replace(job_id="raysubmit_1"))
    listed = run("jobs", "list", "--address", ADDRESS).output.splitlines()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in listed if "crackscan" in line]
    began = [f"1970-01-01 00:00:0{second} UTC" for second in (1, 0)]
    assert rows[1] == [score, "failed", "score", began[1], "1:01:01", "s3://b/out"]
    assert rows[0][:4] + rows[0][5:] == [compact, "running", "compact", began[0], "s3://b/[new]"]
    found = json.loads(run("jobs", "list", "--json", "--address", ADDRESS).output)
    assert [job["job"] for job in found] == [compact, score]


def test_status_logs_and_stop_of_a_job(server: FakeJobs) -> None:
    """Each by the job's name."""
    run(*SCORE)
    job, at = job_of(server), ("--address", ADDRESS)
    facts = json.loads(run("jobs", "status", job, "--json", *at).output)
    assert (facts["state"], facts["out"], facts["exit_code"]) == ("running", "s3://b/out", None)
    assert f"│ entrypoint │ {server.requests[0].entrypoint} " in run("jobs", "status", job, *at).output
    assert run("jobs", "logs", job, *at).output == "".join(LINES)
    commits = "it commits what is finished first. Submit the same again to go on."
    assert run("jobs", "stop", job, *at).output == f"Asked {job} to stop; {commits}\n"
    assert run("jobs", "stop", job, *at).output == f"{job} had ended already.\n"
    assert run("jobs", "logs", job, "--follow", *at).exit_code == 0


@pytest.mark.parametrize("words", [["status", JOB], ["logs", JOB], ["logs", JOB, "--follow"], ["stop", JOB]])
@pytest.mark.usefixtures("server")
def test_a_missing_job_is_wrong_usage(words: list[str]) -> None:
    """With the server's sentence."""
    shown = run("jobs", *words, "--address", ADDRESS)
    assert (shown.exit_code, shown.stderr) == (2, f"crackscan: There is no job {JOB} at {ADDRESS}.\n")


def test_an_address_without_a_server_is_one_sentence(crackscan: Crackscan) -> None:
    """For a refused connection with Ray's own client, and for a malformed address."""
    with socket.socket() as taken:  # bound, but nobody listens
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
    """A job over HTTP, followed to its end, makes a whole dataset once; a stranger gets no access."""
    for name, value in {**AUTHENTICATION, "PYTHONPATH": str(ROOT)}.items():
        monkeypatch.setenv(name, value)
    inputs = tmp_path / "photos"
    inputs.symlink_to(photos)
    with run_head() as (address, _):
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
    refused = (
        f"crackscan: {address} does not accept the token from RAY_AUTH_TOKEN. Set RAY_AUTH_TOKEN to what "
        "`ray get-auth-token` prints on its head.\n"
    )
    assert (stranger.returncode, stranger.stderr) == (2, refused)
    assert crackscan("verify", "scores").returncode == 0
