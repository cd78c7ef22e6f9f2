"""Compaction: fewer and larger files, sorted, sealed and equal; and what it refuses."""

import contextlib
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.core.errors import CrackscanError, DatasetError, StorageError, UsageError
from pipeline.dataset.commit_log import read_log
from pipeline.dataset.compact import compact
from pipeline.dataset.diff import differences
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.dataset.moves import Moves, read_moves, write_moves
from pipeline.dataset.sql import scales_url
from pipeline.dataset.verify import verify
from pipeline.dataset.writer import open_writer
from pipeline.findings.scales import set_scales
from tests.helpers.small_dataset import COMMITS, make_run, ok, with_cracks, write_dataset, write_plan

LARGE = 1 << 28
TWO_PARTS = 36
"""Target size that gives parts of 8 of the 16 tiles."""


KEYS = {"images": ("image_id",), "tiles": ("image_id", "row", "col"), "cracks": ("image_id", "crack")}
"""What names a row of each table."""


def quiet(_done: int, _total: int) -> None:
    """Show no progress."""


def rows(layout: Layout, table: str) -> list[tuple[object, ...]]:
    """Archive, image and place of every row, in the order of the files."""
    place = ("archive", "image", *KEYS[table][1:])
    files = sorted(storage.local_path(layout.url).glob(f"{table}/*.parquet"))
    return [tuple(row[name] for name in place) for file in files for row in pq.read_table(file).to_pylist()]


@pytest.fixture
def old(tmp_path: Path) -> Layout:
    """A finished dataset of two commits."""
    return write_dataset(str(tmp_path / "old"))


@pytest.fixture
def new(tmp_path: Path) -> Layout:
    """A place for the compact dataset."""
    return Layout(storage.canonical(str(tmp_path / "new")))


@pytest.mark.parametrize(("part_bytes", "parts"), [(LARGE, 1), (TWO_PARTS, 2), (1, 3)])
def test_a_compact_dataset_is_equal_and_keeps_every_invariant(
    part_bytes: int, parts: int, old: Layout, new: Layout
) -> None:
    """Whatever the size of parts: the same rows, all checks of `verify` pass, and the old one is unchanged."""
    before = {path: path.stat().st_mtime_ns for path in storage.local_path(old.url).rglob("*")}
    made = compact(old.url, new.url, part_bytes, quiet)
    assert (made.photos, made.tiles, made.parts, made.parts_before) == (5, 16, parts, 2)
    assert len(read_log(new).tokens) == parts
    assert differences(old.url, new.url) == []
    assert [check for check in verify(new.url, quiet) if check.broken != 0 or check.open] == []
    assert {path: path.stat().st_mtime_ns for path in storage.local_path(old.url).rglob("*")} == before


@pytest.mark.parametrize("version", [1, 2])
def test_a_dataset_of_an_older_schema_is_compacted(version: int, new: Layout, tmp_path: Path) -> None:
    """What it lacks is null in the new one, as in its views."""
    old = write_dataset(str(tmp_path / "older"), schema_version=version)
    compact(old.url, new.url, LARGE, quiet)
    assert differences(old.url, new.url) == []
    assert [check for check in verify(new.url, quiet) if check.broken != 0 or check.open] == []
    assert not storage.exists(storage.join(new.url, "cracks"))


def test_crack_maps_are_copied(old: Layout, new: Layout) -> None:
    """So the old dataset is no longer needed."""
    storage.write_whole(old.map("some"), b"a map")
    compact(old.url, new.url, LARGE, quiet)
    assert storage.read_bytes(new.map("some")) == b"a map"


def test_rows_are_sorted_by_archive_and_image(old: Layout, new: Layout) -> None:
    """Tiles and cracks have the order of their photos, then their own, and files have the declared schema."""
    compact(old.url, new.url, TWO_PARTS, quiet)
    for name, declared in (
        ("images", table_schemas.IMAGES),
        ("tiles", table_schemas.TILES),
        ("cracks", table_schemas.CRACKS),
    ):
        if name != "images":
            assert rows(new, name) == sorted(rows(old, name), key=str) == sorted(rows(new, name), key=str)
        for path in storage.local_path(new.url).glob(f"{name}/*.parquet"):
            assert pq.read_schema(path).equals(declared)


