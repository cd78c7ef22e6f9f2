"""`crackscan status`: show how far a dataset is, and which process writes it."""

import shlex
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from pipeline.cli.messages import echo, echo_json, list_kinds
from pipeline.cli.score_display import describe_changes
from pipeline.core.counts import count_of

if TYPE_CHECKING:
    from pipeline.dataset.lease import Watch
    from pipeline.monitoring.status import Speed, Status, Writer

WHY_FAILED = "SELECT image, failure_message FROM failures"
STATES = {
    "alive": "at work",
    "gone": "ended without finishing; run `crackscan score` again to go on",
    "silent": "not heard of for longer than its lease; the next `crackscan score` waits a minute and takes over",
}


@click.command("status")
@click.argument("out", metavar="OUT")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(out: str, as_json: bool) -> None:
    """Show how far the dataset OUT is: photos done and failed, speed, time left, and the process that writes it.

    It only reads files and needs no Ray: it works from any machine, also during a run.

    \b
    Examples:
      crackscan status scores
      crackscan status s3://results/tonight --json
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.monitoring.status import status

    found = status(out)
    if as_json:
        facts = asdict(found) | {
            "failed": found.failed,
            "changes": [change._asdict() for change in found.changes],
            "cost": found.cost and found.cost._asdict(),
        }
        echo_json(facts, datetime.isoformat)
        return
    echo(f"{_format_state(found)}: {found.out}")
    echo(f"photos   {_format_photos(found)}")
    if found.empty_tiles:
        shown = count_of(found.empty_tiles, "tile of rasters shows", "tiles of rasters show")
        echo(f"tiles    {shown} nothing (nodata or transparent) and are not scored")
    if found.speed is not None:
        echo(f"speed    {_format_speed(found.speed, found.left_s if found.planned > found.done else None)}")
    if found.failed:
        echo(f"failed   {list_kinds(found.failures)}")
        echo(f"         crackscan query {shlex.quote(out)} '{WHY_FAILED}'")
    for line in describe_changes(found.changes):
        echo(f"changed  {line}")
    if found.cost is not None:
        echo(f"cost     {found.cost} of all runs with prices, storage and traffic not included")
    echo(f"writer   {_format_writer(found.writer)}")
    if found.writer is not None and found.writer.watch is not None:
        echo(f"watch    {_format_watch(found.writer.watch)}")


def _format_state(found: "Status") -> str:
    if not found.is_finished:
        return "Not finished"
    return "Finished and sealed (takes no more photos)" if found.is_sealed else "Finished"


def _format_photos(found: "Status") -> str:
    share = f" ({found.done / found.planned:.1%})" if found.planned else ""
    text = f"{found.done:,} of {found.planned:,} done{share}, {found.failed:,} of them failed"
    if found.unlisted_archives:
        text += f"; {count_of(found.unlisted_archives, 'archive')} not listed yet"
    if found.unread_archives:
        words = ("archive that has not been read to its end", "archives that have not been read to their end")
        text += f"; more will come from {count_of(found.unread_archives, *words)}"
    return text


def _format_speed(speed: "Speed", left_s: float | None) -> str:
    text = f"{speed.photos_per_s:,.1f} photos/s, {speed.tiles_per_s:,.0f} tiles/s until {_format_time(speed.until)}"
    return text if left_s is None else f"{text}; at that speed {timedelta(seconds=round(left_s))} h are left"


def _format_writer(writer: "Writer | None") -> str:
    if writer is None:
        return "none"
    return (
        f"run {writer.run_id} (process {writer.pid} on {writer.host}, since {_format_time(writer.since)}): "
        f"{STATES[writer.state]}"
    )


def _format_watch(watch: "Watch") -> str:
    text = f"looks for new photos every {watch.every_s:g} s, last at {_format_time(watch.looked_at)}"
    if watch.waiting:
        text += f"; {count_of(watch.waiting, 'file')} may not be complete yet"
    return f"{text}; since then: {watch.trouble}" if watch.trouble else text


def _format_time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
