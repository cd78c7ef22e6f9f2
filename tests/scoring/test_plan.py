"""The plan has every photo of the inputs once, the dataset keeps it, and archives may not change."""

import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.archives.listing import decode_listing, entry_of, image_id
from pipeline.archives.members import Limits
from pipeline.core.errors import UsageError
from pipeline.core.table_schemas import MEMBERS
from pipeline.dataset.layout import Layout
from pipeline.scoring.inputs import find_inputs
from pipeline.scoring.plan import expand_stream, make_plan, read_planned_ids, read_planned_inputs
from pipeline.scoring.reading import read_unit, split_units
from tests.helpers.packing import pack, pack_zip
from tests.helpers.plans import NOTHING, image_names, make_listed_plan, save_listed_plan, write_zip


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Return a dataset beside the photos."""
    return Layout(f"file://{tmp_path}/out")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Make a folder of two photos and a note."""
    folder = tmp_path / "photos"
    (folder / "span 1").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"aa")
    (folder / "span 1" / "b.png").write_bytes(b"bbb")
    (folder / "notes.txt").write_bytes(b"")
    return folder


def test_a_folder_becomes_rows(photos: Path, layout: Layout) -> None:
    """Every photo is one row by which it can be found again; other files are counted."""
    plan = make_listed_plan([str(photos)], layout)

    assert plan.members.schema == MEMBERS
    assert plan.members.select(["archive", "image", "occurrence", "size_bytes"]).to_pylist() == [
        {"archive": f"file://{photos}", "image": "a.jpg", "occurrence": 0, "size_bytes": 2},
        {"archive": f"file://{photos}", "image": "span 1/b.png", "occurrence": 0, "size_bytes": 3},
    ]
    assert plan.skipped == {".txt": 1}


def test_archives_in_a_folder_are_listed(photos: Path, layout: Layout) -> None:
    """The address of a member has `!/` between archive and member, so that no folder has the same."""
    write_zip(photos / "night.zip", ["c.jpg", "notes.md"])

    plan = make_listed_plan([str(photos), str(photos / "night.zip")], layout)

    assert image_names(plan) == ["a.jpg", "c.jpg", "span 1/b.png"]
    assert image_id(f"file://{photos}/night.zip!/c.jpg".encode(), 0) in plan.members["image_id"].to_pylist()
    assert plan.skipped == {".txt": 1, ".md": 1}


def test_names_that_are_not_utf8_are_escaped_and_kept(tmp_path: Path, layout: Layout) -> None:
    r"""`image` shows such bytes as \xNN; `path` keeps them, so that crackscan finds the member again."""
    info = tarfile.TarInfo("b\udce9.jpg")
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(info, io.BytesIO())

    (row,) = make_listed_plan([str(tmp_path / "a.tar")], layout).members.to_pylist()

    assert row["image"] == "b\\xe9.jpg"
    assert row["path"] == b"b\xe9.jpg"
    assert entry_of(row).path == "b\udce9.jpg"


def test_an_unreadable_archive_is_one_failed_row(photos: Path, layout: Layout) -> None:
    """The row stands for the archive and has no image; the photos beside the archive are planned."""
    (photos / "broken.zip").write_bytes(b"no zip")

    plan = make_listed_plan([str(photos)], layout)

    (failed,) = (row for row in plan.members.to_pylist() if row["failure_kind"] is not None)
    assert (failed["image"], failed["failure_stage"], failed["failure_kind"]) == ("", "open", "archive_unreadable")
    assert plan.members.num_rows == 3


def test_a_second_plan_opens_no_archive(tmp_path: Path, layout: Layout) -> None:
    """The dataset keeps the listing."""
    write_zip(tmp_path / "night.zip", ["a.jpg", "notes.txt"])
    first = save_listed_plan([str(tmp_path / "night.zip")], layout)
    second = make_plan(find_inputs([str(tmp_path / "night.zip")], layout), layout, NOTHING)
    assert (second.unlisted, second.new_listings, second.is_saved) == ((), (), True)
    assert second.members.equals(first.members)
    assert second.skipped == first.skipped == {".txt": 1}


def test_an_unreadable_archive_is_listed_again_without_its_row(tmp_path: Path, layout: Layout) -> None:
    """`retry` removes its failed row; as long as the row is there, the archive is not listed again."""
    (tmp_path / "night.zip").write_bytes(b"no zip")
    first = save_listed_plan([str(tmp_path / "night.zip")], layout)
    inputs = find_inputs([str(tmp_path / "night.zip")], layout)
    assert make_plan(inputs, layout, first.members["image_id"]).unlisted == ()
    assert make_plan(inputs, layout, NOTHING).unlisted == inputs.archives


def test_an_archive_around_an_unreadable_one_is_listed_again(tmp_path: Path, layout: Layout) -> None:
    """The photos of the inner archive were unknown, and may be readable now."""
    data = bytearray(pack_zip([("in.zip", pack_zip([("b.jpg", b"b")])), ("c.jpg", b"c")]))
    data[8] ^= 8  # its method
    (tmp_path / "night.zip").write_bytes(data)
    first = save_listed_plan([str(tmp_path / "night.zip")], layout)
    inputs = find_inputs([str(tmp_path / "night.zip")], layout)
    assert make_plan(inputs, layout, first.members["image_id"]).unlisted == ()
    assert make_plan(inputs, layout, NOTHING).unlisted == inputs.archives


