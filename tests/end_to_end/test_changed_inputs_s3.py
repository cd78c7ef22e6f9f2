"""A night of ten archives on S3 that are replaced, vanish or are mended: the rest goes on, and each is told by name."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from pipeline import storage
from pipeline.cluster.session import ClusterConfig, ray_session
from pipeline.dataset.commit_log import read_log
from pipeline.dataset.layout import Layout
from pipeline.monitoring.status import status
from tests import ROOT
from tests.conftest import S3Place
from tests.helpers.nights import (
    broken_invariants,
    changed_names,
    grey_photo,
    read_rows,
    refusal_of,
    retry_night,
    run_night,
    zip_photos,
)

pytestmark = pytest.mark.ray


@pytest.fixture
def ray_on_s3(s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Place]:
    """Start a private Ray whose workers reach the S3 server and find the tests' modules."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with ray_session(ClusterConfig(cpus=2)):
        monkeypatch.setattr("pipeline.scoring.flow.ray_session", lambda *_: nullcontext())
        yield s3


def test_a_night_of_ten_archives_on_s3(ray_on_s3: S3Place) -> None:
    """One is replaced, one unreadable, one vanished before it was scored, one photo was mended: the rest is scored."""
    prefix, out = f"{ray_on_s3.url}/tonight", f"{ray_on_s3.url}/scores"
    for number in range(9):
        storage.write_whole(f"{prefix}/a{number}.zip", zip_photos({"x.png": 10 + number, "y.png": 30 + number}))
    storage.write_whole(f"{prefix}/a9.zip", b"no zip at all")
    storage.write_whole(f"{prefix}/loose.png", grey_photo(99))
    storage.write_whole(f"{prefix}/mended.png", b"")
    first = run_night(prefix, out)
    assert (first.told, first.summary.run.failed, first.summary.failed) == ((), 2, 2)

    storage.write_whole(f"{prefix}/new.zip", zip_photos({"x.png": 200, "y.png": 201}))
    storage.write_whole(f"{prefix}/later.zip", zip_photos({"x.png": 210}))
    run_night(prefix, out, limit=1)  # lists both, scores one photo of the three
    before = read_rows(out)
    [undone] = [name for name in ("later.zip/x.png", "new.zip/x.png", "new.zip/y.png") if name not in before][:1]
    storage.remove(f"{prefix}/{undone.partition('/')[0]}")
    storage.write_whole(f"{prefix}/a0.zip", zip_photos({"x.png": 110, "z.png": 111}))
    storage.write_whole(f"{prefix}/mended.png", grey_photo(55))
    storage.write_whole(f"{prefix}/fresh.png", grey_photo(66))

    second = run_night(prefix, out)

    vanished = undone.partition("/")[0]
    assert changed_names(second.told) == sorted(["a0.zip", "mended.png", vanished])
    assert changed_names(second.summary.new_changes) == changed_names(second.told)
    rows = read_rows(out)
    assert rows["a0.zip/x.png"] == 10  # of what was there before
    assert rows["tonight/mended.png"] == "empty_file"
    assert rows["tonight/fresh.png"] == 66
    assert rows["a9.zip/"] == "archive_unreadable"
    lost = {name for name, outcome in rows.items() if outcome == "vanished"}
    assert lost == {name for name in ("later.zip/x.png", "new.zip/x.png", "new.zip/y.png")
                    if name.startswith(vanished) and name not in before}  # fmt: skip
    assert {name: rows[name] for name in before} == before
    assert second.summary.run.failed == len(lost)
    assert second.summary.has_trouble("new")
    assert broken_invariants(out) == []
    assert changed_names(status(out).changes) == changed_names(second.told)

    third = run_night(prefix, out)
    assert changed_names(third.told) == ["a0.zip", "mended.png"]  # the third has its failed rows now
    assert (third.summary.new_changes, third.summary.run.failed, third.summary.run.tried) == ((), 0, 0)
    assert (third.summary.has_trouble("new"), third.summary.has_trouble("any")) == (False, True)
    assert third.summary.has_trouble("never") is False

    assert retry_night(out).run.scored == 1
    assert read_rows(out)["tonight/mended.png"] == 55
    assert "a0.zip (replaced). Nothing was scored" in refusal_of(prefix, out)

    fourth = run_night(prefix, out, "rescore")
    assert fourth.summary.run.scored == 2
    rows = read_rows(out)
    assert {name: level for name, level in rows.items() if name.startswith("a0.zip")} == {
        "a0.zip/x.png": 110,
        "a0.zip/z.png": 111,
    }
    assert broken_invariants(out) == []
    assert run_night(prefix, out).told == ()


@pytest.mark.soak
def test_nights_on_s3_that_are_killed(ray_on_s3: S3Place) -> None:
    """Two runs are killed with kill -9, inputs are replaced and vanish in between: each photo has its one true row."""
    prefix, out = f"{ray_on_s3.url}/tonight", f"{ray_on_s3.url}/scores"
    for number in range(10):
        levels = {f"{photo}.png": 10 * number + photo for photo in range(6)}
        storage.write_whole(f"{prefix}/a{number}.zip", zip_photos(levels))
    kill_after(6, out, prefix)
    before = read_rows(out)
    photos = Counter(name.partition("/")[0] for name in before)
    begun, untouched = photos.most_common(1)[0][0], [f"a{n}.zip" for n in range(10) if not photos[f"a{n}.zip"]]
    for name in (begun, untouched[0]):
        storage.write_whole(f"{prefix}/{name}", zip_photos({"0.png": 200, "new.png": 201}))
    storage.remove(f"{prefix}/{untouched[1]}")
    kill_after(len(before) + 6, out, prefix)
    assert before.items() <= read_rows(out).items()

    night = run_night(prefix, out)

    rows = read_rows(out)
    assert broken_invariants(out) == []
    assert before.items() <= rows.items()
    assert {name: level for name, level in rows.items() if name.startswith(f"{untouched[0]}/")} == {
        f"{untouched[0]}/0.png": 200,
        f"{untouched[0]}/new.png": 201,
    }
    lost = {name: kind for name, kind in rows.items() if isinstance(kind, str)}
    assert lost == {f"{untouched[1]}/{photo}.png": "vanished" for photo in range(6)} | {
        f"{begun}/{photo}.png": "archive_changed" for photo in range(6) if f"{begun}/{photo}.png" not in before
    }
    assert begun in changed_names(night.told)

    run_night(prefix, out, "rescore")
    again = {name: level for name, level in read_rows(out).items() if name.startswith(f"{begun}/")}
    assert again == {f"{begun}/0.png": 200, f"{begun}/new.png": 201}
    assert broken_invariants(out) == []


def kill_after(photos: int, out: str, prefix: str) -> None:
    """Score in a process of its own, and kill it once that many photos have their row; its log is left."""
    command = [sys.executable, "-m", "tests.helpers.brightness_engine", out, prefix]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        until_s = time.monotonic() + 120
        while len(read_log(Layout(out)).done) < photos and process.poll() is None and time.monotonic() < until_s:
            time.sleep(0.05)
        assert process.poll() is None
        process.kill()
