"""Submission: the name of a job, what is sent, and when a submission begins, joins, repeats or skips a job."""

import shlex
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli import score, submit, train
from pipeline.cli.submit import CLUSTER_OPTIONS, PLACES, SUBMIT_OPTIONS, work_of
from pipeline.cluster import submission
from pipeline.cluster.submission import WITHOUT_EFFECT, Request, State, Work, check_address, exit_code, follow, own_jobs
from pipeline.core.errors import CrackscanError, UsageError
from tests.helpers.fake_jobs import LINES, FakeJobs

SCORE = submit.command.commands["score"]
OPTIONS = [each for each in SCORE.params if isinstance(each, click.Option)
           and each.name not in {*SUBMIT_OPTIONS, "config", "out"}]  # fmt: skip
WORK = Work("score", ("s3://b/in",), {"out": ("s3://b/out",)})


def work(*words: str, command: str = "score") -> Work:
    """The work that these words submit."""
    made = submit.command.commands[command].make_context("submit", list(words))
    return work_of(command, made)


def request(attempt: int, of: Work = WORK) -> Request:
    """The request of an attempt."""
    about = {"command": of.command, "out": of.out}
    return Request(f"crackscan-{of.key}-{attempt}", of.entrypoint, about, None)


def words_for(option: click.Option) -> list[str]:
    """The words for an option with a value that is not its default."""
    name = max(option.opts, key=len)
    if option.is_flag:
        return [name]
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    value = choices[-1] if choices else "17" if isinstance(option.type, click.IntRange) else "0.75"
    return [name, "275" if option.name == "max_ratio" else str(value)]


def name(option: click.Option) -> str:
    """An option's name without dashes."""
    return max(option.opts, key=len).removeprefix("--")


@given(st.permutations(OPTIONS), st.permutations(["a.zip", "b.tar", "c/"]), st.integers(0, 6))
def test_the_name_does_not_depend_on_the_order(options: list[click.Option], inputs: list[str], count: int) -> None:
    """Any order of options and inputs, a repeated input, and an explicit default make the same job."""
    words = [words_for(each) for each in options[:count]]
    ordered = work("--out", "o", *chain(*sorted(words)), "a.zip", "b.tar", "c/").key
    assert work(*inputs, *chain(*words), "--out", "o", inputs[0]).key == ordered
    assert work("--engine", "auto", "--out", "o", "a").key == work("--out", "o", "a", "--max-ratio", "200").key


@pytest.mark.parametrize("option", OPTIONS, ids=name)
def test_the_name_depends_on_every_option_that_changes_the_dataset(option: click.Option) -> None:
    """All options but those that only change how the work is done."""
    plain, other = work("in", "--out", "o"), work("in", "--out", "o", *words_for(option))
    assert (plain.key == other.key) == (name(option) in WITHOUT_EFFECT)
    assert plain.entrypoint != other.entrypoint


def test_the_name_changes_with_inputs_out_and_command() -> None:
    """Each is another job; so is another order of training data, which may change the model."""
    works = [WORK, replace(WORK, arguments=("s3://b/other",)), replace(WORK, options={"out": ("s3://b/x",)}),
             replace(WORK, command="train"), replace(WORK, command="train", arguments=("a", "b")),
             replace(WORK, command="train", arguments=("b", "a"))]  # fmt: skip
    assert len({each.key for each in works}) == len(works)
    assert all(len(each.key) == 12 and int(each.key, 16) >= 0 for each in works)


def test_the_lists_of_options_are_up_to_date() -> None:
    """Every name in them is an option."""
    commands = [each.params for each in submit.command.commands.values()]
    assert {name(each) for params in commands for each in params if isinstance(each, click.Option)} >= WITHOUT_EFFECT
    assert {each.name for params in commands for each in params} >= PLACES
    assert {each.name for each in score.command.params} >= CLUSTER_OPTIONS


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(st.lists(TEXTS, min_size=1, max_size=3), TEXTS, st.lists(TEXTS, max_size=2), st.floats(0.05, 0.95))
def test_the_command_line_equals_the_words(data: list[str], note: str, licences: list[str], part: float) -> None:
    """The cluster's shell and Click parse the same values, whatever characters are in them."""
    options = [f"--note={note}", f"--val-fraction={part}", *(f"--licence={each}" for each in licences)]
    sent = work(*options, "--out=s3://b/m", "--", *(f"s3://b/{each}x" for each in data), command="train")
    python, m, module, *words = shlex.split(sent.entrypoint)
    assert (python, m, module) == ("python", "-m", "jobs.train")
    found: dict[str, Any] = train.command.make_context("train", words).params
    assert found["data"] == tuple(f"s3://b/{each}x" for each in data)
    assert (found["note"], found["licence"], found["val_fraction"]) == (note, tuple(licences), part)
    assert found["address"] == "auto"


def test_paths_are_absolute_and_urls_are_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job runs in a folder of its own; a slash at the end of a URL makes no difference."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/anna")
    found = work("a.zip", "../b/*.tar", "@list.txt", "@s3://b/l.txt", "s3://b/x/", "~/c", "--out", "o", "--model", "m")
    assert found.arguments == (f"{tmp_path}/a.zip", f"{tmp_path.parent}/b/*.tar", f"@{tmp_path}/list.txt",
                               "@s3://b/l.txt", "s3://b/x", "/home/anna/c")  # fmt: skip
    assert found.options == {"out": (f"{tmp_path}/o",), "model": (f"{tmp_path}/m",)}
    assert work("t", "--out", "m", "--weights", "none", command="train").options["weights"] == ("none",)


