"""How far, how fast, what failed, who writes: of datasets whose answers are known."""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.monitoring.status import Speed, status
from tests.helpers.small_dataset import BEGAN_AT, COMMITS, failed, ok, plan, written


def of_speed(seconds: list[float], start_s: float = 0.0) -> list[dict[str, object]]:
    """Photos of one tile, scored at these moments."""
    return [ok(f"{start_s + second}.jpg", 80, 80, start_s + second) for second in seconds]


def test_a_finished_dataset(tmp_path: Path) -> None:
    """All is done, failures are counted by kind, the most frequent first, and nobody writes."""
    more = [failed("x.jpg", "empty_file"), failed("y.jpg", "empty_file"), failed("z.jpg", "empty_file")]
    found = status(str(written(str(tmp_path / "out"), [*COMMITS, more]).url))
    assert (found.is_finished, found.is_sealed, found.planned, found.done, found.failed) == (True, False, 8, 8, 5)
    assert [*found.failures.items()] == [("empty_file", 3), ("not_an_image", 2)]
    assert found.writer is None


def test_an_unfinished_dataset(tmp_path: Path) -> None:
    """Photos without a row are left, a photo that two plans list counts once, archives not read yet are told."""
    layout = written(str(tmp_path / "out"), finish=False)
    plan(layout, [ok("one-more.jpg"), *(row for rows in COMMITS for row in rows)])
    plan(layout, [ok("a.jpg") | {"archive": "file:///overlaps"}])
    plan(layout, [{"entry": "stream", "archive": "file:///photos/three.tgz", "image": ""}])
    found = status(layout.url)
    assert (found.is_finished, found.planned, found.done, found.unread_archives) == (False, 6, 5, 1)


def test_the_speed_is_that_of_the_last_run(tmp_path: Path) -> None:
    """Ten photos in nine seconds are one a second; an older run, days before, does not count; what is left takes so."""
    layout = written(str(tmp_path / "out"), [of_speed([0, 50])], finish=False)
    day_s = 86400.0
    commits = [of_speed([0, 1, 2, 3, 4, 5], day_s), of_speed([6, 7, 8, 9], day_s)]
    written(layout.url, commits, "two", finish=False)
    plan(layout, [*of_speed([0, 50]), *commits[0], *commits[1], *of_speed([60, 61, 62])])
    found = status(layout.url)
    assert found.speed == Speed(1.0, 1.0, BEGAN_AT + timedelta(seconds=day_s + 9))
    assert (found.planned, found.done, found.left_s) == (15, 12, 3.0)


@pytest.mark.parametrize("commits", [[], [[]], [of_speed([0])], [of_speed([0, 0.01])], [[failed("x.jpg")]]])
def test_too_little_to_tell_the_speed(commits: list[list[dict[str, object]]], tmp_path: Path) -> None:
    """No photo, one photo, and photos of one moment, failed or not, have no speed."""
    found = status(written(str(tmp_path / "out"), commits, finish=False).url)
    assert (found.speed, found.left_s, found.done) == (None, None, sum(map(len, commits)))


def test_the_writer_is_told(tmp_path: Path) -> None:
    """A living writer is named; one whose process has ended is gone, and one of another machine falls silent."""
    layout = Layout(written(str(tmp_path / "out"), finish=False).url)
    with hold(layout, "later", lambda _holder: None):
        writer = status(layout.url).writer
        lease = json.loads(storage.read_bytes(layout.lease))
    assert writer is not None
    assert (writer.run_id, writer.pid, writer.state) == ("later", os.getpid(), "alive")
    for change, state in (
        ({"pid": 2**22 + 1}, "gone"),  # above Linux's largest
        ({"machine": "another"}, "alive"),
        ({"machine": "another", "renewed": "2026-01-01T00:00:00+00:00"}, "silent"),
    ):
        storage.write_whole(layout.lease, json.dumps(lease | change).encode())
        writer = status(layout.url).writer
        assert writer is not None
        assert writer.state == state


def test_no_dataset_is_told(tmp_path: Path) -> None:
    """A folder without `run.json` is wrong usage."""
    with pytest.raises(UsageError, match="There is no dataset at"):
        status(str(tmp_path))


def test_photos_of_an_archive_that_was_not_read_to_its_end_are_known(tmp_path: Path) -> None:
    """Those with a row are, before the plan has them: never is more done than there is."""
    day = [of_speed([0, 1, 2, 3])]
    layout = written(str(tmp_path / "out"), day, finish=False)
    for archive in {row["archive"] for row in day[0]}:
        plan(layout, [{"entry": "stream", "archive": archive, "image": ""}])
    found = status(layout.url)
    assert (found.planned, found.done, found.left_s, found.unread_archives) == (4, 4, 0.0, 1)
