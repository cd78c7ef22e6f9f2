"""Verdicts on the photos of a dataset, written as the table has them."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from pipeline import storage
from pipeline.dataset import beside
from pipeline.dataset.commit_log import table_bytes
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import query

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def judge(
    layout: Layout, image_id: str, verdict: str, *, cracks: Sequence[int] | None = None, comment: str | None = None,
    by: str = "ann",
) -> None:  # fmt: skip
    """Add a verdict on a photo, or on its cracks of these numbers."""
    found = query(layout.url, "SELECT archive, image, image_id, scored_at FROM images").to_pylist()
    [row] = [each for each in found if each["image_id"] == image_id]
    name = f"{image_id}-{verdict}-{'-'.join(map(str, cracks or ()))}"
    row |= {
        "verdict_id": name,
        "verdict": verdict,
        "by": by,
        "comment": comment,
        "judged_at": NOON,
        "recorded_at": NOON,
    }
    row |= (
        {"subject": "photo"} if cracks is None else {"subject": "crack", "cracks": list(cracks), "left_px": cracks[0]}
    )
    table = pa.Table.from_pylist([row], schema=beside.VERDICTS)
    storage.write_whole(storage.join(layout.url, "verdicts", f"{name}.parquet"), table_bytes(table))
