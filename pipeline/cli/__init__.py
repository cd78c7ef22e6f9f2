"""The `crackscan` command: the group, and the form of its errors.

Each command has a file here. A file imports rich, torch, Ray and the like only when its command runs, so that `--help`
answers at once. It may import every package but `jobs`. Start with `score`; the helpers come after the commands.

* `sample`: draw synthetic photos and labelled tiles
* `train`: fine-tune a network on labelled tiles
* `evaluate`: measure a model on labelled tiles and masks
* `models`: list backbones and models, show a model card
* `models_compare`: compare backbones and recipes on structures that they have not seen
* `models_quantise`: give a model an int8 network
* `models_calibrate`: fit a model's calibration and threshold to labelled tiles of the user's own
* `plan`: what `score` would do, and how long it would take
* `score`: photos in, a dataset of crack scores out
* `status`: how far a dataset is, and which process writes it
* `retry`: score the failed photos again
* `scale`: set the scale of photos that are scored
* `relocate`: tell a dataset where its archives lie now
* `verify`: check every invariant of a dataset
* `compact`: rewrite many small files as a few large ones
* `query`: run SQL over a dataset
* `export`: write a dataset as one file for other programs
* `report`: make one HTML page of a dataset
* `overlay`: draw photos with their heat, and photos on a map
* `compare`: compare two datasets
* `review`: export the tiles most worth a person's look
* `verdicts`: add what people say of photos, tiles and cracks
* `elements`: tell which part of which structure the photos show
* `submit`: run long commands as jobs of a Ray cluster
* `jobs`: list, inspect, follow and stop those jobs
* `doctor`: check this machine
* `options`: options that several commands share
* `config_file`: options from a YAML or JSON file
* `prices_file`: the prices of machines from a file
* `messages`: words, lines, tables and an exit code that several commands share
* `progress`: a bar on a terminal, lines elsewhere
* `storage_waits`: says that a command waits for storage, and why
* `train_display`: what `train` shows
* `train_from`: what `train --from` does and shows
* `review_tools`: what `review --to` does
* `verdict_labels`: datasets with verdicts as labelled data
* `evaluate_display`: what `evaluate` prints
* `models_compare_display`: what `models compare` shows
* `score_display`: what `score`, `retry` and `plan` show
* `watch_display`: what `score --watch` shows
"""

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import click

from pipeline import __version__
from pipeline.cli.messages import echo, echo_error
from pipeline.cli.storage_waits import say_waits
from pipeline.core.control_characters import escape_controls
from pipeline.core.errors import CrackscanError, InterruptedRunError, UsageError
from pipeline.core.secrets import refuse_credentials
from pipeline.core.streams import prepare_streams

COMMANDS = (
    "sample", "train", "evaluate", "models", "plan", "score", "status", "retry", "scale", "relocate", "verify",
    "compact", "query", "export", "report", "overlay", "compare", "review", "verdicts", "elements", "submit", "jobs",
    "doctor",
)  # fmt: skip
"""In the order of use, which is that of `--help`."""


class CrackscanGroup(click.Group):
    """Finds a command in the file of its name, and turns a `CrackscanError` into its message and exit code."""

    def main(self, *words: Any, **options: Any) -> Any:  # noqa: ANN401 - Click's signature
        """Run the command line of this process."""
        prepare_streams()
        try:
            return super().main(*words, **options)
        except CrackscanError as error:  # not of a command: of the help or a message
            echo_error(error)
            sys.exit(error.exit_code)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - Click's signature
        """List the commands in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"pipeline.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for a word that is none, name the commands that are like it.

        Raises:
            UsageError: a word holds credentials; Click's own messages would repeat it.
        """
        refuse_credentials(_name_words(args[1:]))
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:  # Click looks only among commands that are imported
            raise click.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from error

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - Click's signature
        """Run the command; print an error as one plain sentence."""
        try:
            check_current_folder()
            with say_waits():
                return super().invoke(ctx)
        except CrackscanError as error:
            echo_error(error)
            ctx.exit(error.exit_code)
        except click.ClickException as error:
            error.message = escape_controls(error.message)  # type: ignore[misc] # Click has no other way in
            raise
        except KeyboardInterrupt:
            echo("crackscan: Interrupted; run the same command again to go on.", err=True)
            ctx.exit(InterruptedRunError.exit_code)


def _name_words(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each word of a call after its name for messages."""
    for before, word in pairwise(["", *words]):
        option = word.partition("=")[0] if word.startswith("-") else ""
        yield option or (f"What follows {before}" if before.startswith("-") else "An argument"), word


def check_current_folder() -> None:
    """Check that the folder in which this process runs exists: hardly anything works without it.

    Raises:
        UsageError: it was removed.
    """
    try:
        os.getcwd()  # noqa: PTH109 - pathlib adds nothing
    except FileNotFoundError as error:
        raise UsageError("The folder in which crackscan runs has been removed. Go to another one (cd).") from error


@click.group(cls=CrackscanGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="crackscan")
def main() -> None:
    """Find cracks in archives of bridge-inspection photos.

    \b
    A first run, from nothing (or type `make demo`):
      crackscan sample --out demo
      crackscan train demo/tiles/train --val demo/tiles/val --out demo/model --preset quick
      crackscan score demo/photos.zip --model demo/model --out demo/scores
      crackscan query demo/scores "SELECT image, crack_score FROM images ORDER BY 2 DESC LIMIT 5"

    \b
    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done with failed photos,
    4 interrupted (run the same command again).
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
