"""`crackscan verify`: check every invariant of a dataset."""

import sys
from typing import TYPE_CHECKING

import click

from pipeline.cli.messages import echo
from pipeline.cli.progress import progress
from pipeline.core.counts import count_of

if TYPE_CHECKING:
    from pipeline.dataset.verify import Check

BROKEN = 1


@click.command("verify")
@click.argument("out", metavar="OUT")
@click.option(
    "--equals", "other", metavar="OTHER", help="Also prove that OTHER holds the same photos, tiles and scores."
)
def command(out: str, other: str | None) -> None:
    """Check every invariant of the dataset OUT against its files; exit code 1 if one is broken.

    Each photo once, tiles that cover it, scores that fit them, no file too many or too few, and more: the command
    prints the list. An unfinished dataset is not broken. With --equals, it compares rows in all columns but part,
    run_id and scored_at.

    \b
    Examples:
      crackscan verify scores
      crackscan verify scores-compact --equals scores
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline import storage
    from pipeline.dataset.layout import Layout
    from pipeline.dataset.run import read_run
    from pipeline.dataset.verify import differences, verify

    if other is not None:
        read_run(Layout(storage.canonical(other)))  # now, not after all files of OUT were read
    with progress("files") as show:
        checks = verify(out, show)
    for check in checks:
        echo(_format_check(check))
    different = [] if other is None else differences(out, other)
    if other is not None:
        echo(f"{'BROKEN' if different else 'ok':<8}Both hold the same photos, tiles and scores.")
    for sentence in different:
        echo(f"{'':<8}{sentence}")
    broken = sum(check.broken != 0 for check in checks) + bool(different)
    if broken:
        echo(f"{count_of(broken, 'invariant is', 'invariants are')} broken or could not be checked.", err=True)
        sys.exit(BROKEN)
    is_open = any(check.open for check in checks)
    echo("Nothing is broken; the dataset is not finished." if is_open else "Every invariant holds.")


def _format_check(check: "Check") -> str:
    if check.broken is None:
        return f"{'-':<8}{check.invariant} Not checked: files are broken."
    count = check.broken or check.open
    word = "BROKEN" if check.broken else "open" if check.open else "ok"
    names = f" {count:,}: {', '.join(check.names)}{', …' if count > len(check.names) else ''}" if count else ""
    return f"{word:<8}{check.invariant}{names}"
