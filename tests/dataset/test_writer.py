"""The writer: what is committed, what a killed or late writer leaves, and what is refused."""

import io
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.core import schema
from pipeline.core.errors import DatasetError, LostPlaceError, StorageError, UsageError
from pipeline.dataset import lease
from pipeline.dataset.commit_log import read_log
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import Holder, Lease, hold, read_lease
from pipeline.dataset.run import Run
from pipeline.dataset.writer import COMMIT_PHOTOS, DatasetWriter, open_writer
from tests import ROOT
from tests.helpers.interleaved_writers import Disk, Writer

BOX = {"row": 0, "top_px": 0, "height_px": 10, "width_px": 10}


def run_named(run_id: str, **fingerprint: object) -> Run:
    """A run that writes under this name."""
    return Run(run_id, "model00", {"tile_px": 10, **fingerprint}, {"began_at": "now"})


class NoLease(Lease):
    """A lease that notices nothing: what the commit log must withstand by itself."""

    def check(self) -> None:
        """Find everything well."""


def opened(layout: Layout, run_id: str, **fingerprint: object) -> DatasetWriter:
    """A writer that nothing but the commit log holds back."""
    return open_writer(layout, run_named(run_id, **fingerprint), NoLease(layout, lease._this_process(run_id), None))


def scored(*names: str, failed: bool = False) -> pa.Table:
    """Two tiles a photo, scored 0.25 and 0.75; or photos that failed."""
    facts = {"archive": "file:///a", "occurrence": 0, "size_bytes": 1, "scored_at": datetime(2026, 1, 1, tzinfo=UTC)}
    if failed:
        outcome: dict[str, object] = {"status": "failed", "failure_stage": "decode", "failure_kind": "not_an_image"}
    else:
        grid = [BOX | {"col": col, "left_px": 10 * col, "crack_score": score} for col, score in enumerate((0.25, 0.75))]
        outcome = {"status": "ok", "tiles": 2, "crack_tiles": 1, "crack_score": 0.75, "grid": grid}
    return pa.Table.from_pylist([{"image_id": n, "image": n, **facts, **outcome} for n in names], schema=schema.SCORED)


def bare(layout: Layout, table: str) -> list[str]:
    """Photo ids as a reader finds them who knows nothing of commits: every Parquet file, every row."""
    files = sorted(storage.local_path(layout.url).joinpath(table).glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file, columns=["image_id"])["image_id"].to_pylist()]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A place for a dataset."""
    return Layout(storage.canonical(str(tmp_path / "out")))


@pytest.fixture
def sink(layout: Layout) -> DatasetWriter:
    """A dataset just begun."""
    return opened(layout, "first")


def test_a_commit_is_images_tiles_and_failures(layout: Layout, sink: DatasetWriter) -> None:
    """One commit holds the scored photos, their tiles, and the failed photos in a file of their own."""
    sink.add(scored("a", "b"))
    sink.add(scored("c", failed=True))
    sink.commit()
    assert bare(layout, "images") == ["c", "a", "b"]  # failed-000000 sorts first
    assert bare(layout, "tiles") == ["a", "a", "b", "b"]
    log = read_log(layout)
    assert (log.tokens, sorted(log.done.to_pylist()), log.failed, log.orphans) == (("first",), ["a", "b", "c"], 1, ())


def test_nothing_is_written_before_a_commit(layout: Layout, sink: DatasetWriter) -> None:
    """Photos wait in memory; a commit of nothing writes nothing."""
    sink.commit()
    sink.add(scored("a"))
    assert bare(layout, "images") == []


def test_what_has_waited_long_enough_is_due(sink: DatasetWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that waits is never due."""
    sink.add(scored("a"))
    assert not sink.is_due
    monkeypatch.setattr("pipeline.dataset.writer.COMMIT_S", 0.0)
    assert sink.is_due
    sink.commit()
    assert not sink.is_due


def test_many_photos_commit_by_themselves(layout: Layout, sink: DatasetWriter) -> None:
    """A few hundred photos are committed without being asked."""
    sink.add(scored(*(str(n) for n in range(COMMIT_PHOTOS))))
    assert len(bare(layout, "images")) == COMMIT_PHOTOS


def test_a_map_is_there_before_its_photo(layout: Layout, sink: DatasetWriter) -> None:
    """It is written as it comes, so that no photo is ever committed without its map."""
    [row] = scored("a").to_pylist()
    sink.add(pa.Table.from_pylist([row | {"crack_map": b"png"}], schema=schema.SCORED))
    assert storage.read_bytes(layout.map("a")) == b"png"
    assert bare(layout, "images") == []
    sink.commit()
    assert bare(layout, "images") == ["a"]


