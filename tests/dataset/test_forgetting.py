"""Rows that are removed so that their photos can be scored anew: all or none, whatever is killed."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.core.errors import DatasetError
from pipeline.dataset.forgetting import finish_forgetting, note_forgotten, read_forgotten
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.dataset.sql import query
from pipeline.dataset.verify import verify
from pipeline.dataset.writer import open_writer
from tests.helpers.small_dataset import COMMITS, address, make_run, ok, with_cracks, write_dataset

GONE = [address(image)["image_id"] for image in ("bb.jpg", "a.jpg", "nope.jpg")]
"""Photos of both commits, one of them failed."""


class KilledError(Exception):
    """Stands for a kill."""


def kill_at(step: int) -> Callable[[], None]:
    """Make a check of the lease that raises at its n-th call."""
    calls = iter(range(step))

    def check() -> None:
        if next(calls, None) is None:
            raise KilledError

    return check


def broken(out: str) -> list[str]:
    """Return the invariants that a dataset breaks."""
    return [check.invariant for check in verify(out, lambda *_: None) if check.broken != 0]


def names(out: str) -> list[str]:
    """Return the photos that have a row."""
    return [row["image"] for row in query(out, "SELECT image FROM images ORDER BY image").to_pylist()]


def begin(tmp_path: Path) -> Layout:
    """Write a finished dataset, and begin to remove photos as the writer does."""
    layout = write_dataset(str(tmp_path / "out"))
    storage.write_whole(layout.map(GONE[0]), b"map")
    storage.write_whole(layout.map("another"), b"map")
    storage.remove(layout.summary)
    note_forgotten(layout, GONE)
    return layout


def test_only_the_photos_that_are_written_down_go(tmp_path: Path) -> None:
    """Their rows, tiles, cracks and maps go; the others keep theirs, and the commits keep their numbers and runs."""
    layout = begin(tmp_path)
    before = query(layout.url, "SELECT image_id, part, run_id FROM images").to_pylist()
    finish_forgetting(layout, lambda: None)
    assert query(layout.url, "SELECT image_id, part, run_id FROM images").to_pylist() == [
        row for row in before if row["image_id"] not in GONE
    ]
    for table in ("tiles", "cracks"):
        files = (tmp_path / "out" / table).iterdir()
        ids = {row["image_id"] for path in files for row in pq.read_table(path).to_pylist()}
        assert ids == {address("ccc.jpg")["image_id"]}
    assert [path.name for path in (tmp_path / "out/maps").iterdir()] == ["another.png"]
    assert read_forgotten(layout) == ([], [])
    assert broken(layout.url) == []


@pytest.mark.parametrize("step", range(9))
def test_a_kill_at_any_step_breaks_no_invariant(step: int, tmp_path: Path) -> None:
    """The next writer goes on before it commits anything, so old and new rows never stand side by side."""
    layout = begin(tmp_path)
    with pytest.raises(KilledError):
        finish_forgetting(layout, kill_at(step))
    assert broken(layout.url) == []

    with hold(layout, "two", lambda _holder: None) as lease:
        writer = open_writer(layout, make_run("two"), lease)
        assert names(layout.url) == ["ccc.jpg", "no.jpg"]
        anew = [with_cracks(ok("a.jpg"), 2), ok("bb.jpg", 80, 80), ok("nope.jpg")]
        writer.add(pa.Table.from_pylist(anew, table_schemas.SCORED))
        rows = [row for commit in COMMITS for row in commit]
        writer.finish(pa.chunked_array([[row["image_id"] for row in rows]], pa.string()))

    assert names(layout.url) == ["a.jpg", "bb.jpg", "ccc.jpg", "no.jpg", "nope.jpg"]
    assert broken(layout.url) == []
    assert storage.exists(layout.summary)


def test_the_steps_of_the_test_above_are_all(tmp_path: Path) -> None:
    """After them nothing is left to do."""
    layout = begin(tmp_path)
    finish_forgetting(layout, kill_at(9))
    assert read_forgotten(layout) == ([], [])


def test_a_damaged_note_is_told(tmp_path: Path) -> None:
    """The message says where it is and what to do."""
    layout = begin(tmp_path)
    storage.write_whole(layout.forgotten, b"{}")
    with pytest.raises(DatasetError, match=r"forgotten\.json is damaged: KeyError.*--on-changed rescore"):
        read_forgotten(layout)
