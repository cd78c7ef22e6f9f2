"""`crackscan submit`: the commands that take long, as jobs of a Ray cluster."""

import os
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import compact, evaluate, score, train
from pipeline.cli.options import dashboard_option
from pipeline.core.errors import InterruptedRunError

if TYPE_CHECKING:
    from pipeline.cluster.submission import JobServer, Submitted, Work

OF_ITS_CLUSTER = {"address", "cpus"}
"""Options that a job does not have: it works on the cluster that runs it."""

PLACES = {"inputs", "data", "out", "to", "model", "val", "masks", "storage", "calibrate_on", "weights", "prices_file"}
"""Parameters that are paths or URLs; a job runs in a folder of its own, so paths are made absolute."""

NO_PLACE = "none"
"""A word that `--weights` takes."""

SUBMITTED_ONLY = ("address", "image", "again", "is_followed")


@click.group("submit")
def command() -> None:
    """Run score, train, evaluate or compact as a job of a Ray cluster.

    The options are the command's own. The job takes this program's source along, or finds it in the container --image.
    Its name comes of what it does: submitted again while it waits or runs it is joined, after it failed or was stopped
    it goes on as the next attempt, and after it succeeded there is nothing to do (but see --again).

    Storage credentials are never sent: the cluster's machines have their own. A path means the same file there as here,
    as on a shared disk.

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
                 help="Container with crackscan in it, for the job and its workers.  [default: this source is sent]"),
    click.option("--again", is_flag=True, help="Begin another attempt where one has succeeded."),
    click.option("--follow", "is_followed", is_flag=True,
                 help="Show the job's log until it ends, and end with its exit code."),
)  # fmt: skip


def _subcommand(of: click.Command) -> click.Command:
    """Return the command that submits a command."""
    first = str(of.help).splitlines()[0]
    made = click.Command(
        of.name,
        params=[parameter for parameter in of.params if parameter.name not in OF_ITS_CLUSTER],
        callback=partial(_submit, str(of.name)),
        help=f"{first}\n\nAs a job of a Ray cluster; `crackscan {of.name} --help` says more.",
    )
    for option in _SUBMISSION:
        option(made)
    return made


def _submit(name: str, address: str, image: str | None, again: bool, is_followed: bool, **_given: Any) -> None:  # noqa: ANN401
    """Submit what was typed."""
    from pipeline.cluster.submission import submit
    from pipeline.core.secrets import check_no_secrets, secrets_of

    work = work_of(name, click.get_current_context())
    check_no_secrets([*work.texts(), ("--image", image or "")], secrets_of(os.environ.items()))
    server = server_at(address)
    submitted = submit(server, work, image, again=again)
    click.echo(_told(submitted, address), err=is_followed)
    if is_followed and submitted.became != "done":
        end_with(server, submitted.job_id)
    elif submitted.became != "done":
        click.echo(_next(submitted.job_id, address, work.out))


def server_at(address: str) -> "JobServer":
    """Return the job server at an address, which loads Ray."""
    from pipeline.cluster.submission import check_address

    check_address(address)
    from pipeline.cluster import job_server

    return job_server.connect(address)


def work_of(name: str, ctx: click.Context) -> "Work":
    """Return what a call asks for, without what is the default anyway."""
    from pipeline.cluster.submission import Work

    arguments, options, flags = list[str](), dict[str, tuple[str, ...]](), list[str]()
    for parameter in ctx.command.params:
        value = ctx.params.get(str(parameter.name))
        if parameter.name in SUBMITTED_ONLY or value is None or value in ((), parameter.default):
            continue
        texts = _texts(parameter, value)
        if isinstance(parameter, click.Argument):
            arguments += texts
        elif isinstance(parameter, click.Option) and parameter.is_flag:
            flags += [_name(parameter)] if value else []
        else:
            options[_name(parameter)] = texts
    _check_report_has_a_place(name, options)
    return Work(name, tuple(arguments), options, tuple(flags))


def _name(parameter: click.Parameter) -> str:
    return max(parameter.opts, key=len).removeprefix("--")


def _texts(parameter: click.Parameter, value: Any) -> tuple[str, ...]:  # noqa: ANN401 - Click's
    """Return a parameter's values as they are typed; a path is absolute, a URL ends without a slash."""
    values = value if isinstance(value, (tuple, list)) else (value,)
    if parameter.name not in PLACES:
        return tuple(map(str, values))
    return tuple(each if each == NO_PLACE else _place(each) for each in values)


def _place(text: str) -> str:
    sign, path = ("@", text[1:]) if text.startswith("@") else ("", text)
    if "://" in path:
        return sign + path.rstrip("/")
    return sign + os.path.abspath(Path(path).expanduser())  # noqa: PTH100 - links mean what they mean there


def _check_report_has_a_place(name: str, options: dict[str, tuple[str, ...]]) -> None:
    if name == "evaluate" and not options.keys() & {"out", "model"}:
        raise click.UsageError("The report would go with the job's folder: give --out, a folder or URL that stays.")


def _told(submitted: "Submitted", address: str) -> str:
    words = {
        "begun": f"Submitted {submitted.job_id} to {address}.",
        "joined": f"{submitted.job_id} does this already; nothing was submitted.",
        "done": f"{submitted.job_id} has done this; nothing was submitted. --again begins another attempt.",
    }
    return words[submitted.became]


def _next(job_id: str, address: str, out: str) -> str:
    at = f"{job_id} --address {shlex.quote(address)}"
    lines = [
        "Next:",
        f"  crackscan jobs logs {at} --follow",
        f"  crackscan jobs status {at}",
        f"  crackscan jobs stop {at}",
    ]
    return "\n".join([*lines, *([f"  crackscan status {shlex.quote(out)}"] if out else [])])


def end_with(server: "JobServer", job_id: str) -> None:
    """Show a job's log until it ends, and exit with its code."""
    from pipeline.cluster.submission import exit_code, follow

    try:
        job = follow(server, job_id, partial(click.echo, nl=False))
    except KeyboardInterrupt as error:
        raise InterruptedRunError(
            f"Not followed any further; {job_id} goes on. `crackscan jobs stop {job_id}` would end it."
        ) from error
    click.echo(f"{job_id} {job.state}.{'' if job.state == 'succeeded' else f' {job.message}'}", err=True)
    sys.exit(exit_code(job))


for _each in (score.command, train.command, evaluate.command, compact.command):
    command.add_command(_subcommand(_each))