def test_files_have_the_declared_schema(layout: Layout, sink: DatasetWriter) -> None:
    """Columns and types are those of `schema`, and the metadata names the run and the model."""
    sink.add(scored("a"))
    sink.commit()
    for url, declared in ((layout.images(0), schema.IMAGES), (layout.tiles(0, "first"), schema.TILES)):
        found = pq.read_schema(io.BytesIO(storage.read_bytes(url)))
        assert found.equals(declared)
        assert found.metadata[b"crackscan.token"] == b"first"
        assert found.metadata[b"crackscan.model"] == b"model00"


@pytest.mark.parametrize("cut_after", ["tiles", "failed"])
def test_a_writer_killed_within_a_commit_leaves_nothing_twice(
    layout: Layout, sink: DatasetWriter, cut_after: str
) -> None:
    """Killed after the tiles file, or after the failed file too: the next run sweeps both and scores again."""
    sink.add(scored("a"))
    sink.commit()
    orphan = pa.concat_tables([scored("b"), scored("c", failed=True)])
    storage.write_whole(layout.tiles(1, "first"), sink._encoded(schema.tiles_table(orphan, 1)))
    if cut_after == "failed":
        images = schema.images_table(orphan, 1, "model00", "first").slice(1)
        storage.write_whole(layout.failed(1), sink._encoded(images))
    second = opened(layout, "second")
    assert read_log(layout).done.to_pylist() == ["a"]
    assert bare(layout, "images") == ["a"]
    assert bare(layout, "tiles") == ["a", "a"]
    second.add(scored("b"))
    second.commit()
    assert bare(layout, "tiles") == ["a", "a", "b", "b"]


def test_a_late_writer_loses_its_place(layout: Layout, sink: DatasetWriter) -> None:
    """A writer that wakes up after another took over, even one that has finished, leaves nothing and is told so."""
    sink.add(scored("a"))
    sink.commit()
    second = opened(layout, "second")
    second.add(scored("b"))
    second.finish(pa.chunked_array([["a", "b"]]))
    sink.add(scored("late"))
    sink.add(scored("later", failed=True))
    with pytest.raises(LostPlaceError, match="Another writer has taken"):
        sink.commit()
    sink.commit()  # nothing waits any more
    assert sorted(bare(layout, "images")) == ["a", "b"]
    assert sorted(bare(layout, "tiles")) == ["a", "a", "b", "b"]


def test_what_an_older_writer_commits_last_is_known_to_the_next(layout: Layout, sink: DatasetWriter) -> None:
    """The log that a new writer works from is the one after its fence: no photo is scored a second time."""
    sink.add(scored("a"))
    sink.commit()
    assert opened(layout, "second").log.done.to_pylist() == ["a"]


def test_the_summary_stands_only_when_all_is_done(layout: Layout, sink: DatasetWriter) -> None:
    """`summary.json` appears when every planned photo has its row, and goes when new work begins."""
    planned = pa.chunked_array([["a", "b"]])
    sink.add(scored("a"))
    sink.finish(planned)
    assert not storage.exists(layout.summary)
    sink.add(scored("b", failed=True))
    sink.finish(planned)
    assert storage.exists(layout.summary)
    opened(layout, "second")
    assert not storage.exists(layout.summary)


def test_scores_of_another_fingerprint_are_refused(layout: Layout, sink: DatasetWriter) -> None:
    """A dataset holds scores of one fingerprint; the message shows both values of what differs."""
    del sink
    with pytest.raises(UsageError) as refused:
        opened(layout, "second", tile_px=20)
    assert "tile_px is 10 there and 20 here" in str(refused.value)


@pytest.mark.parametrize("planned", [["a", "b"], None])
def test_no_summary_while_not_all_is_known_or_done(
    layout: Layout, sink: DatasetWriter, planned: list[str] | None
) -> None:
    """Neither where a planned photo has no row, nor where an archive's photos are not known yet."""
    sink.add(scored("a"))
    sink.finish(planned and pa.chunked_array([planned]))
    assert not storage.exists(layout.summary)


def test_the_log_is_kept_current(layout: Layout, sink: DatasetWriter) -> None:
    """What the writer knows after its commits is what a reader finds."""
    sink.add(scored("a"))
    sink.commit()
    sink.add(scored("b", failed=True))
    sink.commit()
    found = read_log(layout)
    assert sink.log.done.to_pylist() == ["a", "b"]
    assert sorted(found.done.to_pylist()) == ["a", "b"]
    assert (sink.log.tokens, sink.log.failed, sink.log.failed_parts) == (found.tokens, found.failed, found.failed_parts)


