"""Words, tables and an exit code that several commands share."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.labels.labelled_tiles import LabelledTiles

DONE_WITH_FAILED_PHOTOS = 3
"""Exit code of a command that did its work, but could not score some photos or tiles."""


def count_of(number: int, noun: str) -> str:
    """Write a number with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def list_kinds(counts: Mapping[str, int]) -> str:
    """Write how many there are of each kind."""
    return ", ".join(f"{count:,} x {kind}" for kind, count in counts.items())


def format_unlabelled(rows: int) -> str:
    """Say that rows of tables without a label, such as `review` writes them, are left out."""
    return f"{rows:,} rows have no label yet and are left out."


def format_unused(tiles: "LabelledTiles") -> list[str]:
    """Say which pictures beside labelled tiles are none, a line for each reason."""
    from pipeline.labels.labelled_tiles import list_counts

    lines = []
    if unmatched := sum(tiles.unmatched.values()):
        are_in = "is in a folder" if unmatched == 1 else "are in folders"
        lines.append(
            f"{unmatched:,} of {unmatched + len({*tiles.urls}):,} pictures {are_in} that no class name takes: "
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


def print_table(table: "Table", pipe_width: int, **options: Any) -> None:  # noqa: ANN401 - of rich's console
    """Print a table of rich.

    Args:
        table: it fits the terminal.
        pipe_width: columns without a terminal: a pipe or a file has no width, and must cut nothing off.
        options: of the console.
    """
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else pipe_width, **options).print(table)


def align_columns(rows: list[tuple[str, ...]]) -> str:
    """Align the cells of rows in columns, two blanks apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(f"  {line}".rstrip() for line in lines)
