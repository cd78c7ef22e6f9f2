"""The files of a dataset, also of a damaged one, and while a run writes."""

from pathlib import Path

import pytest

from pipeline import storage
from pipeline.core.table_schemas import CRACKS
from pipeline.dataset.commit_log import read_table, table_bytes
from pipeline.dataset.inventory import Inventory, take_inventory
from pipeline.dataset.layout import Layout
from tests.helpers.small_dataset import write_dataset


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A finished dataset of two commits, eight files."""
    return write_dataset(str(tmp_path / "out"))


def inventory(layout: Layout) -> Inventory:
    """The inventory of a dataset."""
    return take_inventory(layout, lambda _done, _total: None)


def test_files_of_commits_are_distinguished_from_others(layout: Layout) -> None:
    """Files that the log does not name are orphans, each listed once."""
    storage.write_whole(layout.tiles(1, "two"), storage.read_bytes(layout.tiles(1, "one")))
    storage.write_whole(layout.cracks(1, "two"), storage.read_bytes(layout.cracks(1, "one")))
    storage.write_whole(storage.join(layout.url, "tiles", "notes.txt"), b"")
    found = inventory(layout)
    assert len(found.committed) == len({file.url for file in found.committed}) == 8
    others = {layout.tiles(1, "two"), layout.cracks(1, "two"), storage.join(layout.url, "tiles", "notes.txt")}
    assert {*found.orphans} == others


def test_a_flipped_byte_in_a_footer_stops_nothing(layout: Layout) -> None:
    """Footers have no checksum: whatever their bytes say, every file is classified."""
    path = storage.local_path(layout.failed(0))
    data = path.read_bytes()
    footer_start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for place in range(footer_start, len(data), 29):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x80]) + data[place + 1 :])
        found = inventory(layout)
        assert len(found.committed) + len(found.orphans) == 8


def test_a_file_that_goes_meanwhile_is_ignored(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer sweeps, and `retry` removes failed photos, between listing and reading."""
    open_file = storage.open_file

    def remove_first(url: str) -> object:
        if url == layout.failed(0):
            storage.remove(url)
        return open_file(url)

    monkeypatch.setattr(storage, "open_file", remove_first)
    calls: list[tuple[int, int]] = []
    found = take_inventory(layout, lambda done, total: calls.append((done, total)))
    assert (len(found.committed), found.orphans, calls[-1]) == (7, (), (8, 8))


@pytest.mark.parametrize("version", [1, 2])
def test_older_schemas_have_no_cracks(version: int, tmp_path: Path) -> None:
    """Their other files are declared as they are; a file of cracks of such a version is not."""
    layout = write_dataset(str(tmp_path / "older"), schema_version=version)
    assert [file.kind for file in inventory(layout).committed if not file.is_declared] == []
    images = read_table(layout.images(0)).schema.metadata
    storage.write_whole(layout.cracks(0, "one"), table_bytes(CRACKS.empty_table().replace_schema_metadata(images)))
    assert [file.kind for file in inventory(layout).committed if not file.is_declared] == ["cracks"]
