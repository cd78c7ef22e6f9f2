"""The `crackscan` command: the group, and what an error looks like.

Every command has its file here; a file imports torch, Ray and the like only when its command runs, so that
`--help` answers at once.
"""

import importlib
from typing import Any

import click

from pipeline import __version__
from pipeline.core.errors import CrackscanError, InterruptedRunError

COMMANDS = (
    "sample", "train", "evaluate", "models", "plan", "score", "status", "retry", "verify", "compact", "query",
    "export", "report", "overlay", "compare", "review", "submit", "jobs", "doctor",
)  # fmt: skip
"""In the order of use, which is the order of `--help`."""


class CrackscanGroup(click.Group):
    """Finds a command in the file of its name, and ends a `CrackscanError` with its sentence and exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - Click's signature
        """List the commands in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"pipeline.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - Click's signature
        """Run the command; tell its errors in one plain sentence."""
        try:
            return super().invoke(ctx)
        except CrackscanError as error:
            click.echo(f"crackscan: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("crackscan: Interrupted; run the same command again to go on.", err=True)
            ctx.exit(InterruptedRunError.exit_code)


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
