"""What the user says about the scale of photos: `--mm-per-px`, `--scale TABLE` and `--scale-from`.

The table is CSV or Parquet with the columns `image`, and `mm_per_px` or `distance_m`.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping

import pyarrow as pa

from pipeline import storage
from pipeline.core.errors import DatasetError, StorageError, UsageError
from pipeline.core.secrets import refuse_credentials
from pipeline.dataset.commit_log import parse_parquet
from pipeline.measurement.scale import LEAST_DISTANCE_M, MOST_DISTANCE_M, ScaleRow, ScaleRule, ScaleTable
from pipeline.scoring.config import ScoreConfig

COLUMNS = ("image", "mm_per_px", "distance_m")
"""Columns that are read, in any case; others are ignored."""
EXPECTED = "the columns image, and mm_per_px or distance_m"

_DELIMITERS = ",;\t"
"""Spreadsheets write semicolons or tabs where the comma is their decimal mark."""

Row = Mapping[str, object]
"""Values by column; None, NaN and blanks are missing ones."""


def make_scale_rule(config: ScoreConfig) -> ScaleRule:
    """Read what a run was told about scales.

    Raises:
        UsageError: as `read_scale_table`.
    """
    table = ScaleTable() if config.scale_table is None else read_scale_table(config.scale_table)
    return ScaleRule(config.mm_per_px, table, config.scale_from == "coarse")


def read_scale_table(url: str) -> ScaleTable:
    """Read a table of scales.

    Raises:
        UsageError: the file cannot be read, or a row of it; the message names the row.
    """
    refuse_credentials([("--scale", url)])
    try:
        data = storage.read_bytes(url)
    except StorageError as error:
        raise UsageError(f"--scale: {error}") from error
    rows = _read_parquet(url, data) if url.lower().endswith(".parquet") else _read_csv(url, data)
    table = ScaleTable([_parse_row(row, where) for where, row in rows])
    if not table.rows:
        raise UsageError(f"{url} has no rows; expected {EXPECTED}, a row for each photo or glob of photos.")
    return table


def _read_csv(url: str, data: bytes) -> Iterator[tuple[str, Row]]:
    """Yield rows with where they are."""
    try:
        text = data.decode("utf-8-sig")
        header = text.partition("\n")[0]
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=header.count), strict=True)
        columns = _check_columns(url, next(lines, []))
        for cells in lines:
            if any(cell.strip() for cell in cells):
                yield f"{url}, line {lines.line_num}", dict(zip(columns, cells, strict=False))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{url} is no CSV in UTF-8: {error}. Save it again as CSV, with {EXPECTED}.") from error


def _read_parquet(url: str, data: bytes) -> Iterator[tuple[str, Row]]:
    try:
        table = parse_parquet(url, data)
    except DatasetError as error:
        raise UsageError(f"--scale: {error} Write it again, with {EXPECTED}.") from error
    columns = _check_columns(url, table.column_names)
    wanted = pa.table({name: table.column(columns.index(name)) for name in COLUMNS if name in columns})
    for number, row in enumerate(wanted.to_pylist(), 1):
        yield f"{url}, row {number}", row


def _check_columns(url: str, names: list[str]) -> list[str]:
    columns = [name.strip().lower() for name in names]
    if "image" not in columns or not {"mm_per_px", "distance_m"} & {*columns}:
        found = ", ".join(columns) or "none"
        raise UsageError(f"{url} has the columns {found}; expected {EXPECTED}.")
    return columns


def _parse_row(row: Row, where: str) -> ScaleRow:
    image, mm_per_px, distance_m = ("" if _is_missing(row.get(name)) else str(row[name]).strip() for name in COLUMNS)
    if not image:
        raise UsageError(f"{where} has no image; expected a name or a glob, such as DJI_0417.JPG or */pier-7/*.")
    if not mm_per_px and not distance_m:
        raise UsageError(f"{where} has neither mm_per_px nor distance_m; give one of them, or leave the row out.")
    return ScaleRow(
        image,
        _parse_number(mm_per_px, (0, math.inf), f"{where}: mm_per_px", "millimetres to a pixel, more than 0"),
        _parse_number(
            distance_m,
            (LEAST_DISTANCE_M, MOST_DISTANCE_M),
            f"{where}: distance_m",
            f"metres from the camera to the surface, {LEAST_DISTANCE_M} to {MOST_DISTANCE_M:g}",
        ),
    )


def _is_missing(value: object) -> bool:
    return value is None or value != value  # noqa: PLR0124 - not a number, as pandas marks missing values


def _parse_number(text: str, limits: tuple[float, float], where: str, expected: str) -> float | None:
    """Return a number with a point or a decimal comma; None for the empty text."""
    if not text:
        return None
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        number = math.nan
    if not limits[0] <= number <= limits[1] or number in {0, math.inf}:
        raise UsageError(f"{where} is {text!r}; expected {expected}.")
    return number
