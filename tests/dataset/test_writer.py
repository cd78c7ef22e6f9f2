"""The writer: its commits, what killed and late writers leave, and what it refuses."""

import io
import json
import os
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
from pipeline.core import table_schemas
from pipeline.core.errors import DatasetError, LostPlaceError, NotFoundError, StorageError, UsageError
from pipeline.dataset.commit_log import file_metadata, read_log, table_bytes
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import TTL_S, Holder, Lease, hold, read_lease, this_process
from pipeline.dataset.run import Run
from pipeline.dataset.sql import query
from pipeline.dataset.writer import COMMIT_PHOTOS, CommitLimits, DatasetWriter, open_writer
from tests import ROOT
from tests.helpers.interleaved_writers import MemoryDisk, Writer
from tests.helpers.limits import files_of_at_most

BOX = {"row": 0, "top_px": 0, "height_px": 10, "width_px": 10}


def run_named(run_id: str, **fingerprint: object) -> Run:
    """A run that writes under this name."""
    return Run(run_id, "model00", {"tile_px": 10, **fingerprint}, {"began_at": "now"})


class NoLease(Lease):
    """A lease that notices nothing, so that only the commit log protects the dataset."""

    def __init__(self, layout: Layout, run_id: str) -> None:
        super().__init__(layout, this_process(run_id, TTL_S), None)

    def check(self) -> None:
        """Always pass."""


def opened(layout: Layout, run_id: str, **fingerprint: object) -> DatasetWriter:
    """A writer that only the commit log can stop."""
    return open_writer(layout, run_named(run_id, **fingerprint), NoLease(layout, run_id))


def scored(*names: str, failed: bool = False) -> pa.Table:
    """Two tiles a photo, scored 0.25 and 0.75, and a crack; or photos that failed."""
    facts = {"archive": "file:///a", "occurrence": 0, "size_bytes": 1, "scored_at": datetime(2026, 1, 1, tzinfo=UTC)}
    if failed:
        outcome: dict[str, object] = {"status": "failed", "failure_stage": "decode", "failure_kind": "not_an_image"}
    else:
        grid = [BOX | {"col": col, "left_px": 10 * col, "crack_score": score} for col, score in enumerate((0.25, 0.75))]
        outcome = {"status": "ok", "tiles": 2, "crack_tiles": 1, "crack_score": 0.75, "grid": grid}
        outcome |= {
            "max_tile_score": 0.75,
            "cracks": 1,
            "crack_length_px": 9.5,
            "lines": [{"crack": 0, "length_px": 9.5}],
        }
    return pa.Table.from_pylist(
        [{"image_id": n, "image": n, **facts, **outcome} for n in names], schema=table_schemas.SCORED
    )


def file_bytes(table: pa.Table, run_id: str = "first") -> bytes:
    """A file of a dataset, as a run writes it."""
    return table_bytes(table.replace_schema_metadata(file_metadata(run_id, "model00")))


