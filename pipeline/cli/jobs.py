"""`crackscan jobs`: what was submitted to a cluster: how far it is, what it prints, and stopping it."""

import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from pipeline.cli.options import dashboard_option
from pipeline.cli.submit import end_with, server_at

if TYPE_CHECKING:
    from pipeline.cluster.submission import Job

COLOURS = {"pending": "yellow", "running": "cyan", "stopped": "yellow", "succeeded": "green", "failed": "red"}
PIPE_WIDTH = 200
"""Columns where the output is no terminal, and has no width of its own."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
job_argument = click.argument("job_id", metavar="JOB")


@click.group("jobs")
def command() -> None:
    """List jobs of a Ray cluster that `crackscan submit` began; look at one, read its log, or stop it.

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
    from pipeline.cluster.submission import ours

    found = ours(server_at(address).jobs())
    if as_json:
        click.echo(json.dumps([_facts(job) for job in found], indent=1))
    elif found:
        _print_table(["job", "state", "command", "began", "took", "out"], [_row(job) for job in found])
    else:
        click.echo(f"No jobs of crackscan at {address}. Next:\n  crackscan submit score --help")


@command.command("status")
@job_argument
@dashboard_option
@json_option
def status(job_id: str, address: str, as_json: bool) -> None:
    """Tell how a JOB is, and what it was begun with; `crackscan status OUT` tells how far its dataset is."""
    facts = _facts(server_at(address).job(job_id))
    if as_json:
        click.echo(json.dumps(facts, indent=1))
    else:
        _print_table([], [(name, "-" if fact is None else str(fact)) for name, fact in facts.items()])


@command.command("logs")
@job_argument
@dashboard_option
@click.option("--follow", "is_followed", is_flag=True, help="Go on until the job ends, and end with its exit code.")
def logs(job_id: str, address: str, is_followed: bool) -> None:
    """Print what a JOB has printed."""
    server = server_at(address)
    if is_followed:
        end_with(server, job_id)
    click.echo(server.log(job_id), nl=False)


@command.command("stop")
@job_argument
@dashboard_option
def stop(job_id: str, address: str) -> None:
    """Stop a JOB; what is finished is committed, and the next submission goes on from there."""
    if server_at(address).stop(job_id):
        click.echo(f"Asked {job_id} to stop; it commits what is finished first. Submit the same again to go on.")
    else:
        click.echo(f"{job_id} had ended already.")


def _facts(job: "Job") -> dict[str, object]:
    return {
        "job": job.job_id,
        "state": job.state,
        "command": job.command,
        "out": job.out,
        "began_at": _time(job.began_at_s),
        "ended_at": _time(job.ended_at_s),
        "exit_code": job.exit_code,
        "message": job.message,
        "entrypoint": job.entrypoint,
    }


def _row(job: "Job") -> tuple[str, ...]:
    began = _time(job.began_at_s) or "-"
    return (job.job_id, job.state, job.command, began, _took(job, time.time()), job.out)


def _took(job: "Job", now_s: float) -> str:
    if job.began_at_s is None:
        return "-"
    return str(timedelta(seconds=round((job.ended_at_s or now_s) - job.began_at_s)))


def _time(moment_s: float | None) -> str | None:
    return None if moment_s is None else f"{datetime.fromtimestamp(moment_s, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _print_table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*heading, show_header=bool(heading))
    for row in rows:
        table.add_row(*(Text(cell, COLOURS.get(cell, "")) for cell in row))
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)
