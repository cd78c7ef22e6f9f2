"""Archives that were moved or renamed: nothing is scored again, and every reader finds the photos."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.archives.members import Limits
from pipeline.archives.readers import list_archive
from pipeline.core.errors import DatasetError, DatasetHeldError, UsageError
from pipeline.dataset.commit_log import read_log
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.dataset.moves import NO_MOVES, read_moves
from pipeline.dataset.sql import query
from pipeline.dataset.verify import verify
from pipeline.reports.source_photos import read_source_photos
from pipeline.scoring.inputs import find_inputs
from pipeline.scoring.plan import Plan, make_plan
from pipeline.scoring.planned_inputs import look_again, read_planned_inputs
from pipeline.scoring.reading import read_unit, split_units
from pipeline.scoring.relocate import relocate
from tests.helpers.packing import NOTHING, pack
from tests.helpers.scored_photos import photo, score_archives, zip_photos


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Score a folder with a zip, a tar, a compressed tar, and loose photos in two folders."""
    folder = tmp_path / "in"
    (folder / "span").mkdir(parents=True)
    zip_photos(folder / "a.zip", {"1.png": photo(1), "2.png": photo(2)})
    (folder / "b.tar").write_bytes(pack(".tar", [("3.png", photo(3)), ("4.png", photo(4))]))
    (folder / "b.tgz").write_bytes(pack(".tgz", [("7.png", photo(7)), ("8.png", photo(8))]))
    (folder / "5.png").write_bytes(photo(5))
    (folder / "span/6.png").write_bytes(photo(6))
    return score_archives(tmp_path / "out", folder)


def plan_of(layout: Layout, *spelled: Path) -> Plan:
    """Plan inputs as `score` does."""
    moves = read_moves(layout)
    plan = make_plan(find_inputs([str(path) for path in spelled], layout, moves), layout, read_log(layout).done)
    return plan.with_listed(list_archive(file, moves.place_of(file.url)) for file in plan.unlisted)


def readable(layout: Layout) -> list[str]:
    """Return the photos of the dataset that can be read from where they lie."""
    rows = query(layout.url, "SELECT image_id, archive, image FROM images").to_pylist()
    names = {row["image_id"]: row["image"] for row in rows}
    found = read_source_photos(layout, {row["image_id"]: row["archive"] for row in rows})
    return sorted(names[image_id] for image_id, source in found if not isinstance(source, str))


ALL = ["1.png", "2.png", "3.png", "4.png", "5.png", "7.png", "8.png", "span/6.png"]


def test_a_moved_folder_goes_on(layout: Layout, tmp_path: Path) -> None:
    """Nothing is left to score, only what is new; all photos are found; and it can be moved again, and back."""
    before = query(layout.url, "SELECT * FROM images ORDER BY image_id")
    for source, target in (("in", "moved"), ("moved", "again"), ("again", "in")):
        (tmp_path / source).rename(tmp_path / target)
        assert len(readable(layout)) < len(ALL)
        moved = relocate(layout.url, str(tmp_path / source), str(tmp_path / target))
        assert (moved.archives, moved.folders, moved.missing, moved.proofs) == (3, 1, 0, {"version": 4})
        assert readable(layout) == ALL
        plan = plan_of(layout, tmp_path / target)
        assert (plan.changes, plan.unlisted, plan.without(read_log(layout).done).num_rows) == ((), (), 0)
        assert plan_of(layout, tmp_path / target / "span").without(read_log(layout).done).num_rows == 0
    assert read_moves(layout) == NO_MOVES
    zip_photos(tmp_path / "in/new.zip", {"1.png": photo(7)})
    assert plan_of(layout, tmp_path / "in").without(read_log(layout).done)["image"].to_pylist() == ["1.png"]
    assert query(layout.url, "SELECT * FROM images ORDER BY image_id").equals(before)
    assert not any(check.broken or check.open for check in verify(layout.url, lambda *_: None))


@pytest.mark.parametrize("name", ["a.zip", "b.tar"])
def test_an_archive_with_another_date_is_proven_by_its_members(name: str, layout: Layout, tmp_path: Path) -> None:
    """Its version is that of the new place from then on, so it does not count as replaced."""
    renamed = tmp_path / f"renamed{Path(name).suffix}"
    shutil.move(tmp_path / "in" / name, renamed)
    os.utime(renamed, (1, 1))
    moved = relocate(layout.url, str(tmp_path / "in" / name), str(renamed))
    assert (moved.archives, moved.folders, moved.photos, moved.proofs) == (1, 0, 2, {"content": 1})
    plan = plan_of(layout, tmp_path / "in", renamed)
    assert (plan.changes, plan.without(read_log(layout).done).num_rows) == ((), 0)
    assert readable(layout) == ALL


