"""`crackscan relocate`: tell a dataset where its archives and folders lie now."""

import click

from pipeline.cli.messages import echo
from pipeline.core.counts import count_of

PROOFS = {"version": "by date or version", "content": "by content", "none": "not proven"}
"""What proved that an archive or folder is the one that was listed."""


@click.command("relocate")
@click.argument("out", metavar="OUT")
@click.argument("before", metavar="FROM")
@click.argument("now", metavar="TO")
@click.option("--unchecked", is_flag=True, help="Take what lies at TO for what was listed, without a proof.")
def command(out: str, before: str, now: str, unchecked: bool) -> None:
    """Tell the dataset OUT that what lay at FROM lies at TO now.

    FROM and TO are an archive, or a folder with everything below it. `score` over TO then continues OUT instead of
    scoring all photos again, and `report`, `overlay`, `review` and `retry` find the photos. Addresses and ids in OUT
    stay as they were.

    Each archive must be the one that was listed: of the same date or version, or with the same members (names, sizes,
    checksums); loose photos need the same sizes. Nothing is changed unless all are.

    \b
    Examples:
      crackscan relocate scores ~/incoming/bridge-7.zip /archive/2026/bridge-7.zip
      crackscan relocate s3://results/all s3://inspections/incoming s3://archive/2026
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.scoring.relocate import relocate

    moved = relocate(out, before, now, is_checked=not unchecked)
    how = ", ".join(f"{number:,} {PROOFS[proof]}" for proof, number in moved.proofs.items())
    things = [count_of(moved.archives, "archive"), count_of(moved.folders, "folder")]
    echo(f"{' and '.join(things)} with {count_of(moved.photos, 'photo')} of {out} lie at {now} now ({how}).")
    if moved.missing:
        echo(f"{count_of(moved.missing, 'loose photo')} of the folders were not found there.")
