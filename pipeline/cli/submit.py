"""`crackscan submit`: run the commands that take long as jobs of a Ray cluster."""

import os
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import compact, evaluate, score, train
from pipeline.cli.messages import echo
from pipeline.cli.options import dashboard_option
from pipeline.core.errors import InterruptedRunError

if TYPE_CHECKING:
    from pipeline.cluster.submission import JobServer, Submitted, Work

CLUSTER_OPTIONS = {"address", "cpus"}
"""Options that a job does not have: it works on the cluster that runs it."""

PLACES = {
    *("inputs", "data", "out", "to", "model", "val", "masks", "storage", "calibrate_on", "weights", "prices_file"),
    "scale_table",
}
"""Parameters that are paths or URLs; a job runs in a folder of its own, so it gets absolute paths."""

NO_PLACES = {"weights": {"none", "shipped"}, "model": {"shipped"}}
"""Values of parameters in `PLACES` that are no paths."""

SUBMIT_OPTIONS = ("address", "image", "again", "is_followed")
"""Parameters of `submit`, not of the job."""


@click.group("submit")
def command() -> None:
    """Run score, train, evaluate or compact as a job of a Ray cluster.

    The options are those of the command. The job takes the source of this program along, or finds it in the container
    --image. The job's name depends on what it does. The same submission joins a job that waits or runs, continues one
    that failed or was stopped as the next attempt, and does nothing after a success (but see --again).

    The job gets no storage credentials: the cluster's machines have their own. A path must mean the same file there as
    here, as on a shared disk.

    \b
    Examples:
      crackscan submit score s3://inspections/tonight/ --out s3://results/tonight --address http://head:8265
      crackscan submit score --config tonight.yaml --address http://head:8265 --follow
      crackscan submit train s3://tiles/ --out s3://models/new --image registry.example.org/crackscan:1
      crackscan jobs list --address http://head:8265
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"


_SUBMISSION = (
    dashboard_option,
    click.option("--image", metavar="IMAGE",
                 help="Container with crackscan in it, for the job and its workers.  [default: send this source]"),
    click.option("--again", is_flag=True, help="Begin another attempt after one has succeeded."),
    click.option("--follow", "is_followed", is_flag=True,
                 help="Show the job's log until it ends, and end with its exit code."),
)  # fmt: skip


def _make_submitter(of: click.Command) -> click.Command:
    """Make the command that submits a command."""
    first = str(of.help).splitlines()[0]
    made = click.Command(
        of.name,
        params=[parameter for parameter in of.params if parameter.name not in CLUSTER_OPTIONS],
        callback=partial(_submit, str(of.name)),
        help=f"{first}\n\nAs a job of a Ray cluster; `crackscan {of.name} --help` says more.",
    )
    for option in _SUBMISSION:
        option(made)
    return made


def _submit(name: str, address: str, image: str | None, again: bool, is_followed: bool, **_given: Any) -> None:  # noqa: ANN401
    """Submit a command with its options."""
    from pipeline.cluster.submission import submit
    from pipeline.core.secrets import check_no_secrets, secrets_of

    work = work_of(name, click.get_current_context())
    check_no_secrets([*work.texts(), ("--image", image or "")], secrets_of(os.environ.items()))
    server = connect_to(address)
    submitted = submit(server, work, image, again=again)
    echo(_describe(submitted, address), err=is_followed)
    if is_followed and submitted.outcome != "done":
        follow_to_end(server, submitted.job_id)
    elif submitted.outcome != "done":
        echo(*_format_next(submitted.job_id, address, work.out))


def connect_to(address: str) -> "JobServer":
    """Connect to the job server at an address; this loads Ray."""
    from pipeline.cluster.submission import check_address

    check_address(address)
    from pipeline.cluster import job_server

    return job_server.connect(address)


def work_of(name: str, ctx: click.Context) -> "Work":
    """Return the work of a call: its arguments, options and flags other than defaults."""
    from pipeline.cluster.submission import Work

    arguments, options, flags = list[str](), dict[str, tuple[str, ...]](), list[str]()
    for parameter in ctx.command.params:
        value = ctx.params.get(str(parameter.name))
        if parameter.name in SUBMIT_OPTIONS or value is None or value in ((), parameter.default):
            continue
        texts = _texts(parameter, value)
        if isinstance(parameter, click.Argument):
            arguments += texts
        elif isinstance(parameter, click.Option) and parameter.is_flag:
            flags += _names(parameter.opts if value else parameter.secondary_opts)
        else:
            options |= dict.fromkeys(_names(parameter.opts), texts)
    _check_report_has_a_place(name, options)
    return Work(name, tuple(arguments), options, tuple(flags))


def _names(spellings: Sequence[str]) -> list[str]:
    """Return the long name of an option without its dashes; none of a flag that has no name for "no"."""
    return [max(spellings, key=len).removeprefix("--")] if spellings else []


def _texts(parameter: click.Parameter, value: Any) -> tuple[str, ...]:  # noqa: ANN401 - Click's
    """Return the values of a parameter as texts, with absolute paths, and URLs without a slash at the end."""
    values = value if isinstance(value, (tuple, list)) else (value,)
    if parameter.name not in PLACES:
        return tuple(map(str, values))
    return tuple(each if each in NO_PLACES.get(str(parameter.name), ()) else _absolute(each) for each in values)


def _absolute(text: str) -> str:
    sign, path = ("@", text[1:]) if text.startswith("@") else ("", text)
    if "://" in path:
        return sign + path.rstrip("/")
    return sign + os.path.abspath(Path(path).expanduser())  # noqa: PTH100 - the cluster resolves links


def _check_report_has_a_place(name: str, options: dict[str, tuple[str, ...]]) -> None:
    if name == "evaluate" and "out" not in options and options.get("model", ("shipped",)) == ("shipped",):
        raise click.UsageError("The report would go with the job's folder: give --out, a folder or URL that stays.")


def _describe(submitted: "Submitted", address: str) -> str:
    words = {
        "begun": f"Submitted {submitted.job_id} to {address}.",
        "joined": f"{submitted.job_id} does this already; nothing was submitted.",
        "done": f"{submitted.job_id} has done this; nothing was submitted. --again begins another attempt.",
    }
    return words[submitted.outcome]


def _format_next(job_id: str, address: str, out: str) -> list[str]:
    at = f"{job_id} --address {shlex.quote(address)}"
    lines = [
        "Next:",
        f"  crackscan jobs logs {at} --follow",
        f"  crackscan jobs status {at}",
        f"  crackscan jobs stop {at}",
    ]
    return [*lines, *([f"  crackscan status {shlex.quote(out)}"] if out else [])]


def follow_to_end(server: "JobServer", job_id: str) -> None:
    """Print the log of a job until it ends, and exit with its code."""
    from pipeline.cluster.submission import exit_code, follow

    try:
        job = follow(server, job_id, partial(click.echo, nl=False))
    except KeyboardInterrupt as error:
        raise InterruptedRunError(
            f"Stopped following; {job_id} continues. `crackscan jobs stop {job_id}` ends it."
        ) from error
    echo(f"{job_id} {job.state}.{'' if job.state == 'succeeded' else f' {job.message}'}", err=True)
    sys.exit(exit_code(job))


for _each in (score.command, train.command, evaluate.command, compact.command):
    command.add_command(_make_submitter(_each))
