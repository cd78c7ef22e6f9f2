"""`docs/cracks.md`: other tools see the scales that were set afterwards as `crackscan query` does."""

import re
from pathlib import Path

import duckdb
import pytest

from pipeline.dataset.sql import query
from pipeline.findings.scales import set_scales
from tests import ROOT
from tests.helpers.small_dataset import write_dataset


def test_the_join_gives_what_query_gives(tmp_path: Path) -> None:
    """Also for photos whose scale is the one of their run."""
    layout = write_dataset(str(tmp_path / "scores"))
    set_scales(layout.url, lambda _archive, image: (0.25, "table") if image == "ccc.jpg" else None)
    section = (ROOT / "docs" / "cracks.md").read_text(encoding="utf-8").split("## Scales afterwards\n")[1]
    [join] = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)
    [view] = re.findall(r"`(CREATE VIEW scales .*?)`", section)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW cracks AS FROM '{tmp_path}/scores/cracks/*.parquet'")
        connection.execute(view.replace("scores/", f"{tmp_path}/scores/"))
        found = connection.sql(f"FROM ({join}) ORDER BY image, crack").fetchall()
    shown = "SELECT image, crack, scale_source, crack_width_mm_p95 FROM cracks ORDER BY image, crack"
    assert found == [
        (*names, None if width is None else pytest.approx(width))
        for *names, width in (row.values() for row in query(layout.url, shown).to_pylist())
    ]
    assert {row[2] for row in found} == {"given", "table"}
