"""`crackscan query`: run SQL over a dataset."""

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from pipeline.cli.messages import echo, echo_json, print_table
from pipeline.cli.options import threshold_option
from pipeline.core.counts import count_of
from pipeline.core.errors import UsageError

FORMATS = ("table", "csv", "json")
PIPE_WIDTH = 200
"""Columns of a table without a terminal."""


@click.command("query")
@click.argument("out", metavar="OUT")
@click.argument("sql", metavar="SQL")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="How to print it."
)
@threshold_option
@click.option("--max-rows", type=click.IntRange(min=1), default=100, show_default=True, metavar="N",
              help="Rows that a table shows; CSV and JSON are always whole.")  # fmt: skip
def command(out: str, sql: str, form: str, threshold: float | None, max_rows: int) -> None:
    """Run the DuckDB query SQL (or @file.sql) over the dataset OUT.

    Views: `images` (one row per photo), `tiles` (one row per tile), `cracks` (one row per crack that was measured),
    `failures` (the photos that failed), `out_of_domain` (those unlike the training photos), `folders` (one row per
    folder of photos). docs/dataset.md lists their columns; "DESCRIBE cracks" shows them, too.

    Times are in ISO 8601, scores in the fewest digits that keep them, in every form; a table rounds to four decimals.

    \b
    Examples:
      crackscan query scores "SELECT image, crack_score FROM images ORDER BY crack_score DESC LIMIT 10"
      crackscan query scores "SELECT failure_kind, count(*) FROM failures GROUP BY ALL"
      crackscan query scores "SELECT count(*) FROM images WHERE crack_tiles > 0" --threshold 0.9
      crackscan query scores "SELECT archive, sum(length_mm) / 1000 AS metres FROM cracks GROUP BY ALL"
      crackscan query scores "SELECT * FROM cracks WHERE crack_width_mm_p95 >= 0.2" --format csv > cracks.csv
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.dataset.sql import query
    from pipeline.dataset.written_values import write_values

    found = write_values(query(out, _read_sql(sql), threshold))
    try:
        _print(found, form, max_rows)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"The result cannot be printed as {form}: {error}. Cast the column in SQL.") from error


def _print(found: Any, form: str, max_rows: int) -> None:  # noqa: ANN401 - a table of pyarrow, which is slow to import
    if form == "csv":
        from pyarrow import csv

        csv.write_csv(found, sys.stdout.buffer)
    elif form == "json":
        echo_json(found.to_pylist(), _json_value)
    else:
        _print_rows(found, max_rows)


def _json_value(value: object) -> int | float | str:
    if isinstance(value, Decimal):  # DuckDB's type for sums of whole numbers
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


def _read_sql(sql: str) -> str:
    if not sql.startswith("@"):
        return sql
    try:
        return Path(sql[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or error
        raise UsageError(f"The query file {sql[1:]} cannot be read: {cause}.") from error


def _print_rows(found: Any, max_rows: int) -> None:  # noqa: ANN401 - a table of pyarrow, which is slow to import
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for field in found.schema:
        table.add_column(field.name, justify="right" if _is_number(field.type) else "left", overflow="fold")
    for row in found.slice(0, max_rows).to_pylist():
        table.add_row(*[_format_cell(value) for value in row.values()])
    print_table(table, PIPE_WIDTH)
    if found.num_rows > max_rows:
        echo(f"… {count_of(found.num_rows - max_rows, 'more row')}; see --max-rows, or --format csv.", err=True)


def _format_cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _is_number(kind: object) -> bool:
    return str(kind).startswith(("int", "float", "double", "decimal", "uint"))
