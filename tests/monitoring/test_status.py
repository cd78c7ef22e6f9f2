"""Progress, speed, failures and writer of datasets whose answers are known."""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.core.errors import DatasetError, UsageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.monitoring.changes import Change
from pipeline.monitoring.status import Speed, status
from tests.helpers.small_dataset import ARCHIVES, BEGAN_AT, COMMITS, failed, ok, write_dataset, write_plan


def of_speed(seconds: list[float], start_s: float = 0.0) -> list[dict[str, object]]:
    """Photos of one tile, scored at these moments."""
    return [ok(f"{start_s + second}.jpg", 80, 80, start_s + second) for second in seconds]


def test_a_finished_dataset(tmp_path: Path) -> None:
    """All is done, failures come by kind, the most frequent first, and nobody writes."""
    more = [failed("x.jpg", "empty_file"), failed("y.jpg", "empty_file"), failed("z.jpg", "empty_file")]
    found = status(str(write_dataset(str(tmp_path / "out"), [*COMMITS, more]).url))
    assert (found.is_finished, found.is_sealed, found.planned, found.done, found.failed) == (True, False, 8, 8, 5)
    assert [*found.failures.items()] == [("empty_file", 3), ("not_an_image", 2)]
    assert found.writer is None


def test_an_unfinished_dataset(tmp_path: Path) -> None:
    """Photos without a row are left, a photo that two plans list counts once, and unread archives are counted."""
    layout = write_dataset(str(tmp_path / "out"), finish=False)
    write_plan(layout, [ok("one-more.jpg"), *(row for rows in COMMITS for row in rows)])
    write_plan(layout, [ok("a.jpg") | {"archive": "file:///overlaps"}])
    write_plan(layout, [{"entry": "stream", "archive": "file:///photos/three.tgz", "image": ""}])
    found = status(layout.url)
    assert (found.is_finished, found.planned, found.done, found.unread_archives) == (False, 6, 5, 1)


def test_the_speed_is_that_of_the_last_run(tmp_path: Path) -> None:
    """Ten photos in nine seconds are one a second, also for the rest; a run of a day before does not count."""
    layout = write_dataset(str(tmp_path / "out"), [of_speed([0, 50])], finish=False)
    day_s = 86400.0
    commits = [of_speed([0, 1, 2, 3, 4, 5], day_s), of_speed([6, 7, 8, 9], day_s)]
    write_dataset(layout.url, commits, "two", finish=False)
    write_plan(layout, [*of_speed([0, 50]), *commits[0], *commits[1], *of_speed([60, 61, 62])])
    found = status(layout.url)
    assert found.speed == Speed(1.0, 1.0, BEGAN_AT + timedelta(seconds=day_s + 9))
    assert (found.planned, found.done, found.left_s) == (15, 12, 3.0)


@pytest.mark.parametrize("commits", [[], [[]], [of_speed([0])], [of_speed([0, 0.01])], [[failed("x.jpg")]]])
def test_too_few_photos_give_no_speed(commits: list[list[dict[str, object]]], tmp_path: Path) -> None:
    """No photo, one photo, and photos of one moment have no speed, failed or not."""
    found = status(write_dataset(str(tmp_path / "out"), commits, finish=False).url)
    assert (found.speed, found.left_s, found.done) == (None, None, sum(map(len, commits)))


def test_the_writer_is_named(tmp_path: Path) -> None:
    """A writer is alive, gone if its process has ended, or silent if it is elsewhere and its lease is stale."""
    layout = Layout(write_dataset(str(tmp_path / "out"), finish=False).url)
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


def test_a_folder_without_a_dataset_is_refused(tmp_path: Path) -> None:
    """It has no `run.json`."""
    with pytest.raises(UsageError, match="There is no dataset at"):
        status(str(tmp_path))


def test_photos_of_a_stream_that_is_being_read_are_known(tmp_path: Path) -> None:
    """Photos with a row count as planned before the plan has them, so that `done` never exceeds `planned`."""
    day = [of_speed([0, 1, 2, 3])]
    layout = write_dataset(str(tmp_path / "out"), day, finish=False)
    for archive in {row["archive"] for row in day[0]}:
        write_plan(layout, [{"entry": "stream", "archive": archive, "image": ""}])
    found = status(layout.url)
    assert (found.planned, found.done, found.left_s, found.unread_archives) == (4, 4, 0.0, 1)


def test_archives_that_are_not_listed_yet_are_counted(tmp_path: Path) -> None:
    """Those that the latest run is to list and the plan does not have; without its note there are none."""
    layout = write_dataset(str(tmp_path / "out"), finish=False)
    assert status(layout.url).unlisted_archives == 0
    storage.write_whole(layout.awaited, json.dumps({"archives": [*ARCHIVES, "file:///new.zip"]}).encode())
    assert status(layout.url).unlisted_archives == 1
    storage.write_whole(layout.awaited, b"[]")
    with pytest.raises(DatasetError, match=r"awaited\.json is damaged: TypeError.*Remove it"):
        status(layout.url)


def test_changes_are_those_of_the_last_run(tmp_path: Path) -> None:
    """An older report without changes, or with others, says nothing of now."""
    layout = write_dataset(str(tmp_path / "out"))
    change = Change("file:///photos/one.zip", "replaced", "2", scored=3)
    runs = [
        {"changes": [change._replace(url="file:///old.zip")._asdict()]},
        {"changes": [change._asdict(), {"odd": 1}]},
    ]
    storage.write_whole(layout.report, json.dumps({"runs": runs}).encode())
    assert status(layout.url).changes == (change,)
    storage.write_whole(layout.report, json.dumps({"runs": [*runs, {"run_id": "of 0.3"}]}).encode())
    assert status(layout.url).changes == ()