def test_the_photos_of_a_stream_replace_it_at_its_end(tmp_path: Path, layout: Layout) -> None:
    """Until then the number of planned photos is unknown; then they are planned like all others."""
    place = tmp_path / "night.tgz"
    place.write_bytes(pack(".tgz", [("a.jpg", b"a"), ("b.txt", b"b"), ("c.jpg", b"c")]))
    [unit] = split_units(save_listed_plan([str(place)], layout).members)
    assert read_planned_ids(layout) is None
    *photos, end = [row for table in read_unit(unit, Limits(), NOTHING) for row in table.to_pylist()]
    assert expand_stream(layout, decode_listing(end["ended"]))
    ids = read_planned_ids(layout)
    assert ids is not None
    assert ids.to_pylist() == [row["image_id"] for row in photos]
    assert not expand_stream(layout, decode_listing(end["ended"]))  # as after the loss of a scorer
    again = make_listed_plan([str(place)], layout, done=ids)
    assert again.members.num_rows == len(photos)
    assert (again.unlisted, again.skipped, again.without(ids).num_rows) == ((), {".txt": 1}, 0)


def test_a_plan_can_be_made_again_without_inputs(photos: Path, layout: Layout) -> None:
    """Archives are looked up, folders are taken as they were."""
    write_zip(photos / "night.zip", ["c.jpg"])
    first = save_listed_plan([str(photos)], layout)
    again = make_plan(read_planned_inputs(layout), layout, NOTHING)
    assert again.is_saved
    assert sorted(again.members["image_id"].to_pylist()) == sorted(first.members["image_id"].to_pylist())


def test_a_changed_archive_is_refused_by_name(tmp_path: Path, layout: Layout) -> None:
    """The message names both versions."""
    place = tmp_path / "photos.zip"
    write_zip(place, ["a.jpg"])
    save_listed_plan([str(place)], layout)
    before = storage.stat(f"file://{place}").version
    write_zip(place, ["a.jpg", "b.jpg"])
    now = storage.stat(f"file://{place}").version

    with pytest.raises(UsageError) as caught:
        make_listed_plan([str(place)], layout)

    assert str(caught.value) == (
        f"file://{place} has changed since this dataset was begun (version {before}, now {now}). "
        "Score the new one into another --out."
    )


def test_a_folder_may_grow(photos: Path, layout: Layout) -> None:
    """New photos are added; earlier ones stay planned, even if they vanish."""
    save_listed_plan([str(photos)], layout)
    (photos / "c.jpg").write_bytes(b"c")
    (photos / "a.jpg").unlink()

    plan = make_listed_plan([str(photos)], layout)

    assert image_names(plan) == ["a.jpg", "c.jpg", "span 1/b.png"]
    plan.save()
    ids = read_planned_ids(layout)
    assert ids is not None
    assert set(ids.to_pylist()) == set(plan.members["image_id"].to_pylist())


def test_a_changed_photo_in_a_folder_is_refused(photos: Path, layout: Layout) -> None:
    """Its score would be that of another photo."""
    save_listed_plan([str(photos)], layout)
    (photos / "a.jpg").write_bytes(b"another photo")

    with pytest.raises(UsageError) as caught:
        make_listed_plan([str(photos)], layout)

    assert str(caught.value) == (
        "1 photo has changed since this dataset was begun, a.jpg among them. Score the new ones into another --out."
    )


def test_without_leaves_out_done_photos(photos: Path, layout: Layout) -> None:
    """The others stay in the order of the plan."""
    plan = make_listed_plan([str(photos)], layout)

    left = plan.without(plan.members["image_id"].slice(0, 1))

    assert left["image"].to_pylist() == ["span 1/b.png"]
    assert plan.without(pa.chunked_array([], pa.string())).num_rows == 2


def test_a_plan_writes_nothing_until_it_is_saved(photos: Path, layout: Layout) -> None:
    """A plan that fails or is never carried out leaves no trace; a saved listing is no longer new."""
    plan = make_listed_plan([str(photos)], layout)
    assert not storage.exists(layout.url)
    plan.save()
    assert make_listed_plan([str(photos)], layout).new_listings == ()


def test_a_single_photo_of_a_planned_folder_stays_single(photos: Path, layout: Layout) -> None:
    """An input of one photo plans one, even if an earlier run planned its folder."""
    save_listed_plan([str(photos)], layout)
    assert image_names(make_listed_plan([str(photos / "a.jpg")], layout)) == ["a.jpg"]


def test_a_temporary_file_is_no_listing(photos: Path, layout: Layout) -> None:
    """The plan ignores the leftovers of a killed run."""
    save_listed_plan([str(photos)], layout)
    storage.write_whole(storage.join(layout.plans, ".x.parquet.123.tmp"), b"PAR")
    ids = read_planned_ids(layout)
    assert ids is not None
    assert len(ids) == 2