def all_ids(layout: Layout, table: str) -> list[str]:
    """Photo ids for a reader that knows nothing of commits: every row of every Parquet file."""
    files = sorted(storage.local_path(layout.url).joinpath(table).glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file, columns=["image_id"])["image_id"].to_pylist()]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A place for a dataset."""
    return Layout(storage.canonical(str(tmp_path / "out")))


@pytest.fixture
def writer(layout: Layout) -> DatasetWriter:
    """The writer of a new dataset."""
    return opened(layout, "first")


def test_a_commit_is_images_tiles_cracks_and_failures(layout: Layout, writer: DatasetWriter) -> None:
    """One commit holds the scored photos, their tiles and cracks, and the failed photos in a file of their own."""
    writer.add(scored("a", "b"))
    writer.add(scored("c", failed=True))
    writer.commit()
    assert all_ids(layout, "images") == ["c", "a", "b"]  # failed-000000 sorts first
    assert all_ids(layout, "tiles") == ["a", "a", "b", "b"]
    assert all_ids(layout, "cracks") == ["a", "b"]
    log = read_log(layout)
    assert (log.tokens, sorted(log.done.to_pylist()), log.failed, log.orphans) == (("first",), ["a", "b", "c"], 1, ())


@pytest.mark.parametrize("lines", [None, []])
def test_without_cracks_there_is_no_file_of_them(
    lines: list[object] | None, layout: Layout, writer: DatasetWriter
) -> None:
    """Neither if the run does not measure, nor if it finds none."""
    [row] = scored("a").to_pylist()
    writer.add(pa.Table.from_pylist([row | {"lines": lines}], schema=table_schemas.SCORED))
    writer.add(scored("b", failed=True))
    writer.commit()
    assert all_ids(layout, "images") == ["b", "a"]
    assert not storage.exists(storage.join(layout.url, "cracks"))


def test_nothing_is_written_before_a_commit(layout: Layout, writer: DatasetWriter) -> None:
    """Photos wait in memory; a commit without photos writes nothing."""
    writer.commit()
    writer.add(scored("a"))
    assert all_ids(layout, "images") == []


def test_photos_that_have_waited_long_enough_are_due(layout: Layout, writer: DatasetWriter) -> None:
    """Not before; without waiting photos nothing is due."""
    writer.add(scored("a"))
    assert not writer.is_due
    limits = CommitLimits(COMMIT_PHOTOS, seconds=0.0)
    impatient = open_writer(layout, run_named("second"), NoLease(layout, "second"), limits)
    assert not impatient.is_due
    impatient.add(scored("a"))
    assert impatient.is_due
    impatient.commit()
    assert not impatient.is_due


def test_many_photos_are_committed_at_once(layout: Layout, writer: DatasetWriter) -> None:
    """A few hundred photos need no call of `commit`."""
    writer.add(scored(*(str(n) for n in range(COMMIT_PHOTOS))))
    assert len(all_ids(layout, "images")) == COMMIT_PHOTOS


def test_a_map_is_there_before_its_photo(layout: Layout, writer: DatasetWriter) -> None:
    """`add` writes it, so that no committed photo is ever without its map."""
    [row] = scored("a").to_pylist()
    writer.add(pa.Table.from_pylist([row | {"crack_map": b"png"}], schema=table_schemas.SCORED))
    assert storage.read_bytes(layout.map("a")) == b"png"
    assert all_ids(layout, "images") == []
    writer.commit()
    assert all_ids(layout, "images") == ["a"]


def test_files_have_the_declared_schema(layout: Layout, writer: DatasetWriter) -> None:
    """Columns and types are those of `core.table_schemas`, and the metadata names the run and the model."""
    writer.add(scored("a"))
    writer.commit()
    for url, declared in (
        (layout.images(0), table_schemas.IMAGES),
        (layout.tiles(0, "first"), table_schemas.TILES),
        (layout.cracks(0, "first"), table_schemas.CRACKS),
    ):
        found = pq.read_schema(io.BytesIO(storage.read_bytes(url)))
        assert found.equals(declared)
        assert found.metadata[b"crackscan.token"] == b"first"
        assert found.metadata[b"crackscan.model"] == b"model00"


@pytest.mark.parametrize("version", [1, 2])
def test_a_dataset_of_an_older_schema_goes_on_in_it(version: int, layout: Layout) -> None:
    """Without cracks; queries find nulls for what it lacks, and its score for `max_tile_score`."""
    for part, run_id in ((0, "first"), (2, "second")):  # between them is the fence of the second run
        writer = opened(layout, run_id, schema_version=version)
        writer.add(scored(run_id))
        writer.commit()
        found = pq.read_schema(io.BytesIO(storage.read_bytes(layout.images(part))))
        assert found.equals(table_schemas.IMAGES_OF[version])
        assert found.metadata[b"crackscan.schema"] == str(version).encode()
    assert not storage.exists(storage.join(layout.url, "cracks"))
    assert query(layout.url, "FROM cracks").equals(table_schemas.CRACKS.empty_table())
    assert (
        query(layout.url, "SELECT crack_score, max_tile_score, cracks, widest_mm FROM images").to_pylist()
        == [{"crack_score": 0.75, "max_tile_score": 0.75, "cracks": None, "widest_mm": None}] * 2
    )


@pytest.mark.parametrize("cut_after", ["tiles", "cracks", "failed"])
def test_a_writer_killed_within_a_commit_leaves_nothing_twice(
    layout: Layout, writer: DatasetWriter, cut_after: str
) -> None:
    """Killed after the tiles file, the cracks file or the failed file: the next run sweeps all, and scores again."""
    writer.add(scored("a"))
    writer.commit()
    orphan = pa.concat_tables([scored("b"), scored("c", failed=True)])
    storage.write_whole(layout.tiles(1, "first"), file_bytes(table_schemas.make_tiles_table(orphan, 1)))
    if cut_after != "tiles":
        storage.write_whole(layout.cracks(1, "first"), file_bytes(table_schemas.make_cracks_table(orphan, 1)))
    if cut_after == "failed":
        images = table_schemas.make_images_table(orphan, 1, "model00", "first").slice(1)
        storage.write_whole(layout.failed(1), file_bytes(images))
    second = opened(layout, "second")
    assert read_log(layout).done.to_pylist() == ["a"]
    assert all_ids(layout, "images") == ["a"]
    assert (all_ids(layout, "tiles"), all_ids(layout, "cracks")) == (["a", "a"], ["a"])
    second.add(scored("b"))
    second.commit()
    assert (all_ids(layout, "tiles"), all_ids(layout, "cracks")) == (["a", "a", "b", "b"], ["a", "b"])


def test_a_late_writer_loses_its_place(layout: Layout, writer: DatasetWriter) -> None:
    """A writer that wakes up after another took over, and even finished, leaves nothing and gets an error."""
    writer.add(scored("a"))
    writer.commit()
    second = opened(layout, "second")
    second.add(scored("b"))
    second.finish(pa.chunked_array([["a", "b"]]))
    writer.add(scored("late"))
    writer.add(scored("later", failed=True))
    with pytest.raises(LostPlaceError, match="Another writer has taken"):
        writer.commit()
    writer.commit()  # nothing waits any more
    assert sorted(all_ids(layout, "images")) == sorted(all_ids(layout, "cracks")) == ["a", "b"]
    assert sorted(all_ids(layout, "tiles")) == ["a", "a", "b", "b"]


def test_a_new_writer_knows_the_last_commit_of_the_old_one(layout: Layout, writer: DatasetWriter) -> None:
    """It reads the log after its fence, so that no photo is scored a second time."""
    writer.add(scored("a"))
    writer.commit()
    assert opened(layout, "second").log.done.to_pylist() == ["a"]


def test_the_summary_exists_only_when_all_is_done(layout: Layout, writer: DatasetWriter) -> None:
    """`summary.json` appears when every planned photo has its row, and goes when new work begins."""
    planned = pa.chunked_array([["a", "b"]])
    writer.add(scored("a"))
    writer.finish(planned)
    assert not storage.exists(layout.summary)
    writer.add(scored("b", failed=True))
    writer.finish(planned)
    assert storage.exists(layout.summary)
    opened(layout, "second")
    assert not storage.exists(layout.summary)


def test_scores_of_another_fingerprint_are_refused(layout: Layout, writer: DatasetWriter) -> None:
    """A dataset has one fingerprint; the message shows both values of each difference."""
    del writer
    with pytest.raises(UsageError) as refused:
        opened(layout, "second", tile_px=20)
    assert "tile_px is 10 there and 20 here" in str(refused.value)


@pytest.mark.parametrize("planned", [["a", "b"], None])
def test_no_summary_while_not_all_is_known_or_done(
    layout: Layout, writer: DatasetWriter, planned: list[str] | None
) -> None:
    """Neither if a planned photo has no row, nor if an archive's photos are not known yet."""
    writer.add(scored("a"))
    writer.finish(planned and pa.chunked_array([planned]))
    assert not storage.exists(layout.summary)