def test_compact_needs_no_cluster_and_writes_its_new_dataset() -> None:
    """It runs in the job itself."""
    found = work("s3://b/old", "--to", "s3://b/new", command="compact")
    assert found.entrypoint == "python -m jobs.compact --to=s3://b/new -- s3://b/old"
    assert found.out == "s3://b/new"


@pytest.mark.parametrize(("before", "again", "outcome", "attempt"), [
    ([], False, "begun", 1),
    (["pending"], False, "joined", 1),
    (["running"], False, "joined", 1),
    (["running"], True, "joined", 1),
    (["failed"], False, "begun", 2),
    (["stopped"], False, "begun", 2),
    (["succeeded"], False, "done", 1),
    (["succeeded"], True, "begun", 2),
    (["failed", "stopped", "running"], False, "joined", 3),
    (["failed"] * 11, False, "begun", 12),
    (["succeeded", "failed"], False, "begun", 3),
])  # fmt: skip
def test_a_repeated_submission_joins_or_skips(before: list[State], again: bool, outcome: str, attempt: int) -> None:  # noqa: FBT001
    """It joins an active job, begins another attempt after a failed or stopped one, and skips finished work."""
    server = FakeJobs()
    for number, state in enumerate(before, 1):
        server.put(request(number), state)
    found = submission.submit(server, WORK, again=again)
    assert found == (f"crackscan-{WORK.key}-{attempt}", outcome)
    assert server.requests == ([request(attempt)] if outcome == "begun" else [])


def test_other_jobs_do_not_count() -> None:
    """Neither those of other work nor those of other programs."""
    server = FakeJobs()
    server.put(request(1, replace(WORK, arguments=("other",))))
    for job_id in ("raysubmit_1", f"crackscan-{WORK.key}", f"crackscan-{WORK.key}-x", f"other-{WORK.key}-1"):
        server.put(request(1)._replace(job_id=job_id))
    assert submission.submit(server, WORK).outcome == "begun"
    assert {job.job_id for job in own_jobs(server.jobs())} == {f"crackscan-{WORK.key}-1", *(
        job.job_id for job in server.jobs() if job.attempt[0] not in {"", WORK.key})}  # fmt: skip


def test_the_second_of_two_simultaneous_submissions_joins() -> None:
    """The server refuses the name; crackscan looks the work up again, and finds it."""
    server = FakeJobs(rivals=[request(1)])
    assert submission.submit(server, WORK) == (f"crackscan-{WORK.key}-1", "joined")
    assert server.requests == []


def test_a_server_that_refuses_a_name_but_does_not_list_it_is_an_error() -> None:
    """After a few attempts."""

    class Forgetful(FakeJobs):
        def submit(self, request: Request) -> bool:
            del request
            return False

    with pytest.raises(CrackscanError, match=r"http://head:8265 refuses crackscan-\w+-1 as there already"):
        submission.submit(Forgetful(), WORK)


def test_an_image_is_named_instead_of_the_source() -> None:
    """Nothing else changes."""
    server = FakeJobs()
    submission.submit(server, WORK, "crackscan:1")
    assert server.requests == [request(1)._replace(image="crackscan:1")]


@given(breaks=st.lists(st.integers(0, len(LINES)), max_size=6))
def test_each_line_is_shown_once_however_often_the_connection_breaks(breaks: list[int]) -> None:
    """A new connection sends the log from its beginning."""
    server, shown = FakeJobs(breaks_after=list(breaks)), list[str]()
    server.put(request(1))
    job = follow(server, request(1).job_id, shown.append, poll_s=0)
    assert ("".join(shown), job.state) == ("".join(LINES), "succeeded")


@pytest.mark.parametrize(("state", "code", "expected"), [
    ("succeeded", 0, 0), ("failed", 1, 1), ("failed", 2, 2), ("failed", 4, 4), ("failed", -9, 1), ("failed", None, 1),
    ("stopped", None, 4), ("stopped", -15, 4),
])  # fmt: skip
def test_a_command_that_follows_a_job_exits_as_the_job_did(state: State, code: int | None, expected: int) -> None:
    """The job's exit code if it is one of crackscan's; stopped counts as interrupted, killed as failed."""
    server = FakeJobs()
    server.put(request(1), state, code)
    assert exit_code(server.job(request(1).job_id)) == expected


@pytest.mark.parametrize("address", ["http://head:8265", "https://ray.example.org", "http://[::1]:8265/"])
def test_addresses_of_dashboards_pass(address: str) -> None:
    """HTTP, with or without a port; not one message is raised."""
    refusals = []
    try:
        check_address(address)
    except UsageError as error:
        refusals.append(str(error))
    assert refusals == []


@pytest.mark.parametrize("address", ["head:8265", "auto", "ray://head:10001", "http://", "", "file:///tmp"])
def test_other_addresses_are_refused(address: str) -> None:
    """The message says what was found, and what is expected."""
    with pytest.raises(UsageError, match=r"expected the address of the cluster's dashboard, such as http://HOST:8265"):
        check_address(address)


@pytest.mark.parametrize("address", ["http://anna:hunter22@head:8265", "http://head:8265/?token=hunter22"])
def test_a_secret_in_the_address_is_refused_and_not_repeated(address: str) -> None:
    """Else it would be in every message."""
    with pytest.raises(UsageError) as caught:
        check_address(address)
    assert "hunter22" not in str(caught.value)
