"""The files of a dataset, also of a damaged one, and while a run writes."""

from pathlib import Path

import pytest

from pipeline import storage
from pipeline.dataset.inventory import Inventory, take_inventory
from pipeline.dataset.layout import Layout
from tests.helpers.small_dataset import write_dataset


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A finished dataset of two commits, six files."""
    return write_dataset(str(tmp_path / "out"))


def inventory(layout: Layout) -> Inventory:
    """The inventory of a dataset."""
    return take_inventory(layout, lambda _done, _total: None)


def test_files_of_commits_are_distinguished_from_others(layout: Layout) -> None:
    """Files that the log does not name are orphans, each listed once."""
    storage.write_whole(layout.tiles(1, "two"), storage.read_bytes(layout.tiles(1, "one")))
    storage.write_whole(storage.join(layout.url, "tiles", "notes.txt"), b"")
    found = inventory(layout)
    assert len(found.committed) == len({file.url for file in found.committed}) == 6
    assert {*found.orphans} == {layout.tiles(1, "two"), storage.join(layout.url, "tiles", "notes.txt")}


def test_a_flipped_byte_in_a_footer_stops_nothing(layout: Layout) -> None:
    """Footers have no checksum: whatever their bytes say, every file is classified."""
    path = storage.local_path(layout.failed(0))
    data = path.read_bytes()
    footer_start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for place in range(footer_start, len(data), 29):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x80]) + data[place + 1 :])
        found = inventory(layout)
        assert len(found.committed) + len(found.orphans) == 6


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
    assert (len(found.committed), found.orphans, calls[-1]) == (5, (), (6, 6))