def test_a_photo_that_comes_twice_is_taken_once(layout: Layout, sink: DatasetWriter) -> None:
    """A scorer that was thought lost may hand its photos over all the same: in one table, later, or after a commit."""
    sink.add(scored("a", "b", "a"))
    sink.add(scored("b", "c"))
    sink.commit()
    sink.add(scored("c"))
    sink.commit()
    assert bare(layout, "images") == ["a", "b", "c"]
    assert len(read_log(layout).tokens) == 1


def test_a_sealed_dataset_is_refused(layout: Layout) -> None:
    """What `compact` made is finished for good."""
    storage.write_whole(layout.run, json.dumps({"fingerprint": {"tile_px": 10}, "sealed": True}).encode())
    with pytest.raises(UsageError, match="is sealed: `crackscan compact` made it"):
        opened(layout, "second")


def test_temporary_files_of_killed_writers_are_swept(layout: Layout, sink: DatasetWriter) -> None:
    """A kill in the middle of a write leaves a file of no use; the next run removes it."""
    sink.add(scored("a"))
    sink.commit()
    left = storage.local_path(layout.images(1)).with_name(".part-000001.parquet.0123456789abcdef0123456789abcdef.tmp")
    left.write_bytes(b"half of i")
    opened(layout, "second")
    assert not left.exists()


def test_tiles_of_a_later_commit_are_not_swept(layout: Layout, sink: DatasetWriter) -> None:
    """A writer that wakes up while it sweeps removes nothing of the writer that took over from it."""
    later = layout.tiles(5, "later")
    storage.write_whole(later, b"of a commit under way")
    sink.add(scored("a"))
    sink.finish(None)
    assert storage.exists(later)