def test_a_part_has_a_limited_number_of_photos(old: Layout, new: Layout) -> None:
    """So many photos of few tiles do not fill the memory."""
    assert compact(old.url, new.url, LARGE, quiet, part_photos=2).parts == 3


def test_a_sealed_dataset_is_never_added_to(old: Layout, new: Layout, tmp_path: Path) -> None:
    """No writer takes it over, and `compact` refuses it."""
    compact(old.url, new.url, LARGE, quiet)
    with hold(new, "two", lambda _holder: None) as lease, pytest.raises(UsageError, match="is sealed"):
        open_writer(new, make_run("two"), lease)
    with pytest.raises(UsageError, match=r"is compact already: it was made from .*old"):
        compact(new.url, str(tmp_path / "newer"), LARGE, quiet)


def test_row_groups_of_long_lines_are_small(old: Layout, new: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that they fit in memory, however many cracks a part has."""
    for name in ("GROUP_BYTES", "BATCH_ROWS"):
        monkeypatch.setattr(f"pipeline.dataset.compact.{name}", 1)
    compact(old.url, new.url, LARGE, quiet)
    [file] = storage.local_path(new.url).glob("cracks/*.parquet")
    assert pq.ParquetFile(file).num_row_groups == pq.ParquetFile(file).metadata.num_rows == 4
    assert differences(old.url, new.url) == []


def test_progress_counts_tiles(old: Layout, new: Layout) -> None:
    """It grows with each part, up to all tiles."""
    calls: list[tuple[int, int]] = []
    compact(old.url, new.url, 1, lambda done, total: calls.append((done, total)))
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})
    assert calls[-1] == (16, 16)


@pytest.mark.parametrize("cut", range(1, 8))
def test_an_interrupted_compaction_begins_again(
    cut: int, old: Layout, new: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted at any file, it is not finished; the same command completes it, and no orphan stays."""
    upload, uploads = storage.upload, 0

    def failing(path: Path, url: str) -> None:
        nonlocal uploads
        uploads += 1
        if uploads == cut:
            raise StorageError("the disk is full")
        upload(path, url)

    monkeypatch.setattr(storage, "upload", failing)
    with pytest.raises(StorageError):
        compact(old.url, new.url, TWO_PARTS, quiet)
    monkeypatch.undo()
    assert not storage.exists(new.summary)
    compact(old.url, new.url, LARGE, quiet)
    assert [check for check in verify(new.url, quiet) if check.broken != 0 or check.open] == []


def test_a_dataset_that_grows_meanwhile_is_an_error(old: Layout, new: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """If both are not equal at the end, the new one gets no summary."""
    upload = storage.upload

    def late(path: Path, url: str) -> None:
        upload(path, url)
        if len(read_log(old).tokens) == 2:
            write_dataset(old.url, [[ok("late.jpg")]], "two")

    monkeypatch.setattr(storage, "upload", late)
    with pytest.raises(CrackscanError, match=r"is not equal to .*Photos only in .*old: 1 \(late\.jpg\)"):
        compact(old.url, new.url, LARGE, quiet)
    assert not storage.exists(new.summary)


def test_only_a_finished_dataset_is_compacted(new: Layout, tmp_path: Path) -> None:
    """The message says what to do, and nothing is written."""
    unfinished = write_dataset(str(tmp_path / "unfinished"), finish=False)
    with pytest.raises(UsageError) as refused:
        compact(unfinished.url, new.url, LARGE, quiet)
    assert str(refused.value) == (
        f"{unfinished.url} is not finished; expected one in which every photo has its row. Run `crackscan score` "
        "again to go on; `crackscan status` shows how far it is."
    )
    assert not storage.exists(new.url)


def test_nothing_is_overwritten(old: Layout, new: Layout, tmp_path: Path) -> None:
    """Another dataset, other files, and a place inside the old dataset are refused."""
    another = write_dataset(str(tmp_path / "another"), COMMITS[:1], "two")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "note.txt").write_text("mine")
    compact(old.url, new.url, LARGE, quiet)
    for place, message in (
        (another.url, "There is another dataset at"),
        (new.url, "There is another dataset at"),
        (f"file://{tmp_path}/notes", "notes is not empty"),
        (f"{old.url}/inside", "overlap"),
        (old.url, "overlap"),
    ):
        with pytest.raises(UsageError, match=message):
            compact(old.url, place, LARGE, quiet)
    assert (tmp_path / "notes" / "note.txt").read_text() == "mine"


MORE = [[with_cracks(ok("more.jpg"), 2), ok("another.jpg")]]
"""A night that follows."""


def add_night(layout: Layout) -> None:
    """Score two more photos of the same archives."""
    write_dataset(layout.url, MORE, "two")
    write_plan(layout, [row for commit in [*COMMITS, *MORE] for row in commit])


def ids(layout: Layout, table: str) -> list[str]:
    """What a reader of `images/*.parquet` sees now: key and writer of every row."""
    files = sorted(storage.local_path(layout.url).glob(f"{table}/*.parquet"))
    tables = [pq.read_table(file) for file in files]
    assert len({found.schema.metadata[b"crackscan.token"] for found in tables}) <= 1, "old rows beside new"
    return [str([row[name] for name in KEYS[table]]) for found in tables for row in found.to_pylist()]


def test_an_older_compaction_is_replaced_on_demand(old: Layout, new: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every moment its readers see each row once, and old ones never beside new; at the end, all of them."""
    compact(old.url, new.url, TWO_PARTS, quiet)
    add_night(old)
    seen = []

    def look(change: str, real: Callable[..., object], *given: object) -> object:
        done = real(*given)
        for table in KEYS:
            found = ids(new, table)
            assert len(found) == len({*found}), change
            seen.append(len(found))
        return done

    for name in ("upload", "remove", "write_whole"):
        monkeypatch.setattr(storage, name, partial(look, name, getattr(storage, name)))
    compact(old.url, new.url, TWO_PARTS, quiet, overwrite=True)
    monkeypatch.undo()
    assert {0, *(len(ids(new, table)) for table in KEYS)} <= {*seen}
    assert differences(old.url, new.url) == []
    assert [check for check in verify(new.url, quiet) if check.broken != 0 or check.open] == []


@pytest.mark.parametrize("name", ["upload", "remove", "write_whole"])
@pytest.mark.parametrize("cut", [1, 2, 4, 6, 8])
def test_a_replacement_that_is_interrupted_begins_again(
    name: str, cut: int, old: Layout, new: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the older files go, it stays whole; after that the place is not finished. The same command completes it."""
    compact(old.url, new.url, TWO_PARTS, quiet)
    before = ids(new, "images")
    add_night(old)
    calls, real = 0, getattr(storage, name)

    def failing(*given: object) -> object:
        nonlocal calls
        calls += 1
        if calls == cut:
            raise StorageError("the disk is full")
        return real(*given)

    monkeypatch.setattr(storage, name, failing)
    with contextlib.suppress(StorageError):
        compact(old.url, new.url, TWO_PARTS, quiet, overwrite=True)
    monkeypatch.undo()
    assert not storage.exists(new.summary) or len(ids(new, "images")) in {len(before), len(before) + 2}
    compact(old.url, new.url, TWO_PARTS, quiet, overwrite=True)
    assert differences(old.url, new.url) == []
    assert [check for check in verify(new.url, quiet) if check.broken != 0 or check.open] == []


def test_the_last_copy_of_other_scores_stays(old: Layout, new: Layout, tmp_path: Path) -> None:
    """A compaction of a dataset that lay where another lies now is never replaced; an older one says how."""
    compact(old.url, new.url, LARGE, quiet)
    with pytest.raises(UsageError) as refused:
        compact(old.url, new.url, LARGE, quiet)
    assert str(refused.value) == (
        f"There is another dataset at {new.url}: an older compaction of {old.url}. Give another --to, or --overwrite "
        "to replace it once the new one is made and proved."
    )
    shutil.rmtree(storage.local_path(old.url))
    write_dataset(old.url, card={"threshold": 0.75})
    another = write_dataset(str(tmp_path / "another"))
    for place in (new.url, another.url):
        with pytest.raises(UsageError) as refused:
            compact(old.url, place, LARGE, quiet, overwrite=True)
        assert str(refused.value) == f"There is another dataset at {place}. Give another --to."


def test_scales_of_an_older_compaction_are_not_lost(old: Layout, new: Layout) -> None:
    """Set in the older one, they are nowhere else: it stays as it is, and the message says where they belong."""
    compact(old.url, new.url, LARGE, quiet)
    set_scales(new.url, lambda _archive, _image: (0.25, "given"))
    before = {file.path: storage.read_bytes(file.url) for file in storage.list_files(new.url)}
    with pytest.raises(UsageError) as refused:
        compact(old.url, new.url, LARGE, quiet, overwrite=True)
    assert str(refused.value) == (
        f"{new.url} has scales of its own, in scales.parquet, and a new compaction has those of {old.url}. Set them "
        f"there with `crackscan scale`, and drop these with `crackscan scale {new.url} --remove`; or give another --to."
    )
    assert {file.path: storage.read_bytes(file.url) for file in storage.list_files(new.url)} == before


def test_scales_of_the_dataset_come_with_a_replacement(old: Layout, new: Layout) -> None:
    """They are in the millimetres of its files, and the dataset keeps them."""
    compact(old.url, new.url, LARGE, quiet)
    set_scales(old.url, lambda _archive, _image: (0.25, "given"))
    kept = storage.read_bytes(scales_url(old))
    compact(old.url, new.url, LARGE, quiet, overwrite=True)
    cracks = [row for path in storage.local_path(new.url).glob("cracks/*") for row in pq.read_table(path).to_pylist()]
    assert {row["mm_per_px"] for row in cracks} == {0.25}
    assert storage.read_bytes(scales_url(old)) == kept
    assert not storage.exists(scales_url(new))


def test_run_json_names_the_old_dataset(old: Layout, new: Layout) -> None:
    """Fingerprint and model card are those of the old dataset."""
    compact(old.url, new.url, LARGE, quiet)
    before, now = (json.loads(storage.read_bytes(layout.run)) for layout in (old, new))
    assert (now["sealed"], now["compacted_from"]) == (True, old.url)
    assert [now[name] for name in ("fingerprint", "model_card")] == [
        before[name] for name in ("fingerprint", "model_card")
    ]


def test_a_compaction_killed_at_its_start_begins_again(old: Layout, new: Layout) -> None:
    """It removes files half written before `run.json`, which belong to no dataset."""
    for name in ("lease", "run.json"):
        left = storage.local_path(new.url) / f".{name}.{'0' * 32}.tmp"
        left.parent.mkdir(exist_ok=True)
        left.write_bytes(b"half of i")
    compact(old.url, new.url, LARGE, quiet)
    assert [file.path for file in storage.list_files(new.url) if file.path.startswith(".")] == []
    (storage.local_path(new.url) / "mine.txt").write_text("mine")


def test_places_of_moved_archives_are_copied(old: Layout, new: Layout) -> None:
    """So that reports of the compact dataset find the photos, too."""
    moves = Moves({"file:///photos/one.zip": "file:///archive/one.zip"})
    write_moves(old, moves)
    compact(old.url, new.url, LARGE, quiet)
    assert read_moves(new) == moves


def test_only_the_plan_is_copied(old: Layout, new: Layout) -> None:
    """Leftovers of a killed writer beside it are not."""
    (storage.local_path(old.plans) / f".x.parquet.{'0' * 32}.tmp").write_bytes(b"half of i")
    compact(old.url, new.url, LARGE, quiet)
    assert [file.path for file in storage.list_files(new.plans)] == sorted(
        file.path for file in storage.list_files(old.plans) if file.path[0] != "."
    )


def test_a_dataset_that_lost_rows_is_refused(old: Layout, new: Layout) -> None:
    """The summary counts other photos than the rows do."""
    storage.remove(old.failed(0))
    with pytest.raises(DatasetError, match=r"has 4 photos, and its summary\.json counts 5"):
        compact(old.url, new.url, LARGE, quiet)
    assert not storage.exists(new.summary)