def test_the_log_is_kept_current(layout: Layout, writer: DatasetWriter) -> None:
    """After its commits the writer knows the log that a reader finds."""
    writer.add(scored("a"))
    writer.commit()
    writer.add(scored("b", failed=True))
    writer.commit()
    found = read_log(layout)
    assert writer.log.done.to_pylist() == ["a", "b"]
    assert sorted(found.done.to_pylist()) == ["a", "b"]
    assert (writer.log.tokens, writer.log.failed, writer.log.failed_parts) == (
        found.tokens,
        found.failed,
        found.failed_parts,
    )


def test_a_photo_that_comes_twice_is_written_once(layout: Layout, writer: DatasetWriter) -> None:
    """A scorer that seemed lost may hand its photos over again: in one table, later, or after a commit."""
    writer.add(scored("a", "b", "a"))
    writer.add(scored("b", "c"))
    writer.commit()
    writer.add(scored("c"))
    writer.commit()
    assert all_ids(layout, "images") == ["a", "b", "c"]
    assert len(read_log(layout).tokens) == 1


def test_a_sealed_dataset_is_refused(layout: Layout) -> None:
    """No run adds to what `compact` made."""
    storage.write_whole(layout.run, json.dumps({"fingerprint": {"tile_px": 10}, "sealed": True}).encode())
    with pytest.raises(UsageError, match="is sealed: `crackscan compact` made it"):
        opened(layout, "second")