def test_a_fence_stands_behind_what_an_older_writer_commits_meanwhile(
    layout: Layout, sink: DatasetWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older writer may be quicker by one commit: the next number is the fence then, and that photo is known."""
    create = storage.create

    def quicker(url: str, data: bytes) -> bool:
        if url == layout.images(0) and not storage.exists(url):
            monkeypatch.undo()
            sink.add(scored("a", "b"))
            sink.commit()
        return create(url, data)

    monkeypatch.setattr(storage, "create", quicker)
    second = opened(layout, "second")
    assert (second.log.tokens, second.log.done.to_pylist()) == (("first", "second"), ["a", "b"])


def test_a_writer_checks_its_lease_before_every_commit(layout: Layout) -> None:
    """With the lease gone nothing is written, neither rows nor tiles nor a summary."""
    with pytest.raises(LostPlaceError, match="the lease is gone"), hold(layout, "first", print) as ours:
        commit_without_lease(layout, ours)
    assert (bare(layout, "images"), bare(layout, "tiles")) == (["a"], ["a", "a"])


def commit_without_lease(layout: Layout, ours: Lease) -> None:
    """Commit a photo, lose the lease, and try another."""
    sink = open_writer(layout, run_named("first"), ours)
    sink.add(scored("a"))
    sink.commit()
    storage.remove(layout.lease)
    with pytest.raises(LostPlaceError):
        sink.finish(pa.chunked_array([["a"]]))
    assert not storage.exists(layout.summary)
    sink.add(scored("b"))
    sink.commit()


@pytest.mark.parametrize(
    ("kinds", "left"), [(None, ["ok"]), (["not_an_image"], ["ok", "t"]), (["none"], ["n", "ok", "t"])]
)
def test_failed_photos_can_be_forgotten(
    layout: Layout, sink: DatasetWriter, kinds: list[str] | None, left: list[str]
) -> None:
    """All of them, or those of some kinds; the log is right at once, and they can be scored again."""
    planned = pa.chunked_array([["ok", "n", "t"]])
    truncated = scored("t", failed=True).to_pylist()[0] | {"failure_kind": "truncated_image"}
    sink.add(scored("ok"))
    sink.add(scored("n", failed=True))
    sink.add(pa.Table.from_pylist([truncated], schema=schema.SCORED))
    sink.finish(planned)
    second = opened(layout, "second")
    assert second.forget_failed(kinds) == 3 - len(left)
    assert not storage.exists(layout.summary)
    found = read_log(layout)
    assert sorted(found.done.to_pylist()) == sorted(second.log.done.to_pylist()) == left
    assert (found.failed, found.failed_parts) == (second.log.failed, second.log.failed_parts)
    second.add(scored(*sorted({"ok", "n", "t"} - {*left})))
    second.finish(planned)
    assert sorted(bare(layout, "images")) == ["n", "ok", "t"]
    assert storage.exists(layout.summary)


def test_a_commit_that_failed_is_the_last(layout: Layout, sink: DatasetWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """How far it came is not known, so this writer adds nothing to it; the next one finds a sound dataset."""
    sink.add(scored("a"))
    sink.commit()
    create = storage.create

    def answer_lost(url: str, data: bytes) -> bool:
        create(url, data)
        raise StorageError(f"{url} could not be created: the answer was lost.")

    monkeypatch.setattr(storage, "create", answer_lost)
    sink.add(scored("b"))
    with pytest.raises(StorageError):
        sink.commit()
    monkeypatch.undo()
    sink.add(scored("c"))
    sink.commit()
    assert opened(layout, "second").log.done.to_pylist() == ["a", "b"]
    assert (bare(layout, "images"), bare(layout, "tiles")) == (["a", "b"], ["a", "a", "b", "b"])


MEMORY = Layout("memory://out")
PAIRS = (("a", "b-failed"), ("c-failed", "d"), ("e-failed", "f-failed"))
"""What a run commits, pair by pair."""
ALL = pa.chunked_array([[name for pair in PAIRS for name in pair]])


def score_what_is_left(run_id: str) -> None:
    """Do as a run does: take over, commit what has no row yet, and finish."""
    sink = opened(MEMORY, run_id)
    done = {*sink.log.done.to_pylist()}
    for pair in PAIRS:
        for name in pair:
            if name not in done:
                sink.add(scored(name, failed=name.endswith("failed")))
        sink.commit()
    sink.finish(ALL)


def retry(run_id: str) -> None:
    """Do as `crackscan retry` does: forget what failed, score it again, and finish."""
    sink = opened(MEMORY, run_id)
    sink.forget_failed(None)
    sink.add(scored(*sorted({*ALL.to_pylist()} - {*sink.log.done.to_pylist()}), failed=True))
    sink.finish(ALL)


def rows(disk: Disk, table: str) -> list[tuple[int, str]]:
    """Commit and photo of every row that a reader finds who opens all files of a table."""
    found = [pq.read_table(io.BytesIO(data)) for url, data in disk.files.items() if f"/{table}/" in url]
    return sorted((row["part"], row["image_id"]) for file in found for row in file.to_pylist())


def check_exact(disk: Disk) -> None:
    """Every photo has one row, every scored photo its two tiles, of the same commit; and the dataset is finished."""
    images = rows(disk, "images")
    assert sorted(name for _, name in images) == ALL.to_pylist()
    assert rows(disk, "tiles") == sorted(row for row in images if not row[1].endswith("failed") for _ in range(2))
    assert disk.exists(MEMORY.summary)


MOVES = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 15), st.sampled_from(["", "", "kill"])), max_size=14)


@settings(max_examples=40)
@given(MOVES)
def test_whatever_writers_do_to_each_other_every_photo_has_one_row(moves: list[tuple[int, int, str]]) -> None:
    """Three runs at once, stopped and killed between any two operations, without any lease.

    A run that comes after them finds or makes the dataset exact, and those that wake up later still leave it so.
    """
    disk = Disk()
    with disk.in_place():
        writers = [Writer(f"run{number}", score_what_is_left) for number in range(3)]
        for number, count, end in moves:
            writers[number].steps(count)
            if end == "kill":
                writers[number].kill()
        last = Writer("last", score_what_is_left)
        last.steps()
        check_exact(disk)
        for late in [writer for writer in writers if writer.ident is not None]:
            late.steps()
        check_exact(disk)
    assert [writer.trouble for writer in [*writers, last]] == [None] * 4


@settings(max_examples=30)
@given(st.integers(1, 60))
def test_a_retry_killed_anywhere_leaves_photos_to_do(steps: int) -> None:
    """However far it came, the next run finds every photo done or to be done, none twice."""
    disk = Disk()
    with disk.in_place():
        for writer in (Writer("first", score_what_is_left), Writer("retry", retry), Writer("last", score_what_is_left)):
            writer.steps(steps if writer.name == "retry" else None)
            writer.kill()
            assert writer.trouble is None
        check_exact(disk)


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """Let this process write no longer files: as a disk that fills up does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_stops_the_run(layout: Layout, sink: DatasetWriter) -> None:
    """When a file cannot be written to its end, what was committed stands, and nothing else is seen."""
    sink.add(scored("a"))
    sink.commit()
    sink.add(scored(*(f"{n:05d}" for n in range(400))))
    with files_of_at_most(4096), pytest.raises(StorageError, match=r"could not be written: .*File too large"):
        sink.commit()
    opened(layout, "second").finish(pa.chunked_array([["a"]]))
    assert (bare(layout, "images"), bare(layout, "tiles")) == (["a"], ["a", "a"])
    assert storage.exists(layout.summary)


SLEEPER = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[2])))
from tests.dataset.test_writer import *
lease.TTL_S = 0.5
layout = Layout(sys.argv[1])
try:
    with hold(layout, "first", print) as ours:
        sink = open_sink(layout, run_named("first"), ours)
        sink.add(scored("a"))
        sink.commit()
        sink.add(scored("late", failed=True))
        print("ready", flush=True)
        sys.stdin.readline()
        sink.finish(pa.chunked_array([["a", "late"]]))
