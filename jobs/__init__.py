"""Entry points for Ray jobs and schedulers: `python -m jobs.score` and its like, one for each command that takes long.

Each takes the options of the command, does the same work, and ends with one line of JSON on stdout: what was done, how
much, and the command's exit code. All else goes to stderr. A finished night is not repeated for some bad photos: where
the command ends with 3 (done, with failed photos), the job ends with 0.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import click

from pipeline.core.errors import CrackscanError, InterruptedRunError, UsageError

DONE_WITH_FAILED_PHOTOS = 3

Facts = Mapping[str, object]
"""What was done; how much could not be scored stands under `failed`."""


def entry_point(command: click.Command, work: Callable[..., Facts], words: Sequence[str] | None = None) -> NoReturn:
    """Do a job, print its line, and exit.

    Args:
        command: whose options are taken.
        work: is called with them, and tells what was done.
        words: what was typed; None takes the command line of this process.
    """
    with contextlib.redirect_stdout(sys.stderr):
        facts = _done(command, work, words)
    if facts is not None:
        click.echo(json.dumps({"job": command.name, **facts}))
    code = 0 if facts is None else facts["exit"]
    sys.exit(0 if code == DONE_WITH_FAILED_PHOTOS else code)


def _done(command: click.Command, work: Callable[..., Facts], words: Sequence[str] | None) -> dict[str, Any] | None:
    """Return what was done with the exit code, or what went wrong; None where only help was asked for."""
    job = click.Command(command.name, params=command.params, callback=work, help=command.help)
    try:
        facts = job.main(words, prog_name=f"python -m jobs.{command.name}", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return {"exit": UsageError.exit_code, "error": error.format_message()}
    except CrackscanError as error:
        click.echo(f"crackscan: {error}", err=True)
        return {"exit": error.exit_code, "error": str(error)}
    except click.Abort:
        return {"exit": InterruptedRunError.exit_code, "error": "Interrupted; run the same job again to go on."}
    if not isinstance(facts, Mapping):
        return None
    return {**facts, "exit": DONE_WITH_FAILED_PHOTOS if facts.get("failed") else 0}
