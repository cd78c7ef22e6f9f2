"""Values are written in one way, whatever the form."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli import main
from pipeline.core import table_schemas
from pipeline.dataset.export import ExportConfig, export
from pipeline.dataset.written_values import write_values
from tests.helpers.two_inspections import write_inspections

NINE = datetime(2026, 5, 1, 9)  # noqa: DTZ001 - EXIF has no zone


def plain(cell: str) -> float | str:
    """A cell as a program reads it: `8` and `8.0` are one number."""
    return float(cell) if re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", cell) else cell


def test_times_are_iso_8601() -> None:
    """With a zone in UTC, without one as they are; nulls stay."""
    zone = timezone(timedelta(hours=2))
    table = pa.table(
        {
            "zoned": pa.array([datetime(2026, 5, 1, 11, tzinfo=zone), None], pa.timestamp("us", "Europe/Berlin")),
            "naive": pa.array([NINE, None], pa.timestamp("ms")),
            "fine": pa.array([NINE, NINE.replace(microsecond=5)], pa.timestamp("ns")),
        }
    )
    assert write_values(table).to_pylist() == [
        {"zoned": "2026-05-01T09:00:00.000000Z", "naive": "2026-05-01T09:00:00", "fine": "2026-05-01T09:00:00.000000"},
        {"zoned": None, "naive": None, "fine": "2026-05-01T09:00:00.000005"},
    ]
    assert datetime.fromisoformat("2026-05-01T09:00:00.000000Z").tzinfo == UTC


@given(st.lists(st.floats(width=32, allow_nan=False)))
def test_scores_keep_their_value_in_few_digits(scores: list[float]) -> None:
    """Read back in single precision, each is the same; 0.7 is 0.7."""
    written = write_values(pa.table({"score": pa.array(scores, pa.float32())}))["score"]
    assert written.cast(pa.float32()).to_pylist() == scores
    assert write_values(pa.table({"score": pa.array([0.7], pa.float32())})).to_pylist() == [{"score": 0.7}]


def test_query_writes_what_export_writes(tmp_path: Path) -> None:
    """Every value of all photos is the same in the CSV of both, and in JSON."""
    out = str(tmp_path / "scores")
    write_inspections(tmp_path)
    export(ExportConfig(out, "csv", str(tmp_path / "file")))
    words = ["query", out, "FROM images ORDER BY archive, image, occurrence", "--format"]
    exported = [*csv.DictReader(io.StringIO((tmp_path / "file").read_text(encoding="utf-8")))]
    queried = [*csv.DictReader(io.StringIO(CliRunner().invoke(main, [*words, "csv"]).stdout))]
    assert list(exported[0]) == table_schemas.IMAGES.names
    assert [[*map(plain, row.values())] for row in queried] == [[*map(plain, row.values())] for row in exported]
    for row, texts in zip(json.loads(CliRunner().invoke(main, [*words, "json"]).stdout), exported, strict=True):
        for name, value in row.items():
            text = texts[name]
            assert text == "" if value is None else value == type(value)(text), name