def test_photos_without_a_row_are_read_at_the_new_place(layout: Layout, tmp_path: Path) -> None:
    """Of every kind of archive; they have the ids that they were planned with."""
    (tmp_path / "in").rename(tmp_path / "moved")
    relocate(layout.url, str(tmp_path / "in"), str(tmp_path / "moved"))
    moves = read_moves(layout)
    for plan in (
        make_plan(find_inputs([str(tmp_path / "moved")], layout, moves), layout, NOTHING),
        make_plan(look_again(read_planned_inputs(layout, moves), NOTHING), layout, NOTHING),
    ):
        read = [
            row
            for unit in split_units(plan.members)
            for table in read_unit(unit, Limits(), NOTHING, moves)
            for row in table.to_pylist()
        ]
        assert {row["image_id"] for row in read} == {*read_log(layout).done.to_pylist()}
        assert sorted(row["image"] for row in read if row["data"]) == ALL
        assert all(row["archive"].startswith(f"file://{tmp_path}/in") for row in read)


def test_a_replaced_archive_is_noticed_at_its_new_place(layout: Layout, tmp_path: Path) -> None:
    """It is told by its address, which is what the dataset knows."""
    (tmp_path / "in").rename(tmp_path / "moved")
    relocate(layout.url, str(tmp_path / "in"), str(tmp_path / "moved"))
    zip_photos(tmp_path / "moved/a.zip", {"1.png": photo(9)})
    [change] = plan_of(layout, tmp_path / "moved").changes
    assert (change.url, change.what, change.scored) == (f"file://{tmp_path}/in/a.zip", "replaced", 2)


def replace_member(at: Path) -> None:
    """Put another photo of the same size into the archive."""
    zip_photos(at / "moved/a.zip", {"1.png": photo(1), "2.png": photo(9)})


def grow_photo(at: Path) -> None:
    """Put another photo in the place of a loose one."""
    (at / "moved/5.png").write_bytes(photo(5) + b" ")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (replace_member, r"moved/a\.zip does not hold the photos that .*in/a\.zip held\. .*Nothing was changed\.$"),
        (grow_photo, r"moved/5\.png has \d+ bytes; expected \d+, as in .*/in\. Nothing was changed\.$"),
        (lambda at: (at / "moved/b.tar").unlink(), r"moved/b\.tar was not found; expected .*in/b\.tar there\."),
        (lambda at: os.utime(at / "moved/b.tgz", (1, 1)), r"moved/b\.tgz has another date .*give --unchecked"),
    ],
)
def test_what_is_not_what_was_listed_is_refused(
    spoil: Callable[[Path], None], message: str, layout: Layout, tmp_path: Path
) -> None:
    """Then the whole move is, and the dataset stays as it was."""
    (tmp_path / "in").rename(tmp_path / "moved")
    spoil(tmp_path)
    before = {file.path: storage.read_bytes(file.url) for file in storage.list_files(layout.url)}
    with pytest.raises(UsageError, match=message):
        relocate(layout.url, str(tmp_path / "in"), str(tmp_path / "moved"))
    assert {file.path: storage.read_bytes(file.url) for file in storage.list_files(layout.url)} == before


def test_unchecked_takes_a_compressed_tar_of_another_date(layout: Layout, tmp_path: Path) -> None:
    """The result says that nothing was proven."""
    (tmp_path / "in/b.tgz").rename(tmp_path / "c.tgz")
    os.utime(tmp_path / "c.tgz", (1, 1))
    moved = relocate(layout.url, str(tmp_path / "in/b.tgz"), str(tmp_path / "c.tgz"), is_checked=False)
    assert moved.proofs == {"none": 1}
    assert readable(layout) == ALL


def test_photos_that_were_put_away_are_counted(layout: Layout, tmp_path: Path) -> None:
    """They were missing at the old place, too, or stayed there."""
    (tmp_path / "in/5.png").unlink()
    (tmp_path / "in").rename(tmp_path / "moved")
    assert relocate(layout.url, str(tmp_path / "in"), str(tmp_path / "moved")).missing == 1


def test_wrong_places_are_refused(layout: Layout, tmp_path: Path) -> None:
    """A place that the dataset does not know is answered with those that it knows; an ending must stay."""
    with pytest.raises(UsageError, match=r"^Nothing of .*/out lay at .*/elsewhere; expected .* /?.*/in, .*a\.zip"):
        relocate(layout.url, str(tmp_path / "elsewhere"), str(tmp_path))
    with pytest.raises(UsageError, match=r"b\.tar has another ending than .*a\.zip"):
        relocate(layout.url, str(tmp_path / "in/a.zip"), str(tmp_path / "in/b.tar"))
    with pytest.raises(UsageError, match="There is no dataset"):
        relocate(str(tmp_path / "nothing"), str(tmp_path), str(tmp_path))


def test_a_dataset_at_work_is_left_alone(layout: Layout, tmp_path: Path) -> None:
    """The run has read the places already."""
    shutil.copytree(tmp_path / "in", tmp_path / "copy")
    with hold(layout, "night", lambda _: None), pytest.raises(DatasetHeldError):
        relocate(layout.url, str(tmp_path / "in"), str(tmp_path / "copy"))
    assert read_moves(layout) == NO_MOVES


def test_a_damaged_file_of_moves_is_told(layout: Layout) -> None:
    """The message says what to do."""
    storage.write_whole(layout.moves, b"[]")
    with pytest.raises(DatasetError, match=r"moves\.json is damaged: TypeError.*run `crackscan relocate"):
        read_moves(layout)
