"""Writer and lease on a real S3: create-if-absent, lost answers, and failed requests."""

import io
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import storage
from pipeline.core.errors import DatasetHeldError, LostPlaceError, StorageError
from pipeline.dataset.commit_log import read_log
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import Holder, hold, read_lease, this_process
from pipeline.dataset.writer import open_writer
from tests.conftest import S3Place
from tests.dataset.test_writer import opened, run_named, scored
from tests.helpers.fault_proxy import Fault, Rule

pytestmark = pytest.mark.ray

CHAOS: tuple[Fault, ...] = ("slow_down", "reset", "lose", "break", "cut", "flip", "flip_upload")


def layout_at(place: S3Place) -> Layout:
    """A place for a dataset."""
    return Layout(storage.join(place.url, "out"))


def rows(layout: Layout, table: str) -> list[str]:
    """Photo ids of all Parquet files of a table."""
    files = [file.url for file in storage.list_files(storage.join(layout.url, table)) if file.url.endswith(".parquet")]
    tables = [pq.read_table(io.BytesIO(storage.read_bytes(url))) for url in files]
    return sorted(id_ for found in tables for id_ in found["image_id"].to_pylist())


def never(holder: Holder) -> None:
    """Fail: `hold` must not wait."""
    raise AssertionError(f"waited for {holder}")


def test_a_dataset_is_held_refused_and_released(s3: S3Place) -> None:
    """As on local disk: a second writer gets the name of the first, and the lease goes with its holder."""
    layout = layout_at(s3)
    with hold(layout, "one", never) as ours:
        with pytest.raises(DatasetHeldError, match="is being written by run one"), hold(layout, "two", never):
            pass
        ours.check()
    assert read_lease(layout) is None


def test_a_stale_lease_from_elsewhere_is_taken(s3: S3Place) -> None:
    """After its time to live; a late renewal changes nothing."""
    layout, watched = layout_at(s3), list[Holder]()
    old = replace(this_process("old", ttl_s=0.5), machine="far away")
    storage.write_whole(layout.lease, old.encode())
    with hold(layout, "new", watched.append) as ours:
        storage.write_whole(layout.lease, old.encode())
        ours.check()
    assert watched
    assert read_lease(layout) is None


def test_missing_permission_to_write_is_found_before_any_work(s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease is the first file that a run writes."""
    from s3fs import S3FileSystem

    for name, value in s3.read_only_environment.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    with pytest.raises(StorageError, match="/lease could not be created: permission was denied"):
        hold(layout_at(s3), "one", never).__enter__()


def test_writers_follow_each_other(s3: S3Place) -> None:
    """A writer that lost the dataset fails at its next commit, and every photo has its row."""
    layout = layout_at(s3)
    first = opened(layout, "first")
    first.add(scored("a"))
    first.commit()
    first.add(pa.concat_tables([scored("late"), scored("later", failed=True)]))
    second = opened(layout, "second")
    with pytest.raises(LostPlaceError, match="Another writer has taken"):
        first.commit()
    second.add(scored("b", failed=True))
    second.finish(pa.chunked_array([["a", "b"]]))
    assert (rows(layout, "images"), rows(layout, "tiles")) == (["a", "b"], ["a", "a"])
    assert storage.exists(layout.summary)


@pytest.mark.parametrize("target", ["lease", "run.json", "images/part-000000", "images/failed-000000", "tiles/"])
def test_a_lost_answer_is_no_lost_place(faulty_s3: S3Place, target: str) -> None:
    """If a file was created and the answer was lost, the second attempt finds the file, and knows it as ours."""
    layout = layout_at(faulty_s3)
    faulty_s3.rules[:] = [Rule("lose", method="PUT", target=target)]
    with hold(layout, "one", never) as ours:
        writer = open_writer(layout, run_named("one"), ours)
        writer.add(pa.concat_tables([scored("a"), scored("b", failed=True)]))
        writer.finish(pa.chunked_array([["a", "b"]]))
    assert faulty_s3.rules[0].met == 1
    assert (rows(layout, "images"), rows(layout, "tiles")) == (["a", "b"], ["a", "a"])
    assert storage.exists(layout.summary)


def test_a_dataset_written_through_all_faults_is_exact(faulty_s3: S3Place) -> None:
    """Requests fail, break off, lose their answer or flip a bit; the tables are the same."""
    layout, names = layout_at(faulty_s3), [f"{number:02d}" for number in range(12)]
    faulty_s3.rules[:] = [Rule(fault, chance=0.05, count=None) for fault in CHAOS]
    for run_id, part in (("one", names[:6]), ("two", names[6:])):
        with hold(layout, run_id, never) as ours:
            writer = open_writer(layout, run_named(run_id), ours)
            for name in part:
                writer.add(scored(name))
                writer.commit()
            writer.finish(pa.chunked_array([names]))
    assert sum(rule.met for rule in faulty_s3.rules) > 0
    faulty_s3.rules.clear()
    assert rows(layout, "images") == names
    assert rows(layout, "tiles") == sorted(names * 2)
    assert sorted(read_log(layout).done.to_pylist()) == names
    assert storage.exists(layout.summary)