def test_temporary_files_of_killed_writers_are_swept(layout: Layout, writer: DatasetWriter) -> None:
    """A kill in the middle of a write leaves a useless file; the next run removes it."""
    writer.add(scored("a"))
    writer.commit()
    left = storage.local_path(layout.images(1)).with_name(".part-000001.parquet.0123456789abcdef0123456789abcdef.tmp")
    left.write_bytes(b"half of i")
    opened(layout, "second")
    assert not left.exists()


def test_tiles_of_a_later_commit_are_not_swept(layout: Layout, writer: DatasetWriter) -> None:
    """A late writer that sweeps removes nothing of the writer that took over from it."""
    later = layout.tiles(5, "later")
    storage.write_whole(later, b"of a commit under way")
    writer.add(scored("a"))
    writer.finish(None)
    assert storage.exists(later)


def test_a_fence_follows_what_an_older_writer_commits_meanwhile(
    layout: Layout, writer: DatasetWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older writer may commit first: then the next number is the fence, and the new writer knows the photos."""
    create = storage.create

    def quicker(url: str, data: bytes) -> bool:
        if url == layout.images(0) and not storage.exists(url):
            monkeypatch.undo()
            writer.add(scored("a", "b"))
            writer.commit()
        return create(url, data)

    monkeypatch.setattr(storage, "create", quicker)
    second = opened(layout, "second")
    assert (second.log.tokens, second.log.done.to_pylist()) == (("first", "second"), ["a", "b"])


def test_a_writer_checks_its_lease_before_every_commit(layout: Layout) -> None:
    """Without the lease it writes nothing, neither rows nor tiles nor a summary."""
    with pytest.raises(LostPlaceError, match="the lease is gone"), hold(layout, "first", print) as ours:
        commit_without_lease(layout, ours)
    assert (all_ids(layout, "images"), all_ids(layout, "tiles")) == (["a"], ["a", "a"])


@pytest.mark.parametrize("taken_over", [True, False])
def test_a_file_swept_while_it_is_written_means_a_lost_place(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, *, taken_over: bool
) -> None:
    """A writer that wakes up in the middle of a commit says that it lost the dataset; with its lease, what is gone."""
    link = os.link

    def swept(source: Path, target: str) -> None:
        if "/images/" in target:
            source.unlink()
            if taken_over:
                storage.remove(layout.lease)
        link(source, target)

    with hold(layout, "first", print) as ours:
        writer = open_writer(layout, run_named("first"), ours)
        writer.add(scored("a"))
        monkeypatch.setattr(os, "link", swept)
        with pytest.raises(LostPlaceError if taken_over else NotFoundError):
            writer.commit()
    assert all_ids(layout, "images") == []


def commit_without_lease(layout: Layout, ours: Lease) -> None:
    """Commit a photo, lose the lease, and try another."""
    writer = open_writer(layout, run_named("first"), ours)
    writer.add(scored("a"))
    writer.commit()
    storage.remove(layout.lease)
    with pytest.raises(LostPlaceError):
        writer.finish(pa.chunked_array([["a"]]))
    assert not storage.exists(layout.summary)
    writer.add(scored("b"))
    writer.commit()


@pytest.mark.parametrize(
    ("kinds", "left"), [(None, ["ok"]), (["not_an_image"], ["ok", "t"]), (["none"], ["n", "ok", "t"])]
)
def test_failed_photos_can_be_forgotten(
    layout: Layout, writer: DatasetWriter, kinds: list[str] | None, left: list[str]
) -> None:
    """All of them, or those of some kinds; the log is right at once, and the photos can be scored again."""
    planned = pa.chunked_array([["ok", "n", "t"]])
    truncated = scored("t", failed=True).to_pylist()[0] | {"failure_kind": "truncated_image"}
    writer.add(scored("ok"))
    writer.add(scored("n", failed=True))
    writer.add(pa.Table.from_pylist([truncated], schema=table_schemas.SCORED))
    writer.finish(planned)
    second = opened(layout, "second")
    assert second.forget_failed(kinds) == 3 - len(left)
    assert not storage.exists(layout.summary)
    found = read_log(layout)
    assert sorted(found.done.to_pylist()) == sorted(second.log.done.to_pylist()) == left
    assert (found.failed, found.failed_parts) == (second.log.failed, second.log.failed_parts)
    second.add(scored(*sorted({"ok", "n", "t"} - {*left})))
    second.finish(planned)
    assert sorted(all_ids(layout, "images")) == ["n", "ok", "t"]
    assert storage.exists(layout.summary)


def test_a_commit_that_failed_is_the_last(
    layout: Layout, writer: DatasetWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is unknown how far it came, so this writer adds nothing more; the next one finds a sound dataset."""
    writer.add(scored("a"))
    writer.commit()
    create = storage.create

    def answer_lost(url: str, data: bytes) -> bool:
        create(url, data)
        raise StorageError(f"{url} could not be created: the answer was lost.")

    monkeypatch.setattr(storage, "create", answer_lost)
    writer.add(scored("b"))
    with pytest.raises(StorageError):
        writer.commit()
    monkeypatch.undo()
    writer.add(scored("c"))
    writer.commit()
    assert opened(layout, "second").log.done.to_pylist() == ["a", "b"]
    assert (all_ids(layout, "images"), all_ids(layout, "tiles")) == (["a", "b"], ["a", "a", "b", "b"])


MEMORY = Layout("memory://out")
PAIRS = (("a", "b-failed"), ("c-failed", "d"), ("e-failed", "f-failed"))
"""The photos of a run, pair by pair; each pair is a commit."""
ALL = pa.chunked_array([[name for pair in PAIRS for name in pair]])


def score_what_is_left(run_id: str) -> None:
    """Act as a run: take over, commit the photos without a row, and finish."""
    writer = opened(MEMORY, run_id)
    done = {*writer.log.done.to_pylist()}
    for pair in PAIRS:
        for name in pair:
            if name not in done:
                writer.add(scored(name, failed=name.endswith("failed")))
        writer.commit()
    writer.finish(ALL)


def retry(run_id: str) -> None:
    """Act as `crackscan retry`: forget the failed photos, score them again, and finish."""
    writer = opened(MEMORY, run_id)
    writer.forget_failed(None)
    writer.add(scored(*sorted({*ALL.to_pylist()} - {*writer.log.done.to_pylist()}), failed=True))
    writer.finish(ALL)


def rows(disk: MemoryDisk, table: str) -> list[tuple[int, str]]:
    """Commit and photo of every row of all files of a table."""
    found = [pq.read_table(io.BytesIO(data)) for url, data in disk.files.items() if f"/{table}/" in url]
    return sorted((row["part"], row["image_id"]) for file in found for row in file.to_pylist())


def check_exact(disk: MemoryDisk) -> None:
    """Check that every photo has one row, every scored one its tiles and crack of that commit, and all is finished."""
    images = rows(disk, "images")
    assert sorted(name for _, name in images) == ALL.to_pylist()
    ok = [row for row in images if not row[1].endswith("failed")]
    assert (rows(disk, "tiles"), rows(disk, "cracks")) == (sorted([*ok, *ok]), ok)
    assert disk.exists(MEMORY.summary)


MOVES = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 20), st.sampled_from(["", "", "kill"])), max_size=14)


