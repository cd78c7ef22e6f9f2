"""The writer: what is committed, what a killed or late writer leaves, and what is refused."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import schema, storage
from pipeline.dataset import Layout, read_log
from pipeline.errors import DatasetError, LostPlaceError, StorageError, UsageError
from pipeline.runs import Run
from pipeline.sink import COMMIT_PHOTOS, Sink, open_sink, read_run

BOX = {"row": 0, "top_px": 0, "height_px": 10, "width_px": 10}


def run_named(run_id: str, **fingerprint: object) -> Run:
    """A run that writes under this name."""
    return Run(run_id, "model00", {"tile_px": 10, **fingerprint}, {"began_at": "now"})


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
def sink(layout: Layout) -> Sink:
    """A dataset just begun."""
    return open_sink(layout, run_named("first"))


def test_a_commit_is_images_tiles_and_failures(layout: Layout, sink: Sink) -> None:
    """One commit holds the scored photos, their tiles, and the failed photos in a file of their own."""
    sink.add(scored("a", "b"))
    sink.add(scored("c", failed=True))
    sink.commit()
    assert bare(layout, "images") == ["c", "a", "b"]  # failed-000000 sorts first
    assert bare(layout, "tiles") == ["a", "a", "b", "b"]
    log = read_log(layout)
    assert (log.tokens, sorted(log.done.to_pylist()), log.failed, log.orphans) == (("first",), ["a", "b", "c"], 1, ())


def test_nothing_is_written_before_a_commit(layout: Layout, sink: Sink) -> None:
    """Photos wait in memory; a commit of nothing writes nothing."""
    sink.commit()
    sink.add(scored("a"))
    sink.commit_if_due()
    assert bare(layout, "images") == []


def test_many_photos_commit_by_themselves(layout: Layout, sink: Sink) -> None:
    """A few hundred photos are committed without being asked."""
    sink.add(scored(*(str(n) for n in range(COMMIT_PHOTOS))))
    assert len(bare(layout, "images")) == COMMIT_PHOTOS


def test_files_have_the_declared_schema(layout: Layout, sink: Sink) -> None:
    """Columns and types are those of `schema`, and the metadata names the run and the model."""
    sink.add(scored("a"))
    sink.commit()
    for url, declared in ((layout.images(0), schema.IMAGES), (layout.tiles(0, "first"), schema.TILES)):
        found = pq.read_schema(io.BytesIO(storage.read_bytes(url)))
        assert found.equals(declared)
        assert found.metadata[b"crackscan.token"] == b"first"
        assert found.metadata[b"crackscan.model"] == b"model00"


@pytest.mark.parametrize("cut_after", ["tiles", "failed"])
def test_a_writer_killed_within_a_commit_leaves_nothing_twice(layout: Layout, sink: Sink, cut_after: str) -> None:
    """Killed after the tiles file, or after the failed file too: the next run sweeps both and scores again."""
    sink.add(scored("a"))
    sink.commit()
    orphan = pa.concat_tables([scored("b"), scored("c", failed=True)])
    storage.write_whole(layout.tiles(1, "first"), sink._encoded(schema.tiles_table(orphan, 1)))
    if cut_after == "failed":
        images = schema.images_table(orphan, 1, "model00", "first").slice(1)
        storage.write_whole(layout.failed(1), sink._encoded(images))
    second = open_sink(layout, run_named("second"))
    assert read_log(layout).done.to_pylist() == ["a"]
    assert bare(layout, "images") == ["a"]
    assert bare(layout, "tiles") == ["a", "a"]
    second.add(scored("b"))
    second.commit()
    assert bare(layout, "tiles") == ["a", "a", "b", "b"]


def test_a_late_writer_loses_its_place(layout: Layout, sink: Sink) -> None:
    """A writer that wakes up after another took over, even one that has finished, leaves nothing and is told so."""
    sink.add(scored("a"))
    sink.commit()
    second = open_sink(layout, run_named("second"))
    second.add(scored("b"))
    second.finish(pa.chunked_array([["a", "b"]]))
    sink.add(scored("late"))
    sink.add(scored("later", failed=True))
    with pytest.raises(LostPlaceError, match="Another writer has taken"):
        sink.commit()
    sink.commit()  # nothing waits any more
    assert sorted(bare(layout, "images")) == ["a", "b"]
    assert sorted(bare(layout, "tiles")) == ["a", "a", "b", "b"]


def test_what_an_older_writer_commits_last_is_known_to_the_next(layout: Layout, sink: Sink) -> None:
    """The log that a new writer works from is the one after its fence: no photo is scored a second time."""
    sink.add(scored("a"))
    sink.commit()
    assert open_sink(layout, run_named("second")).log.done.to_pylist() == ["a"]


def test_the_summary_stands_only_when_all_is_done(layout: Layout, sink: Sink) -> None:
    """`summary.json` appears when every planned photo has its row, and goes when new work begins."""
    planned = pa.chunked_array([["a", "b"]])
    sink.add(scored("a"))
    sink.finish(planned)
    assert not storage.exists(layout.summary)
    sink.add(scored("b", failed=True))
    sink.finish(planned)
    assert storage.exists(layout.summary)
    open_sink(layout, run_named("second"))
    assert not storage.exists(layout.summary)


def test_scores_of_another_fingerprint_are_refused(layout: Layout, sink: Sink) -> None:
    """A dataset holds scores of one fingerprint; the message shows both values of what differs."""
    del sink
    with pytest.raises(UsageError) as refused:
        open_sink(layout, run_named("second", tile_px=20))
    assert "tile_px is 10 there and 20 here" in str(refused.value)


def test_a_gap_in_the_commit_log_is_told(layout: Layout, sink: Sink) -> None:
    """A lost commit file is damage, not work to be done again."""
    for name in ("a", "b"):
        sink.add(scored(name))
        sink.commit()
    storage.remove(layout.images(0))
    with pytest.raises(DatasetError, match="has a gap"):
        read_log(layout)


def test_a_damaged_file_is_told(layout: Layout, sink: Sink) -> None:
    """A commit file that is no Parquet names itself."""
    sink.add(scored("a"))
    sink.commit()
    storage.write_whole(layout.images(0), b"nonsense")
    with pytest.raises(DatasetError, match=r"part-000000\.parquet is no sound file"):
        read_log(layout)


def test_a_damaged_run_file_is_told(layout: Layout, sink: Sink) -> None:
    """`run.json` that is no JSON is named, not traced back."""
    del sink
    storage.write_whole(layout.run, b"{")
    with pytest.raises(DatasetError, match=r"run\.json is damaged"):
        read_run(layout)


def test_a_full_disk_stops_the_run(layout: Layout, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a commit cannot be written, what was committed stands and nothing else does."""
    sink.add(scored("a"))
    sink.commit()

    def full(_url: str, _data: bytes) -> bool:
        raise StorageError("the disk is full")

    monkeypatch.setattr(storage, "create", full)
    sink.add(scored("b"))
    with pytest.raises(StorageError):
        sink.commit()
    monkeypatch.undo()
    open_sink(layout, run_named("second"))
    assert (bare(layout, "images"), bare(layout, "tiles")) == (["a"], ["a", "a"])
