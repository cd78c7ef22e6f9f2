"""Crack maps in a dataset."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.core.errors import StorageError
from pipeline.dataset.crack_map_files import copy_maps, write_maps
from pipeline.dataset.layout import Layout
from tests.conftest import S3Place


def scored(**maps: bytes | None) -> pa.Table:
    """Scored photos by name, some with a map."""
    rows = [{"image_id": name, "status": "ok", "crack_map": data} for name, data in maps.items()]
    return pa.Table.from_pylist(rows, schema=table_schemas.SCORED)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A place for a dataset."""
    return Layout(storage.canonical(str(tmp_path / "out")))


def maps_of(layout: Layout) -> dict[str, bytes]:
    """The maps of a dataset, by file name."""
    return {file.path: storage.read_bytes(file.url) for file in storage.list_files(layout.maps)}


def test_each_map_is_a_file(layout: Layout) -> None:
    """Photos without a map have none; the photos are returned without their maps."""
    many = {f"photo{number}": str(number).encode() for number in range(40)}
    left = write_maps(scored(**many, none=None), layout)
    assert maps_of(layout) == {f"{name}.png": data for name, data in many.items()}
    assert left.column_names == [name for name in table_schemas.SCORED.names if name != "crack_map"]
    assert left["image_id"].to_pylist() == [*many, "none"]


@pytest.mark.ray
def test_maps_on_s3(s3: S3Place) -> None:
    """Many at once, as on local disk."""
    layout = Layout(f"{s3.url}/out")
    many = {f"photo{number}": str(number).encode() for number in range(40)}
    write_maps(scored(**many), layout)
    assert maps_of(layout) == {f"{name}.png": data for name, data in many.items()}


def test_without_maps_there_is_no_folder(layout: Layout) -> None:
    """Runs without --maps leave no trace."""
    write_maps(scored(a=None), layout)
    write_maps(table_schemas.SCORED.empty_table(), layout)
    assert not storage.exists(layout.maps)


def test_a_photo_scored_again_has_one_map(layout: Layout) -> None:
    """It replaces the map that a killed writer left."""
    write_maps(scored(a=b"first"), layout)
    write_maps(scored(a=b"first"), layout)
    assert maps_of(layout) == {"a.png": b"first"}


def test_a_map_that_cannot_be_written_stops_the_run(layout: Layout, tmp_path: Path) -> None:
    """No photo is committed without its map."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "maps").write_bytes(b"in the way")
    with pytest.raises(StorageError, match=r"maps/a\.png could not be written"):
        write_maps(scored(a=b"map"), layout)


def test_maps_are_copied(layout: Layout, tmp_path: Path) -> None:
    """All of them, but no file half written; without maps nothing is created."""
    new = Layout(storage.canonical(str(tmp_path / "new")))
    copy_maps(layout, new)
    assert not storage.exists(new.url)
    write_maps(scored(a=b"1", b=b"2"), layout)
    (tmp_path / "out" / "maps" / ".c.png.half").write_bytes(b"3")
    copy_maps(layout, new)
    assert maps_of(new) == {"a.png": b"1", "b.png": b"2"}
