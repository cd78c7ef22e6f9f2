"""Run a command as a job: its options in, one line of JSON and an exit code out."""

import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import click

from pipeline.cli import check_current_folder
from pipeline.cli.messages import DONE_WITH_FAILED_PHOTOS, echo_error
from pipeline.core.errors import CrackscanError, InterruptedRunError, UsageError
from pipeline.core.streams import prepare_streams

Facts = Mapping[str, object]


def run_job(command: click.Command, work: Callable[..., Facts], words: Sequence[str] | None = None) -> NoReturn:
    """Call `work` with the command's options, from `words` or else this process's command line; print; exit."""
    prepare_streams()
    with contextlib.redirect_stdout(sys.stderr):
        line = _run(click.Command(command.name, params=command.params, callback=work, help=command.help), words)
    if line is not None:
        _print(line)
    sys.exit(0 if line is None or line["exit"] == DONE_WITH_FAILED_PHOTOS else line["exit"])


def _print(line: Mapping[str, Any]) -> None:
    try:
        click.echo(json.dumps(line))
    except (BrokenPipeError, CrackscanError) as error:  # nobody reads it, and the work is done
        click.echo(f"crackscan: {error}", err=True)


def _run(job: click.Command, words: Sequence[str] | None) -> dict[str, Any] | None:
    try:
        check_current_folder()
        facts = job.main(words, prog_name=f"python -m jobs.{job.name}", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code, message = UsageError.exit_code, error.format_message()
    except CrackscanError as error:
        echo_error(error)
        code, message = error.exit_code, str(error)
    except click.Abort:
        code, message = InterruptedRunError.exit_code, "Interrupted; run the same job again to go on."
    else:
        if not facts:  # after --help
            return None
        return {"job": job.name, "exit": DONE_WITH_FAILED_PHOTOS if facts.get("failed") else 0, **facts}
    return {"job": job.name, "exit": code, "error": message}
