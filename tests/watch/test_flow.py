"""A watch over a folder, look by look, without Ray: every complete photo gets one row, once."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.core.errors import InterruptedRunError, StorageError, UsageError
from pipeline.dataset.commit_log import read_log
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import Watch
from pipeline.monitoring.status import status
from pipeline.watch.schedule import Schedule
from tests.helpers.nights import broken_invariants, changed_names, grey_photo, read_rows, zip_photos
from tests.helpers.watched_folder import BEGAN_AT, LEASE_TTL_S, nothing, run_watch, without_ray


@pytest.fixture(autouse=True)
def ray_starts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Score in this process; note when Ray would start."""
    with without_ray(monkeypatch) as starts:
        yield starts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder of two photos."""
    place = tmp_path / "in"
    place.mkdir()
    for level in (1, 2):
        (place / f"{level}.png").write_bytes(grey_photo(level))
    return place


def test_photos_are_scored_when_two_looks_found_them_the_same(
    folder: Path, tmp_path: Path, ray_starts: list[str]
) -> None:
    """A new one waits for the next look; one Ray serves all rounds, and a quiet look makes none."""
    out = str(tmp_path / "out")
    later = folder / "3.png"

    watched = run_watch(str(folder), out, [nothing, nothing, lambda: later.write_bytes(grey_photo(3)), nothing])

    assert watched.error is None
    assert [standing.watch.waiting for standing in watched.standings] == [2, 0, 0, 1, 0]
    assert watched.rounds == [2, 5]
    assert ray_starts == ["Ray"]
    assert read_rows(out) == {"in/1.png": 1, "in/2.png": 2, "in/3.png": 3}
    assert len(read_log(Layout(f"file://{out}")).tokens) == 2  # no empty commits
    summary = watched.summary
    assert summary is not None
    assert (summary.run.scored, summary.left, summary.is_finished, summary.has_trouble("any")) == (3, 0, True, False)
    assert broken_invariants(out) == []


def test_what_grows_waits(folder: Path, tmp_path: Path) -> None:
    """A photo and a zip that come in pieces are scored once, when they are whole; uploads under other names are not."""
    out, photo, archive = str(tmp_path / "out"), grey_photo(9), zip_photos({"a.png": 11, "b.png": 12})

    def drop(share: float) -> None:
        (folder / "9.png").write_bytes(photo[: int(share * len(photo))])
        (folder / "z.zip").write_bytes(archive[: int(share * len(archive))])
        for name in ("7.png.part", "7.png.crdownload", "7.png.filepart", "7.png.tmp", ".7.png.Xa3", "~$plan.xlsx"):
            (folder / name).write_bytes(photo[: int(share * len(photo))])

    def finish() -> None:
        drop(1)
        (folder / "7.png.part").rename(folder / "7.png")

    script = [lambda: drop(0.2), lambda: drop(0.5), lambda: drop(0.8), finish, nothing, nothing]
    watched = run_watch(str(folder), out, script)

    assert [standing.watch.waiting for standing in watched.standings] == [2, 2, 2, 2, 3, 0, 0]
    assert watched.rounds == [2, 6]
    levels = {"in/1.png": 1, "in/2.png": 2, "in/7.png": 9, "in/9.png": 9, "z.zip/a.png": 11, "z.zip/b.png": 12}
    assert read_rows(out) == levels
    assert broken_invariants(out) == []
    assert watched.told == []


def test_what_was_replaced_is_told_once_and_what_was_renamed_is_new(folder: Path, tmp_path: Path) -> None:
    """Scores of what was there stay, as in a run; while it is replaced nothing is told."""
    out, archive = str(tmp_path / "out"), folder / "z.zip"
    archive.write_bytes(zip_photos({"a.png": 11}))
    again = zip_photos({"a.png": 21, "b.png": 22})

    def change() -> None:
        archive.write_bytes(again[:30])
        (folder / "1.png").write_bytes(grey_photo(101))
        (folder / "2.png").rename(folder / "2b.png")

    script = [nothing, change, lambda: archive.write_bytes(again), nothing, nothing, nothing]
    watched = run_watch(str(folder), out, script)

    assert [(look, changed_names([change])) for look, change in watched.told] == [(4, ["1.png"]), (5, ["z.zip"])]
    assert read_rows(out) == {"in/1.png": 1, "in/2.png": 2, "in/2b.png": 2, "z.zip/a.png": 11}
    assert watched.summary is not None
    assert changed_names(watched.summary.new_changes) == ["1.png", "z.zip"]
    assert watched.summary.has_trouble("new")
    assert broken_invariants(out) == []


def test_what_was_replaced_can_be_scored_anew(folder: Path, tmp_path: Path) -> None:
    """With `rescore`, also a copy that paused for so long that half of it was taken for complete."""
    out, photo = str(tmp_path / "out"), grey_photo(9)
    (folder / "9.png").write_bytes(photo[:50])
    script = [nothing, nothing, lambda: (folder / "9.png").write_bytes(photo), nothing]
    watched = run_watch(str(folder), out, script, on_changed="rescore")
    assert watched.rounds == [2, 5]
    assert read_rows(out) == {"in/1.png": 1, "in/2.png": 2, "in/9.png": 9}
    assert watched.summary is not None
    assert watched.summary.is_finished
    assert broken_invariants(out) == []


def test_inputs_that_are_away_are_looked_for_again(folder: Path, tmp_path: Path) -> None:
    """The trouble stands in `status` until they are back; nothing is lost, and nothing fails."""
    out, away, seen = str(tmp_path / "out"), tmp_path / "away", list[object]()

    def come_back() -> None:
        time.sleep(LEASE_TTL_S)
        writer = status(out).writer
        assert writer is not None
        seen.append(writer.watch)
        away.rename(folder)
        (folder / "3.png").write_bytes(grey_photo(3))

    script = [nothing, lambda: folder.rename(away), nothing, come_back, nothing]
    watched = run_watch(str(folder), out, script)

    troubles = [standing.watch.trouble for standing in watched.standings]
    assert [bool(trouble) for trouble in troubles] == [False, False, True, True, False, False]
    assert troubles[2].startswith(f"{folder} was not found")
    assert seen == [Watch(60.0, BEGAN_AT + timedelta(seconds=10), 0, troubles[2])]
    assert watched.error is None
    assert read_rows(out) == {"in/1.png": 1, "in/2.png": 2, "in/3.png": 3}
    assert broken_invariants(out) == []


def test_an_end_while_inputs_are_away_is_not_done(folder: Path, tmp_path: Path) -> None:
    """Nobody knows what is left: exit code 4."""
    watched = run_watch(str(folder), str(tmp_path / "out"), [nothing, lambda: folder.rename(tmp_path / "away")])
    assert isinstance(watched.error, InterruptedRunError)
    assert str(watched.error).startswith(f"Stopped while photos may be left: {folder} was not found")


def test_an_end_while_files_wait_is_not_done(folder: Path, tmp_path: Path) -> None:
    """They need another run: exit code 4."""
    watched = run_watch(str(folder), str(tmp_path / "out"), [])
    assert str(watched.error) == (
        "Stopped before 2 files that were not complete yet. What is finished is committed; run the same command again "
        "to go on."
    )


def test_a_commit_that_failed_is_made_anew(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the output is away, a later round takes over under a new name: no tile stands twice, no photo is missing."""
    out, create, fails = str(tmp_path / "out"), storage.create, [True]

    def fail_once(url: str, data: bytes) -> bool:
        if "/images/" in url and fails:
            fails.clear()
            raise StorageError(f"{url} could not be created: the disk is full.")
        return create(url, data)

    monkeypatch.setattr("pipeline.storage.create", fail_once)

    watched = run_watch(str(folder), out, [nothing, nothing])

    assert [bool(standing.watch.trouble) for standing in watched.standings] == [False, True, False]
    assert watched.error is None
    assert read_rows(out) == {"in/1.png": 1, "in/2.png": 2}
    assert broken_invariants(out) == []
    assert status(out).is_finished


