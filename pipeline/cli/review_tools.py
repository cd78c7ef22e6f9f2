"""What `review --to` does: checks its options, writes tasks for a labelling tool, and says what comes next."""

import shlex
from typing import TYPE_CHECKING, Any, cast

import click

if TYPE_CHECKING:
    from pipeline.cli.progress import Show
    from pipeline.review.tasks import Tool
    from pipeline.review.tile_folder import ReviewConfig, Reviewed

TOOLS = ("label-studio", "cvat", "coco")

_FILES = {
    "label-studio": "labels.xml is the labelling interface, tasks.json the tasks to import",
    "cvat": "labels.json has the labels of the task, annotations.xml is to be uploaded as CVAT 1.1",
    "coco": "annotations.json has the pictures and what the model proposes",
}


def write(config: "ReviewConfig", tool: str, show: "Show", *, whole_photos: bool) -> "Reviewed":
    """Write the tasks."""
    from pipeline.review.tasks import write_tasks

    return write_tasks(config, cast("Tool", tool), show, whole_photos=whole_photos)


def check_options(tool: str | None, given: dict[str, Any], *, whole_photos: bool) -> None:
    """Refuse options that contradict each other."""
    if whole_photos and tool is None:
        raise click.UsageError("--whole-photos is for --to: give both.")
    if tool is not None and given["page"]:
        raise click.UsageError("--page and --to write different things: give one of them.")
    if whole_photos and given["crop_only"]:
        raise click.UsageError("--crop-only lets nothing but tiles leave: leave out --whole-photos.")


def format_tasks(made: "Reviewed", tool: str, dataset: str, folder: str) -> list[str]:
    """Say what was written and how it comes back."""
    from pipeline.core.counts import count_of

    place = shlex.quote(folder.rstrip("/") or folder)
    return [
        f"Wrote {count_of(made.tiles, 'tile')} of {count_of(made.photos, 'photo')} as tasks: {made.url}",
        f"In {place}, {_FILES[tool]}.",
        "Next: label there, export, and add what was said",
        f"  crackscan verdicts {shlex.quote(dataset)} EXPORT --by NAME",
    ]