@settings(max_examples=40)
@given(MOVES)
def test_whatever_writers_do_to_each_other_every_photo_has_one_row(moves: list[tuple[int, int, str]]) -> None:
    """Three runs at once, stopped and killed between any two operations, without any lease.

    After a later run the dataset is exact, and runs that wake up after that leave it exact.
    """
    disk = MemoryDisk()
    with disk.patch_storage():
        writers = [Writer(f"run{number}", score_what_is_left) for number in range(3)]
        for number, count, end in moves:
            writers[number].do_steps(count)
            if end == "kill":
                writers[number].kill()
        last = Writer("last", score_what_is_left)
        last.do_steps()
        check_exact(disk)
        for late in [writer for writer in writers if writer.ident is not None]:
            late.do_steps()
        check_exact(disk)
    assert [writer.error for writer in [*writers, last]] == [None] * 4


@settings(max_examples=30)
@given(st.integers(1, 80))
def test_a_retry_killed_anywhere_loses_no_photo(steps: int) -> None:
    """However far it came, after the next run every photo has one row."""
    disk = MemoryDisk()
    with disk.patch_storage():
        for writer in (Writer("first", score_what_is_left), Writer("retry", retry), Writer("last", score_what_is_left)):
            writer.do_steps(steps if writer.name == "retry" else None)
            writer.kill()
            assert writer.error is None
        check_exact(disk)