def test_an_empty_folder_is_no_error(tmp_path: Path) -> None:
    """Nothing has come yet: no dataset is begun, and a later run may use the place."""
    (tmp_path / "in").mkdir()
    out = str(tmp_path / "out")
    watched = run_watch(str(tmp_path / "in"), out, [nothing])
    assert watched.error is None
    assert watched.rounds == []
    assert watched.summary is not None
    assert watched.summary.listed == 0
    (tmp_path / "in/1.png").write_bytes(grey_photo(1))
    assert run_watch(str(tmp_path / "in"), out, [nothing]).rounds == [2]


def test_a_glob_may_match_nothing_yet(tmp_path: Path) -> None:
    """In a folder that is there; one that is not is wrong usage."""
    (tmp_path / "in").mkdir()
    drop = (tmp_path / "in/a.zip").write_bytes
    watched = run_watch(
        f"{tmp_path}/in/*.zip", str(tmp_path / "out"), [lambda: drop(zip_photos({"a.png": 7})), nothing]
    )
    assert read_rows(str(tmp_path / "out")) == {"a.zip/a.png": 7}
    assert watched.error is None
    for wrong in ("no/*.zip", "no"):
        refused = run_watch(f"{tmp_path}/{wrong}", str(tmp_path / "other"), [])
        assert isinstance(refused.error, UsageError)
    assert not (tmp_path / "other").exists()


def test_a_watch_of_a_finished_dataset_changes_nothing_but_the_report(folder: Path, tmp_path: Path) -> None:
    """Until something new comes, the summary stays, and no commit is added."""
    out = tmp_path / "out"
    run_watch(str(folder), str(out), [nothing])
    before = {path: path.read_bytes() for path in out.glob("*/part-*")} | {out: (out / "summary.json").read_bytes()}
    watched = run_watch(str(folder), str(out), [nothing, nothing])
    assert (watched.rounds, watched.error) == ([], None)
    after = {path: path.read_bytes() for path in out.glob("*/part-*")} | {out: (out / "summary.json").read_bytes()}
    assert after == before
    assert watched.summary is not None
    assert (watched.summary.listed, watched.summary.done_before) == (2, 2)


def test_the_time_to_stop_ends_it(folder: Path, tmp_path: Path) -> None:
    """As Ctrl-C does."""
    watched = run_watch(str(folder), str(tmp_path / "out"), [nothing] * 9, Schedule(60.0, datetime.now(UTC)))
    assert len(watched.standings) == 1


def test_the_report_is_up_to_date_after_each_round(folder: Path, tmp_path: Path) -> None:
    """One entry for the watch, which says how it ended when it has."""
    out, seen = tmp_path / "out", list[object]()

    def look_at_report() -> None:
        seen.extend((run["ended"], run["photos"]) for run in json.loads((out / "run-report.json").read_text())["runs"])

    run_watch(str(folder), str(out), [nothing, look_at_report])
    look_at_report()
    assert seen == [("watching", 2), ("done", 2)]


def test_a_limit_is_refused(folder: Path, tmp_path: Path) -> None:
    """It is for trials."""
    watched = run_watch(str(folder), str(tmp_path / "out"), [], limit=1)
    assert str(watched.error) == "--limit is for a trial, and --watch goes on; give one of them."
