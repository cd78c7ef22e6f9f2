"""`crackscan doctor`: check this machine, and say what to do about problems."""

import sys
from typing import TYPE_CHECKING

import click

from pipeline.cli.messages import echo, echo_json
from pipeline.core.counts import count_of

if TYPE_CHECKING:
    from pipeline.cluster.checks import Finding

FAILED = 1
COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command("doctor")
@click.argument("places", nargs=-1, metavar="[STORAGE...]")
@click.option("--ray", "with_ray", is_flag=True, help="Also start Ray, score one drawn photo in it and stop it again.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(places: tuple[str, ...], with_ray: bool, as_json: bool) -> None:
    """Check this machine, and each STORAGE: a folder or URL with photos, or one for results.

    Python, packages, CPU, memory, GPU, shared memory, disk, Pillow, the model: a few seconds. --ray takes about half a
    minute: it loads torch, too, and proves that scoring works here. In a STORAGE it writes, lists, reads and removes a
    small file. Exit code 1 if something failed; a warning is no failure.

    \b
    Examples:
      crackscan doctor
      crackscan doctor --ray
      crackscan doctor s3://inspections/tonight/ s3://results --json
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.scoring.doctor import run_checks

    findings: list[Finding] = []
    for finding in run_checks(places, with_ray=with_ray):
        findings.append(finding)
        if not as_json:
            _print_finding(finding)
    if as_json:
        echo_json([finding._asdict() for finding in findings])
    counts = {state: sum(finding.state == state for finding in findings) for state in COLOURS}
    if counts["failed"]:
        echo(f"{counts['failed']} of {count_of(len(findings), 'check')} failed.", err=True)
        sys.exit(FAILED)
    if not as_json:
        echo(f"Nothing failed; warnings: {counts['warning']}." if counts["warning"] else "All is well.")


def _print_finding(finding: "Finding") -> None:
    click.secho(f"{finding.state:<8}", fg=COLOURS[finding.state], nl=False)
    echo(f"{finding.subject:<17} {finding.found}")
    if finding.advice is not None:
        echo(f"{'':<26}→ {finding.advice}")