def test_a_full_disk_stops_the_run(layout: Layout, writer: DatasetWriter) -> None:
    """If a file cannot be written to its end, the commits before it stay, and no reader sees more."""
    writer.add(scored("a"))
    writer.commit()
    writer.add(scored(*(f"{n:05d}" for n in range(400))))
    with files_of_at_most(4096), pytest.raises(StorageError, match=r"could not be written: .*File too large"):
        writer.commit()
    opened(layout, "second").finish(pa.chunked_array([["a"]]))
    assert (all_ids(layout, "images"), all_ids(layout, "tiles")) == (["a"], ["a", "a"])
    assert storage.exists(layout.summary)


SLEEPER = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[2])))
from tests.dataset.test_writer import *
layout = Layout(sys.argv[1])
try:
    with hold(layout, "first", print, ttl_s=0.5) as ours:
        writer = open_writer(layout, run_named("first"), ours)
        writer.add(scored("a"))
        writer.commit()
        writer.add(scored("late", failed=True))
        print("ready", flush=True)
        sys.stdin.readline()
        writer.finish(pa.chunked_array([["a", "late"]]))
except LostPlaceError as error:
    print(error)
"""


@contextmanager
def sleeping_writer(layout: Layout) -> Iterator["subprocess.Popen[str]"]:
    """A process that has committed a photo, and commits another when it reads a line."""
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
    """Another takes over and finishes; then the stopped one wakes up, and says that it lost the dataset."""
    with sleeping_writer(layout) as sleeper:
        sleeper.send_signal(signal.SIGSTOP)
        time.sleep(0.5)  # until then it looks alive
        waited: list[Holder] = []
        with hold(layout, "second", waited.append) as ours:
            second = open_writer(layout, run_named("second"), ours)
            sleeper.send_signal(signal.SIGCONT)
            said, _ = sleeper.communicate("go on\n")
            second.add(scored("b"))
            second.finish(pa.chunked_array([["a", "b"]]))
    assert waited
    assert "This run no longer holds" in said
    assert sorted(all_ids(layout, "images")) == ["a", "b"]
    assert sorted(all_ids(layout, "tiles")) == ["a", "a", "b", "b"]
    assert storage.exists(layout.summary)
    assert read_lease(layout) is None


def test_a_retry_that_has_lost_the_dataset_forgets_nothing(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last check of the lease follows all that takes time: nothing else would stop it."""
    read_bytes, is_lost = storage.read_bytes, list[str]()

    class Losing(NoLease):
        def check(self) -> None:
            if is_lost:
                raise LostPlaceError("another has it")

    def slow(url: str) -> bytes:
        is_lost.append(url)
        return read_bytes(url)

    writer = open_writer(layout, run_named("first"), Losing(layout, "first"))
    writer.add(scored("a", failed=True))
    writer.commit()
    monkeypatch.setattr(storage, "read_bytes", slow)
    with pytest.raises(LostPlaceError):
        writer.forget_failed(None)
    assert all_ids(layout, "images") == ["a"]


def test_photos_that_a_late_retry_forgets_are_not_called_done(layout: Layout, writer: DatasetWriter) -> None:
    """The writer that took over knew them as done; before it calls the dataset finished, it finds them gone."""
    writer.add(scored("a", failed=True))
    writer.commit()
    second = opened(layout, "second")
    second.add(scored("b"))
    writer.forget_failed(None)
    assert second.finish(pa.chunked_array([["a", "b"]])).done.to_pylist() == ["b"]
    assert not storage.exists(layout.summary)


def test_without_planned_photos_all_is_done(layout: Layout, writer: DatasetWriter) -> None:
    """For example, if a compressed tar holds no photo."""
    writer.finish(pa.chunked_array([], pa.string()))
    assert storage.exists(layout.summary)


def test_scores_of_an_unknown_fingerprint_are_not_added_to(layout: Layout, writer: DatasetWriter) -> None:
    """Without `run.json` nobody knows whether new scores are comparable."""
    writer.add(scored("a"))
    writer.commit()
    storage.remove(layout.run)
    with pytest.raises(DatasetError, match=r"has scores but no run\.json"):
        opened(layout, "second", tile_px=20)
    assert not storage.exists(layout.run)
