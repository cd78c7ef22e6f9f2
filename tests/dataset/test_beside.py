"""Tables that people add to a dataset, and the views of them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.dataset import beside, sql
from pipeline.dataset.commit_log import table_bytes
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.dataset.run import Run
from pipeline.dataset.verify import verify
from pipeline.dataset.writer import open_writer

SCORED_AT = datetime(2026, 11, 30, 3, tzinfo=UTC)
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
TILE = {"left_px": 0, "top_px": 0, "width_px": 16, "height_px": 16}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Photo a with cracks 0 and 1, b flagged without a crack, c sound, d flagged and scored anew since."""
    layout = Layout(storage.canonical(str(tmp_path / "out")))
    run = Run("one", "model", {"tile_px": 16, "overlap": 0, "model_id": "model"}, {"model_card": {"threshold": 0.5}})
    with hold(layout, "one", lambda _holder: None) as lease:
        writer = open_writer(layout, run, lease)
        for name, score, cracks in (("a", 0.9, 2), ("b", 0.8, 0), ("c", 0.1, 0), ("d", 0.7, 0)):
            box = dict.fromkeys(("row", "col", "top_px", "left_px"), 0)
            row = {"image_id": name, "archive": "file:///x", "image": name, "occurrence": 0, "status": "ok"}
            row |= {"grid": [box | {"height_px": 9, "width_px": 9, "crack_score": score}], "crack_score": score}
            row |= {"lines": [{"crack": n, "length_px": 9.0} for n in range(cracks)], "tiles": 1, "crack_tiles": 1}
            writer.add(pa.Table.from_pylist([row | {"scored_at": SCORED_AT}], schema=table_schemas.SCORED))
        writer.commit()
    return layout


def verdict(number: int, image_id: str, answer: str, **others: Any) -> dict[str, Any]:  # noqa: ANN401 - any column
    """A verdict on a photo, judged as many minutes after noon as its number says."""
    row = {"verdict_id": str(number), "image_id": image_id, "archive": "file:///x", "image": image_id, "by": "ann"}
    row |= {"subject": "photo", "verdict": answer, "judged_at": NOON + timedelta(minutes=number)}
    return row | {"scored_at": SCORED_AT, "recorded_at": NOON} | others


def save(layout: Layout, *rows: dict[str, Any], name: str = "a") -> None:
    """Save verdicts as a file of their own."""
    table = pa.Table.from_pylist(list(rows), schema=beside.VERDICTS)
    storage.write_whole(storage.join(layout.url, "verdicts", f"{name}.parquet"), table_bytes(table))


def findings(layout: Layout) -> list[tuple[Any, ...]]:
    """Kind, state, photo and crack of all findings."""
    found = sql.query(layout.url, "SELECT kind, state, image_id, crack FROM findings ORDER BY kind, image_id, crack")
    return [tuple(row.values()) for row in found.to_pylist()]


def test_without_verdicts_every_finding_is_open(layout: Layout) -> None:
    """Each crack, and each photo over the threshold without one."""
    cracks = [("crack", "open", "a", 0), ("crack", "open", "a", 1)]
    assert findings(layout) == [*cracks, ("photo", "open", "b", None), ("photo", "open", "d", None)]
    assert sql.query(layout.url, "FROM verdicts").num_rows == 0
    assert sql.query(layout.url, "FROM elements").num_rows == 0


def test_the_nearest_verdict_counts(layout: Layout) -> None:
    """That of a crack before that of a tile that it runs through, and that of its photo last."""
    save(layout, verdict(1, "a", "no_crack"), verdict(2, "a", "unclear", subject="tile", cracks=[1], **TILE))
    assert findings(layout)[:2] == [("crack", "rejected", "a", 0), ("crack", "unclear", "a", 1)]
    save(layout, verdict(0, "a", "crack", subject="crack", cracks=[1], **TILE), name="b")
    assert findings(layout)[:2] == [("crack", "rejected", "a", 0), ("crack", "confirmed", "a", 1)]


def test_the_last_verdict_counts_and_all_are_kept(layout: Layout) -> None:
    """Whatever the order of the files; a verdict that stands in two files is one."""
    save(layout, verdict(2, "b", "no_crack"), name="a")
    save(layout, verdict(1, "b", "crack"), verdict(2, "b", "no_crack"), name="b")
    assert ("photo", "rejected", "b", None) in findings(layout)
    kept = sql.query(layout.url, "SELECT verdict, is_last FROM verdicts ORDER BY judged_at").to_pylist()
    assert kept == [{"verdict": "crack", "is_last": False}, {"verdict": "no_crack", "is_last": True}]


def test_a_tile_without_a_crack_is_a_finding_of_its_own(layout: Layout) -> None:
    """And its photo no longer one."""
    save(layout, verdict(1, "c", "crack", subject="tile", cracks=[], **TILE))
    assert ("tile", "confirmed", "c", None) in findings(layout)
    assert not any(kind == "photo" and image == "c" for kind, _, image, _ in findings(layout))


def test_a_verdict_about_another_picture_does_not_count(layout: Layout) -> None:
    """The photo was replaced and scored anew, or is gone; the verdict is kept, and says so."""
    save(layout, verdict(1, "d", "no_crack", scored_at=NOON), verdict(2, "gone", "crack"))
    assert ("photo", "open", "d", None) in findings(layout)
    kept = sql.query(layout.url, "SELECT image_id, is_current FROM verdicts ORDER BY image_id").to_pylist()
    assert kept == [{"image_id": "d", "is_current": False}, {"image_id": "gone", "is_current": False}]


def test_findings_have_the_columns_of_their_element(layout: Layout) -> None:
    """Also the office's own."""
    columns = [*beside.ELEMENTS, pa.field("inspector", pa.string())]
    row = {"archive": "file:///x", "image": "b", "image_id": "b", "span": "3", "inspector": "=cmd()"}
    storage.write_whole(
        beside.elements_url(layout), table_bytes(pa.Table.from_pylist([row], schema=pa.schema(columns)))
    )
    found = sql.query(layout.url, "SELECT span, inspector FROM findings WHERE image_id = 'b'").to_pylist()
    assert found == [{"span": "3", "inspector": "=cmd()"}]


def test_verify_checks_what_people_added(layout: Layout) -> None:
    """An answer that there is not, a file that is none, and a photo with two elements are told."""
    save(layout, verdict(7, "a", "perhaps"))
    storage.write_whole(storage.join(layout.url, "verdicts", "b.parquet"), b"no table")
    row = {"archive": "file:///x", "image": "b", "image_id": "b"}
    storage.write_whole(
        beside.elements_url(layout), table_bytes(pa.Table.from_pylist([row, row], schema=beside.ELEMENTS))
    )
    broken = {check.invariant: check.names for check in verify(layout.url, lambda _done, _all: None) if check.broken}
    assert broken["Every photo belongs to one element at most."] == ("b",)
    assert broken["Every verdict is a known answer, on a known subject."][0] == "7"
    assert len(broken["Every verdict is a known answer, on a known subject."]) == 2
