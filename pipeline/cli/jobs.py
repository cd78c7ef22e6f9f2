"""`crackscan jobs`: list, inspect, follow and stop jobs on a Ray cluster."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from pipeline.cli.messages import echo, echo_json, print_table
from pipeline.cli.options import dashboard_option
from pipeline.cli.submit import connect_to, follow_to_end
from pipeline.core.control_characters import escape_controls

if TYPE_CHECKING:
    from pipeline.cluster.submission import Job

COLOURS = {"pending": "yellow", "running": "cyan", "stopped": "yellow", "succeeded": "green", "failed": "red"}
PIPE_WIDTH = 200
"""Columns of a table without a terminal."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
job_argument = click.argument("job_id", metavar="JOB")


@click.group("jobs")
def command() -> None:
    """List the jobs that `crackscan submit` began on a Ray cluster; inspect one, read its log, or stop it.

    \b
    Examples:
      crackscan jobs list --address http://head:8265
      crackscan jobs status crackscan-3f2a9c01b7de-1 --address http://head:8265 --json
      crackscan jobs logs crackscan-3f2a9c01b7de-1 --address http://head:8265 --follow
      crackscan jobs stop crackscan-3f2a9c01b7de-1 --address http://head:8265
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"


@command.command("list")
@dashboard_option
@json_option
def list_jobs(address: str, as_json: bool) -> None:
    """List the jobs, the newest first."""
    from pipeline.cluster.submission import own_jobs

    jobs = own_jobs(connect_to(address).jobs())
    if as_json:
        echo_json([_facts(job) for job in jobs])
    elif jobs:
        _print_rows(["job", "state", "command", "began", "took", "out"], [_row(job) for job in jobs])
    else:
        echo(f"No jobs of crackscan at {address}. Next:", "  crackscan submit score --help")


@command.command("status")
@job_argument
@dashboard_option
@json_option
def status(job_id: str, address: str, as_json: bool) -> None:
    """Show the state of a JOB and its command line; `crackscan status OUT` shows the progress of its dataset."""
    facts = _facts(connect_to(address).job(job_id))
    if as_json:
        echo_json(facts)
    else:
        _print_rows([], [(name, "-" if fact is None else str(fact)) for name, fact in facts.items()])


@command.command("logs")
@job_argument
@dashboard_option
@click.option("--follow", "is_followed", is_flag=True, help="Print until the job ends, and end with its exit code.")
def logs(job_id: str, address: str, is_followed: bool) -> None:
    """Print the output of a JOB."""
    server = connect_to(address)
    if is_followed:
        follow_to_end(server, job_id)
    click.echo(server.log(job_id), nl=False)  # a program's own output, with its lines and colours


@command.command("stop")
@job_argument
@dashboard_option
def stop(job_id: str, address: str) -> None:
    """Stop a JOB; it commits what is finished, and the next submission continues from there."""
    if connect_to(address).stop(job_id):
        echo(f"Asked {job_id} to stop; it commits what is finished first. Submit the same again to go on.")
    else:
        echo(f"{job_id} had ended already.")


def _facts(job: "Job") -> dict[str, object]:
    return {
        "job": job.job_id,
        "state": job.state,
        "command": job.command,
        "out": job.out,
        "began_at": _format_time(job.began_at_s),
        "ended_at": _format_time(job.ended_at_s),
        "exit_code": job.exit_code,
        "message": job.message,
        "entrypoint": job.entrypoint,
    }


def _row(job: "Job") -> tuple[str, ...]:
    began = _format_time(job.began_at_s) or "-"
    return (job.job_id, job.state, job.command, began, _format_duration(job, time.time()), job.out)


def _format_duration(job: "Job", now_s: float) -> str:
    if job.began_at_s is None:
        return "-"
    return str(timedelta(seconds=round((job.ended_at_s or now_s) - job.began_at_s)))


def _format_time(moment_s: float | None) -> str | None:
    return None if moment_s is None else f"{datetime.fromtimestamp(moment_s, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _print_rows(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(*heading, show_header=bool(heading))
    for row in rows:
        table.add_row(*(Text(escape_controls(cell), COLOURS.get(cell, "")) for cell in row))
    print_table(table, PIPE_WIDTH)
