"""The commit log: which photos are committed, which files are read again, and the effect of a flipped byte."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.core.errors import DatasetError, StorageError, UsageError
from pipeline.dataset.commit_log import EMPTY_LOG, TOKEN, CommitLog, read_log, read_table, table_bytes
from pipeline.dataset.layout import Layout
from pipeline.dataset.run import read_run


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A place for a dataset."""
    return Layout(storage.canonical(str(tmp_path / "out")))


def ids_file(token: str, *ids: str) -> bytes:
    """A file of the commit log, with the column that the log reads."""
    return table_bytes(pa.table({"image_id": pa.array(ids, pa.string())}).replace_schema_metadata({TOKEN: token}))


def put(url: str, data: bytes) -> None:
    """Write a file without waiting for the disk."""
    path = storage.local_path(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def commit(layout: Layout, part: int, token: str, ids: Sequence[str], failed: Sequence[str] = ()) -> None:
    """Commit photos by hand."""
    put(layout.tiles(part, token), b"never opened")
    put(layout.cracks(part, token), b"never opened")
    if failed:
        put(layout.failed(part), ids_file(token, *failed))
    put(layout.images(part), ids_file(token, *ids))


def facts(log: CommitLog) -> tuple[object, ...]:
    """The content of a log, without the division into chunks."""
    return log.tokens, sorted(log.done.to_pylist()), log.failed, log.failed_parts, set(log.orphans)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read."""
    names: list[str] = []
    read_many = storage.read_many

    def record(urls: Sequence[str]) -> Iterator[bytes]:
        names.extend(map(storage.name, urls))
        return read_many(urls)

    monkeypatch.setattr(storage, "read_many", record)
    return names


def test_a_place_without_files_has_an_empty_log(layout: Layout) -> None:
    """No files, no commits."""
    assert facts(read_log(layout)) == facts(EMPTY_LOG)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8), st.integers(0, 8))
def test_reading_only_new_commits_gives_the_whole_log(
    tmp_path_factory: pytest.TempPathFactory, commits: list[tuple[int, int]], known_of: int
) -> None:
    """Whatever was known before, the log is the same."""
    layout, known = Layout(storage.canonical(str(tmp_path_factory.mktemp("out")))), EMPTY_LOG
    for part, (ok, failed) in enumerate(commits):
        if part == known_of:
            known = read_log(layout)
        commit(layout, part, "run", [f"{part}-{n}" for n in range(ok)], [f"{part}-failed-{n}" for n in range(failed)])
    assert facts(read_log(layout, known)) == facts(read_log(layout))
    assert read_log(layout).failed == sum(failed for _, failed in commits)


def test_only_new_files_are_opened(layout: Layout, opened: list[str]) -> None:
    """A second reading opens the files of new commits, no older ones, and never tiles or cracks."""
    commit(layout, 0, "run", ["a"], ["b"])
    known = read_log(layout)
    commit(layout, 1, "run", ["c"], ["d"])
    opened.clear()
    assert sorted(read_log(layout, known).done.to_pylist()) == ["a", "b", "c", "d"]
    assert sorted(opened) == ["failed-000001.parquet", "part-000001.parquet"]


def test_a_log_with_a_commit_added_is_the_log_read_again(layout: Layout) -> None:
    """The writer adds its commits to its log, which stays equal to the log of a reader."""
    log = EMPTY_LOG
    for part, failed in enumerate((["b"], [], ["e", "f"])):
        commit(layout, part, "run", [f"ok-{part}"], failed)
        log = log.after("run", pa.chunked_array([[f"ok-{part}", *failed]]), len(failed))
    assert facts(log) == facts(read_log(layout))


def test_files_with_the_number_of_another_run_are_orphans(layout: Layout) -> None:
    """All files but photos are orphans once another run has their number; before, a commit may be in progress."""
    commit(layout, 0, "new", ["a"])
    for part in (0, 1):
        storage.write_whole(layout.tiles(part, "old"), b"never opened")
        storage.write_whole(layout.cracks(part, "old"), b"never opened")
        storage.write_whole(layout.failed(part), ids_file("old", "z"))
    log = read_log(layout)
    assert (log.done.to_pylist(), log.failed) == (["a"], 0)
    assert set(log.orphans) == {layout.failed(0), layout.tiles(0, "old"), layout.cracks(0, "old")}


def test_other_files_do_not_belong_to_the_log(layout: Layout) -> None:
    """Names that only resemble those of a commit are ignored, also in subfolders."""
    commit(layout, 0, "run", ["a"])
    for name in ("images/part-7.parquet.tmp", "images/deep/part-000009.parquet", "tiles/notes.txt", "images/part-x"):
        storage.write_whole(storage.join(layout.url, name), b"nonsense")
    assert facts(read_log(layout)) == (("run",), ["a"], 0, frozenset(), set())


@pytest.mark.parametrize("lost", [0, 2])
def test_a_gap_in_the_log_is_an_error(layout: Layout, lost: int) -> None:
    """A lost commit file is damage, not work to repeat; also the last one, if it was known before."""
    for part in range(3):
        commit(layout, part, "run", [str(part)])
    known = read_log(layout)
    storage.remove(layout.images(lost))
    with pytest.raises(DatasetError, match=f"1 are missing, part-00000{lost}.parquet among them"):
        read_log(layout, known)


def test_a_file_removed_while_it_is_read_is_ignored(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A late writer may remove its own failed file between our listing and our reading."""
    commit(layout, 0, "new", ["a"])
    storage.write_whole(layout.failed(0), ids_file("old", "z"))
    read_many = storage.read_many

    def removing(urls: Sequence[str]) -> Iterator[bytes]:
        storage.remove(layout.failed(0))
        return read_many(urls)

    monkeypatch.setattr(storage, "read_many", removing)
    assert facts(read_log(layout)) == (("new",), ["a"], 0, frozenset(), set())


def test_a_file_that_cannot_be_read_is_an_error(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is not read again for ever if the file is still there."""
    commit(layout, 0, "run", ["a"])

    def closed(urls: Sequence[str]) -> Iterator[bytes]:
        raise StorageError(f"{urls[0]} could not be read: permission was denied.", permanent=True)
        yield b""

    monkeypatch.setattr(storage, "read_many", closed)
    with pytest.raises(StorageError, match="permission was denied"):
        read_log(layout)


@pytest.mark.parametrize("data", [b"nonsense", b"", table_bytes(pa.table({"image_id": ["a"]}))])
def test_a_damaged_file_names_itself(layout: Layout, data: bytes) -> None:
    """The message has the URL of a commit file that is no Parquet, or that names no run."""
    storage.write_whole(layout.images(0), data)
    with pytest.raises(DatasetError, match=r"part-000000\.parquet is no sound file of this dataset"):
        read_log(layout)


def test_a_flipped_byte_in_the_rows_is_found(layout: Layout) -> None:
    """Every page has a checksum: whichever byte of the rows is flipped, no wrong rows are read."""
    table = pa.table({"image_id": [f"{n:016x}" for n in range(60)], "crack_score": [n / 60 for n in range(60)]})
    data = table_bytes(table)
    rows_end = len(data) - 8 - int.from_bytes(data[-8:-4], "little")  # the footer follows
    found = 0
    for place in range(rows_end):
        put(layout.images(0), data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        try:
            assert read_table(layout.images(0)).equals(table)
        except DatasetError:
            found += 1
    assert found > 0.8 * rows_end  # the rest is statistics in page headers, which crackscan does not read


def test_run_json_has_the_fingerprint(layout: Layout) -> None:
    """`read_run` returns its values."""
    put(layout.run, b'{"fingerprint": {"tile_px": 224}}')
    assert read_run(layout)["fingerprint"] == {"tile_px": 224}


@pytest.mark.parametrize("data", [b"{", b"[]", b"{}", b'{"fingerprint": 3}', b"\xff"])
def test_a_damaged_run_json_is_an_error(layout: Layout, data: bytes) -> None:
    """The message names the file if it has no fingerprint."""
    storage.write_whole(layout.run, data)
    with pytest.raises(DatasetError, match=r"run\.json is damaged"):
        read_run(layout)


def test_a_folder_without_run_json_is_no_dataset(layout: Layout) -> None:
    """That is wrong usage."""
    with pytest.raises(UsageError, match="There is no dataset at"):
        read_run(layout)


def test_failed_photos_that_a_retry_removed_are_no_longer_done(layout: Layout) -> None:
    """The log follows the files, also if a failed file has gone since it was last read."""
    commit(layout, 0, "run", ["a"], ["b"])
    known = read_log(layout)
    storage.remove(layout.failed(0))
    assert facts(read_log(layout, known)) == (("run",), ["a"], 0, frozenset(), set())


def test_a_flipped_byte_in_any_group_of_rows_is_found(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long table is read by its groups; that says no less of damage, and takes equal columns once."""
    monkeypatch.setattr("pipeline.dataset.commit_log.GROUP_ROWS", 16)
    table = pa.table({"image_id": [f"{n:016x}" for n in range(40)], "archive": ["file:///a"] * 40})
    data = table_bytes(table)
    rows_end = len(data) - 8 - int.from_bytes(data[-8:-4], "little")  # the footer follows
    found = 0
    for place in range(rows_end):
        put(layout.images(0), data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        try:
            assert read_table(layout.images(0)).equals(table)
        except DatasetError:
            found += 1
    assert found > 0.7 * rows_end  # the rest is statistics in page headers, which crackscan does not read