except LostPlaceError as error:
    print(error)
"""


@contextmanager
def sleeping_writer(layout: Layout) -> Iterator["subprocess.Popen[str]"]:
    """A process that has committed a photo, and holds another that it will commit when it is told to go on."""
    command = [sys.executable, "-c", SLEEPER, layout.url, str(ROOT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sleeper:
        try:
            assert sleeper.stdout is not None
            assert sleeper.stdout.readline() == "ready\n"
            yield sleeper
        finally:
            sleeper.kill()


@pytest.mark.ray
def test_a_writer_that_was_stopped_beyond_its_lease_commits_nothing(layout: Layout) -> None:
    """It is stopped, another takes over and finishes; awake again, it says that it lost its place."""
    with sleeping_writer(layout) as sleeper:
        sleeper.send_signal(signal.SIGSTOP)
        time.sleep(0.5)  # until then it looks as alive as any
        waited: list[Holder] = []
        with hold(layout, "second", waited.append) as ours:
            second = open_writer(layout, run_named("second"), ours)
            sleeper.send_signal(signal.SIGCONT)
            said, _ = sleeper.communicate("go on\n")
            second.add(scored("b"))
            second.finish(pa.chunked_array([["a", "b"]]))
    assert waited
    assert "This run no longer holds" in said
    assert sorted(bare(layout, "images")) == ["a", "b"]
    assert sorted(bare(layout, "tiles")) == ["a", "a", "b", "b"]
    assert storage.exists(layout.summary)
    assert read_lease(layout) is None


def test_a_retry_that_has_lost_the_dataset_forgets_nothing(
    layout: Layout, sink: DatasetWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last look at the lease comes after all that takes time: nothing else would stop it."""
    sink.add(scored("a", failed=True))
    sink.commit()
    read_bytes, is_lost = storage.read_bytes, list[str]()

    class Losing(NoLease):
        def check(self) -> None:
            if is_lost:
                raise LostPlaceError("another has it")

    def slow(url: str) -> bytes:
        is_lost.append(url)
        return read_bytes(url)

    sink._lease = Losing(layout, lease._this_process("first"), None)
    monkeypatch.setattr(storage, "read_bytes", slow)
    with pytest.raises(LostPlaceError):
        sink.forget_failed(None)
    assert bare(layout, "images") == ["a"]


def test_photos_that_a_late_retry_forgets_are_not_called_done(layout: Layout, sink: DatasetWriter) -> None:
    """The writer that took over knew them as done; it finds them gone before it says that all is finished."""
    sink.add(scored("a", failed=True))
    sink.commit()
    second = opened(layout, "second")
    second.add(scored("b"))
    sink.forget_failed(None)
    assert second.finish(pa.chunked_array([["a", "b"]])).done.to_pylist() == ["b"]
    assert not storage.exists(layout.summary)


def test_nothing_planned_is_all_done(layout: Layout, sink: DatasetWriter) -> None:
    """As when a compressed tar turns out to hold no photo."""
    sink.finish(pa.chunked_array([], pa.string()))
    assert storage.exists(layout.summary)


def test_scores_of_an_unknown_fingerprint_are_not_added_to(layout: Layout, sink: DatasetWriter) -> None:
    """Without `run.json` nobody can say whether ours fit to those that are there."""
    sink.add(scored("a"))
    sink.commit()
    storage.remove(layout.run)
    with pytest.raises(DatasetError, match=r"has scores but no run\.json"):
        opened(layout, "second", tile_px=20)
    assert not storage.exists(layout.run)
