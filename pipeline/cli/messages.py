"""Words, lines, tables and an exit code that several commands share.

All that commands print goes through `echo`, `echo_json`, `print_table` and `echo_error`, which show the control
characters of names as escapes.
"""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from pipeline.core.control_characters import dump_json, escape_controls
from pipeline.core.counts import count_of
from pipeline.core.errors import CrackscanError

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.labels.labelled_tiles import LabelledTiles

DONE_WITH_FAILED_PHOTOS = 3
"""Exit code of a command that did its work, but could not score some photos or tiles."""


def list_kinds(counts: Mapping[str, int]) -> str:
    """Write how many there are of each kind."""
    return ", ".join(f"{count:,} x {kind}" for kind, count in counts.items())


def format_unlabelled(rows: int) -> str:
    """Say that rows of tables without a label, such as `review` writes them, are left out."""
    return f"{count_of(rows, 'row has no label yet and is', 'rows have no label yet and are')} left out."


def format_unused(tiles: "LabelledTiles") -> list[str]:
    """Say which pictures beside labelled tiles are none, a line for each reason."""
    from pipeline.labels.labelled_tiles import list_counts

    lines = []
    if unmatched := sum(tiles.unmatched.values()):
        are_in = "is in a folder" if unmatched == 1 else "are in folders"
        pictures = count_of(unmatched + len({*tiles.urls}), "picture")
        lines.append(
            f"{unmatched:,} of {pictures} {are_in} that no class name takes: "
            f"{list_counts(tiles.unmatched)}. Give --positive or --negative NAME for each that belongs."
        )
    if undecoded := sum(tiles.undecoded.values()):
        lines.append(
            f"{count_of(undecoded, 'picture')} left out, of formats that are not decoded: "
            f"{list_counts(tiles.undecoded)}. Convert what belongs to JPEG, PNG or TIFF."
        )
    return [*lines, *tiles.remarks]


def short_url(url: str) -> str:
    """Write a URL as people type it: a local one as its path."""
    return url.removeprefix("file://")


def echo(*lines: str, err: bool = False) -> None:
    """Print lines, each on a line of its own, whatever characters are in it.

    Args:
        lines: without line ends; one that stands in a name is shown as an escape.
        err: print on stderr.
    """
    for line in lines:
        click.echo(escape_controls(line), err=err)


def echo_json(value: object, default: Callable[[Any], object] | None = None) -> None:
    """Print JSON for programs; `default` turns values that are none of JSON's into some that are."""
    click.echo(dump_json(value, indent=1, default=default, allow_nan=False))


def echo_error(error: CrackscanError) -> None:
    """Print an error as one plain sentence on stderr, and its notes below it."""
    echo(f"crackscan: {error}", *getattr(error, "__notes__", ()), err=True)


def print_table(table: "Table", pipe_width: int) -> None:
    """Print a table of rich; its cells are plain text.

    Args:
        table: it fits the terminal.
        pipe_width: columns without a terminal: a pipe or a file has no width, and must cut nothing off.
    """
    from rich.console import Console
    from rich.text import Text

    class PlainConsole(Console):
        def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401 - rich's
            """Render a cell, a heading or a title."""
            return super().render_str(escape_controls(text), **options)

    width = None if sys.stdout.isatty() else pipe_width
    PlainConsole(width=width, markup=False, highlight=False, emoji=False).print(table)


def align_columns(rows: list[tuple[str, ...]]) -> list[str]:
    """Align the cells of rows in columns, two blanks apart; return the lines."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [f"  {line}".rstrip() for line in lines]
