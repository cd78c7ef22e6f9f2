"""Crack maps in a dataset."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.core import schema
from pipeline.core.errors import StorageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.map_files import copy_maps, keep_maps
from tests.conftest import S3Place


def scored(**maps: bytes | None) -> pa.Table:
    """Scored photos by name, some with a map."""
    rows = [{"image_id": name, "status": "ok", "crack_map": data} for name, data in maps.items()]
    return pa.Table.from_pylist(rows, schema=schema.SCORED)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A place for a dataset."""
    return Layout(storage.canonical(str(tmp_path / "out")))


def maps_of(layout: Layout) -> dict[str, bytes]:
    """What lies in a dataset's folder of maps."""
    return {file.path: storage.read_bytes(file.url) for file in storage.list_files(layout.maps)}


def test_each_map_is_a_file(layout: Layout) -> None:
    """Photos without one leave nothing; all go on without their maps."""
    many = {f"photo{number}": str(number).encode() for number in range(40)}
    left = keep_maps(scored(**many, none=None), layout)
    assert maps_of(layout) == {f"{name}.png": data for name, data in many.items()}
    assert left.column_names == [name for name in schema.SCORED.names if name != "crack_map"]
    assert left["image_id"].to_pylist() == [*many, "none"]


@pytest.mark.ray
def test_maps_on_s3(s3: S3Place) -> None:
    """Many at once, as on disk."""
    layout = Layout(f"{s3.url}/out")
    many = {f"photo{number}": str(number).encode() for number in range(40)}
    keep_maps(scored(**many), layout)
    assert maps_of(layout) == {f"{name}.png": data for name, data in many.items()}


def test_without_maps_there_is_no_folder(layout: Layout) -> None:
    """Whoever did not ask for maps finds none."""
    keep_maps(scored(a=None), layout)
    keep_maps(schema.SCORED.empty_table(), layout)
    assert not storage.exists(layout.maps)


def test_a_photo_scored_again_has_one_map(layout: Layout) -> None:
    """In place of what a killed writer left."""
    keep_maps(scored(a=b"first"), layout)
    keep_maps(scored(a=b"first"), layout)
    assert maps_of(layout) == {"a.png": b"first"}


def test_a_map_that_cannot_be_written_stops_the_run(layout: Layout, tmp_path: Path) -> None:
    """Its photo is not committed without it."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "maps").write_bytes(b"in the way")
    with pytest.raises(StorageError, match=r"maps/a\.png could not be written"):
        keep_maps(scored(a=b"map"), layout)


def test_maps_are_copied(layout: Layout, tmp_path: Path) -> None:
    """All of them, but nothing half written; where there are none, nothing is made."""
    new = Layout(storage.canonical(str(tmp_path / "new")))
    copy_maps(layout, new)
    assert not storage.exists(new.url)
    keep_maps(scored(a=b"1", b=b"2"), layout)
    (tmp_path / "out" / "maps" / ".c.png.half").write_bytes(b"3")
    copy_maps(layout, new)
    assert maps_of(new) == {"a.png": b"1", "b.png": b"2"}
