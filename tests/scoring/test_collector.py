"""What arrives is written, logged and counted once."""

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.core import schema
from pipeline.core.log import to_stream
from pipeline.core.usage import Usage
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.dataset.writer import open_writer
from pipeline.monitoring.run_stats import RunStats
from pipeline.scoring.collector import Collector
from tests.helpers.small_dataset import failed, ok, run_named

NONE = schema.SCORED.empty_table()


def test_photos_are_written_logged_and_counted_once(tmp_path: Path) -> None:
    """Also when they come twice; every line that concerns one names its archive and its image, whoever wrote it."""
    layout, account = Layout(storage.canonical(str(tmp_path))), RunStats()
    retried = ok("a.jpg") | {
        "log": ['{"event": "tried again", "url": "s3://b/k"}'],
        "read_effort": asdict(Usage(retries=1)),
    }
    end = {"archive": "file:///a.tgz", "ended": b"held", "read_effort": asdict(Usage(wall_s=1.0))}
    photos = pa.Table.from_pylist([retried, failed("no.jpg")], schema.SCORED)
    with hold(layout, "one", lambda _: None) as lease, to_stream(storage.open_text(layout.log("one")), "one"):
        sink = open_writer(layout, run_named("one"), lease)
        arrivals = Collector(sink, account)
        for table in (photos, photos):
            arrivals.take(table, NONE)
        arrivals.take(NONE, pa.Table.from_pylist([end], schema.SCORED))
        assert (sink.waiting, len(sink.log.done)) == (2, 0)
        arrivals.commit()
        assert (sink.waiting, len(sink.log.done)) == (0, 2)
    assert (account.tally.photos, account.tally.failed, account.tally.effort("read").wall_s) == (2, 1, 1.0)
    assert account.tally.effort("write").wall_s > 0
    lines = [json.loads(line) for line in (tmp_path / "logs" / "one.jsonl").read_text().splitlines()]
    assert {line["run_id"] for line in lines} == {"one"}
    told = [(line["event"], line.get("archive"), line.get("image")) for line in lines]
    first, second = ((photo["archive"], photo["image"]) for photo in (ok("a.jpg"), failed("no.jpg")))
    assert told == [
        ("tried again", *first),
        ("photo failed", *second),
        ("first_scored", *first),
        ("photos came twice", *first),
        ("read to its end", "file:///a.tgz", None),
        ("committed", None, None),
    ]


def test_photos_that_have_waited_long_enough_are_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before; however often it is asked."""
    layout = Layout(storage.canonical(str(tmp_path)))
    with hold(layout, "one", lambda _: None) as lease:
        sink = open_writer(layout, run_named("one"), lease)
        arrivals = Collector(sink, RunStats())
        arrivals.take(pa.Table.from_pylist([ok("a.jpg")], schema.SCORED), NONE)
        arrivals.commit_if_due()
        assert (sink.waiting, len(sink.log.done)) == (1, 0)
        monkeypatch.setattr("pipeline.dataset.writer.COMMIT_S", 0.0)
        arrivals.commit_if_due()
        assert (sink.waiting, len(sink.log.done)) == (0, 1)
