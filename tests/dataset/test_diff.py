"""Comparison of two datasets: order and commits do not matter, every value does."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.dataset.commit_log import read_table, table_bytes
from pipeline.dataset.diff import differences
from pipeline.dataset.layout import Layout
from tests.helpers.small_dataset import COMMITS, address, ok, write_dataset

OF_A_RUN = {"part", "run_id", "scored_at"}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A finished dataset."""
    return write_dataset(str(tmp_path / "one"))


def test_commits_and_runs_make_no_difference(layout: Layout, tmp_path: Path) -> None:
    """Datasets with the same photos are equal in any order, commits, run and time."""
    rows = [row | {"scored_at": None} for commit in COMMITS for row in reversed(commit)]
    other = write_dataset(str(tmp_path / "two"), [rows], "two")
    assert differences(layout.url, layout.url) == []
    assert differences(layout.url, other.url) == []


@pytest.mark.ray  # takes seconds
@pytest.mark.parametrize(("table", "columns"), [("images", table_schemas.IMAGES), ("tiles", table_schemas.TILES),
                                                ("cracks", table_schemas.CRACKS)])  # fmt: skip
def test_any_other_value_is_found(table: str, columns: pa.Schema, layout: Layout, tmp_path: Path) -> None:
    """A change in one row is found in every column but those of the run."""
    other = write_dataset(str(tmp_path / "two"))
    url = {"images": other.images(0), "tiles": other.tiles(0, "one"), "cracks": other.cracks(0, "one")}[table]
    sound = read_table(url)
    for name in [name for name in columns.names if name not in OF_A_RUN | {"image_id"}]:
        at, kind = columns.get_field_index(name), columns.field(name).type
        value = pa.array(["x" if kind == pa.string() else 77], pa.string() if kind == pa.string() else pa.int64())
        changed = pa.concat_arrays([value.cast(kind), sound[name].combine_chunks()[1:]])
        storage.write_whole(url, table_bytes(sound.set_column(at, columns.field(name), changed)))
        (sentence,) = differences(layout.url, other.url)
        assert sentence.startswith(f"Photos with other {table} rows: 1 (a.jpg"), name
        assert name in sentence or table != "images"


@pytest.mark.parametrize("table", ["tiles", "cracks"])
def test_a_lost_and_a_doubled_row_are_found(table: str, layout: Layout, tmp_path: Path) -> None:
    """Both change the tiles or cracks of a photo."""
    other = write_dataset(str(tmp_path / "two"))
    url = other.tiles(0, "one") if table == "tiles" else other.cracks(0, "one")
    sound = read_table(url)
    for changed in (sound.slice(1), pa.concat_tables([sound, sound.slice(0, 1)])):
        storage.write_whole(url, table_bytes(changed))
        assert differences(layout.url, other.url) == [f"Photos with other {table} rows: 1 (a.jpg)"]


def test_photos_of_one_side_only_are_found(layout: Layout, tmp_path: Path) -> None:
    """They are counted, and the first few are named; the other photos are still compared."""
    more = [ok(f"{name}.jpg") for name in "vwxyz"]
    other = write_dataset(str(tmp_path / "two"), [[*COMMITS[0][1:], *more], COMMITS[1]])
    assert differences(layout.url, other.url) == [
        f"Photos only in {layout.url}: 1 (a.jpg)",
        f"Photos only in {other.url}: 5 (v.jpg, w.jpg, x.jpg, …)",
    ]
    assert address("v.jpg")["archive"] == "s3://bucket/two.tar"
