"""The collector writes, logs and counts every photo once."""

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.core.log import log_to_stream
from pipeline.core.usage import Usage
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.dataset.writer import CommitLimits, open_writer
from pipeline.monitoring.run_stats import RunStats
from pipeline.scoring.collector import Collector
from tests.helpers.small_dataset import failed, make_run, ok

NONE = table_schemas.SCORED.empty_table()


def test_a_photo_is_written_logged_and_counted_once(tmp_path: Path) -> None:
    """Even if it comes twice; every log line about it names its archive and its image, also the worker's lines."""
    layout, stats = Layout(storage.canonical(str(tmp_path))), RunStats()
    retried = ok("a.jpg") | {
        "log": ['{"event": "tried again", "url": "s3://b/k"}'],
        "read_usage": asdict(Usage(retries=1)),
    }
    end = {"archive": "file:///a.tgz", "ended": b"held", "read_usage": asdict(Usage(wall_s=1.0))}
    photos = pa.Table.from_pylist([retried, failed("no.jpg")], table_schemas.SCORED)
    with hold(layout, "one", lambda _: None) as lease, log_to_stream(storage.open_text(layout.log("one")), "one"):
        writer = open_writer(layout, make_run("one"), lease)
        collector = Collector(writer, stats)
        for table in (photos, photos):
            collector.add(table, NONE)
        collector.add(NONE, pa.Table.from_pylist([end], table_schemas.SCORED))
        assert (writer.waiting, len(writer.log.done)) == (2, 0)
        collector.commit()
        assert (writer.waiting, len(writer.log.done)) == (0, 2)
    assert (stats.totals.photos, stats.totals.failed, stats.totals.usage("read").wall_s) == (2, 1, 1.0)
    assert stats.totals.usage("write").wall_s > 0
    lines = [json.loads(line) for line in (tmp_path / "logs" / "one.jsonl").read_text().splitlines()]
    assert {line["run_id"] for line in lines} == {"one"}
    events = [(line["event"], line.get("archive"), line.get("image")) for line in lines]
    first, second = ((photo["archive"], photo["image"]) for photo in (ok("a.jpg"), failed("no.jpg")))
    assert events == [
        ("tried again", *first),
        ("photo failed", *second),
        ("first_scored", *first),
        ("photos came twice", *first),
        ("read to its end", "file:///a.tgz", None),
        ("committed", None, None),
    ]


@pytest.mark.parametrize(("seconds", "committed"), [(3600.0, 0), (0.0, 1)])
def test_photos_that_have_waited_long_enough_are_committed(seconds: float, committed: int, tmp_path: Path) -> None:
    """Not before; however often the run asks."""
    layout = Layout(storage.canonical(str(tmp_path)))
    with hold(layout, "one", lambda _: None) as lease:
        writer = open_writer(layout, make_run("one"), lease, CommitLimits(photos=500, seconds=seconds))
        collector = Collector(writer, RunStats())
        collector.add(pa.Table.from_pylist([ok("a.jpg")], table_schemas.SCORED), NONE)
        for _ in range(2):
            collector.commit_if_due()
        assert (writer.waiting, len(writer.log.done)) == (1 - committed, committed)
