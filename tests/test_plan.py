"""From inputs, however spelled, to one table of photos."""

import io
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import archives, plan, storage
from pipeline.dataset import Layout
from pipeline.errors import UsageError
from pipeline.members import Member
from pipeline.plan import Plan, image_id, make_plan, photo_files, planned_ids
from pipeline.reading import member_of
from pipeline.schema import MEMBERS


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Place the dataset beside the photos."""
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


def _write_zip(place: Path, names: list[str]) -> None:
    with zipfile.ZipFile(place, "w") as archive:
        for name in names:
            archive.writestr(name, name)


def _images(made: Plan) -> list[str]:
    return sorted(made.members["image"].to_pylist())


def test_a_folder_is_planned(photos: Path, layout: Layout) -> None:
    """Every photo is one row, with what it takes to find it again; the rest is counted."""
    made = make_plan([str(photos)], layout)

    assert made.members.schema == MEMBERS
    assert made.members.select(["archive", "image", "occurrence", "size_bytes"]).to_pylist() == [
        {"archive": f"file://{photos}", "image": "a.jpg", "occurrence": 0, "size_bytes": 2},
        {"archive": f"file://{photos}", "image": "span 1/b.png", "occurrence": 0, "size_bytes": 3},
    ]
    assert made.skipped == {".txt": 1}


def test_ids_do_not_depend_on_the_spelling(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absolute, relative, through a link, from its parent: the same photos have the same ids."""
    (tmp_path / "link").symlink_to(photos)
    monkeypatch.chdir(tmp_path)
    spelled = [str(photos), "photos", "photos/", "./photos", "link", f"file://{photos}", "phot*"]

    ids = [
        make_plan([text], Layout(f"file://{tmp_path}/out {number}")).members["image_id"].to_pylist()
        for number, text in enumerate(spelled)
    ]

    assert all(found == ids[0] for found in ids)
    assert len(set(ids[0])) == 2


@settings(deadline=None)
@given(st.text(), st.integers(0, 5), st.text(), st.integers(0, 5))
def test_ids_tell_photos_apart(path: str, occurrence: int, other: str, other_occurrence: int) -> None:
    """An id is 16 hex digits, the same for the same photo and no other."""
    first, second = image_id(path, occurrence), image_id(other, other_occurrence)

    assert (first == second) == ((path, occurrence) == (other, other_occurrence))
    assert len(first) == 16
    assert int(first, 16) >= 0


def test_overlapping_inputs_list_a_photo_once(photos: Path, layout: Layout) -> None:
    """A folder, a folder in it, a photo in it and a glob over it, in any order: two photos."""
    inputs = [str(photos), str(photos / "a.jpg"), str(photos / "span 1"), str(photos / "*.jpg"), str(photos)]

    forwards = make_plan(inputs, layout)
    backwards = make_plan(inputs[::-1], Layout(f"{layout.url} 2"))

    assert forwards.members.num_rows == 2
    assert set(forwards.members["image_id"].to_pylist()) == set(backwards.members["image_id"].to_pylist())


def test_a_list_file_names_inputs(photos: Path, layout: Layout, tmp_path: Path) -> None:
    """One a line; empty lines do not count."""
    (tmp_path / "list.txt").write_text(f"{photos / 'a.jpg'}\n\n  {photos / 'span 1'}\n")

    assert _images(make_plan([f"@{tmp_path}/list.txt"], layout)) == ["a.jpg", "b.png"]


def test_photos_in_a_hidden_folder_can_be_asked_for(tmp_path: Path, layout: Layout) -> None:
    """Who names them, or a glob over them, wants them; only what lies hidden below an input is skipped."""
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "a.jpg").touch()

    for text in (f"{tmp_path}/.cache/*.jpg", f"{tmp_path}/.cache/a.jpg", f"{tmp_path}/.cache"):
        assert _images(make_plan([text], layout)) == ["a.jpg"]


def test_single_photos_are_listed_under_their_folder(photos: Path, layout: Layout) -> None:
    """As if the folder had been given, so that their ids are the same."""
    made = make_plan([str(photos / "a.jpg")], layout)

    assert made.members["archive"].to_pylist() == [f"file://{photos}"]
    assert made.members["image_id"].to_pylist() == [image_id(f"file://{photos}/a.jpg", 0)]
    assert photo_files([f"file://{photos}/a.jpg"]).to_pylist() == made.members.to_pylist()


def test_archives_in_a_folder_are_opened(photos: Path, layout: Layout) -> None:
    """A member's address has `!/` between archive and member, so that no folder has the same."""
    _write_zip(photos / "night.zip", ["c.jpg", "inner.tar"])

    made = make_plan([str(photos), str(photos / "night.zip")], layout)

    assert _images(made) == ["a.jpg", "c.jpg", "span 1/b.png"]
    assert image_id(f"file://{photos}/night.zip!/c.jpg", 0) in made.members["image_id"].to_pylist()
    assert made.skipped == {".txt": 1, "archive": 1}


def test_names_that_are_not_utf8_are_spelled_out_and_kept(tmp_path: Path, layout: Layout) -> None:
    r"""`image` shows such bytes as \xNN; `path` keeps them, so that the member is found again."""
    info = tarfile.TarInfo("b\udce9.jpg")
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(info, io.BytesIO())

    (row,) = make_plan([str(tmp_path / "a.tar")], layout).members.to_pylist()

    assert row["image"] == "b\\xe9.jpg"
    assert row["path"] == b"b\xe9.jpg"
    assert member_of(row).path == "b\udce9.jpg"


def test_a_row_gives_its_member_back() -> None:
    """What the listing found is what the reader is asked for."""
    member = Member("d/a.jpg", 2, 10, 512, "v")
    row = plan._row("file:///a.tar", "!/", member)

    assert member_of(pa.Table.from_pylist([row], schema=MEMBERS).to_pylist()[0]) == member


def test_an_archive_that_cannot_be_read_is_one_failed_row(photos: Path, layout: Layout) -> None:
    """It stands for the archive, with no image; the photos beside it are planned."""
    (photos / "broken.zip").write_bytes(b"no zip")

    made = make_plan([str(photos)], layout)

    (failed,) = (row for row in made.members.to_pylist() if row["failure_kind"] is not None)
    assert (failed["image"], failed["failure_stage"], failed["failure_kind"]) == ("", "open", "archive_unreadable")
    assert made.members.num_rows == 3


class _Refusing:
    """A reader that fails the test that lets it open anything."""

    streams = False

    def __init__(self, url: str) -> None:
        pytest.fail(f"{url} was opened again")


def test_a_second_plan_opens_no_archive(tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The listing is kept in the dataset."""
    _write_zip(tmp_path / "night.zip", ["a.jpg", "notes.txt"])
    first = make_plan([str(tmp_path / "night.zip")], layout)
    first.keep()

    monkeypatch.setitem(archives.READERS, ".zip", _Refusing)
    second = make_plan([str(tmp_path / "night.zip")], layout)

    assert second.members.equals(first.members)
    assert second.skipped == first.skipped == {".txt": 1}


def test_a_changed_archive_is_refused_by_name(tmp_path: Path, layout: Layout) -> None:
    """Tonight's photos.zip is not yesterday's."""
    place = tmp_path / "photos.zip"
    _write_zip(place, ["a.jpg"])
    make_plan([str(place)], layout).keep()
    before = storage.stat(f"file://{place}").version
    _write_zip(place, ["a.jpg", "b.jpg"])
    now = storage.stat(f"file://{place}").version

    with pytest.raises(UsageError) as caught:
        make_plan([str(place)], layout)

    assert str(caught.value) == (
        f"file://{place} has changed since this dataset was begun (version {before}, now {now}). "
        "Score the new one into another --out."
    )


def test_a_folder_may_grow(photos: Path, layout: Layout) -> None:
    """New photos are added; those planned before stay, even where they were taken away."""
    make_plan([str(photos)], layout).keep()
    (photos / "c.jpg").write_bytes(b"c")
    (photos / "a.jpg").unlink()

    made = make_plan([str(photos)], layout)

    assert _images(made) == ["a.jpg", "c.jpg", "span 1/b.png"]
    made.keep()
    assert set(planned_ids(layout).to_pylist()) == set(made.members["image_id"].to_pylist())


def test_a_changed_photo_in_a_folder_is_refused(photos: Path, layout: Layout) -> None:
    """Its score would be another's."""
    make_plan([str(photos)], layout).keep()
    (photos / "a.jpg").write_bytes(b"another photo")

    with pytest.raises(UsageError) as caught:
        make_plan([str(photos)], layout)

    assert str(caught.value) == (
        "1 photos have changed since this dataset was begun, a.jpg among them. Score the new ones into another --out."
    )


def test_the_output_is_no_input(photos: Path) -> None:
    """Heat maps of an earlier run, in a dataset within the folder, are not scored."""
    layout = Layout(f"file://{photos}/out")
    storage.write_whole(f"{layout.url}/maps/a.jpg", b"map")
    _write_zip(photos / "out" / "maps.zip", ["a.jpg"])

    assert _images(make_plan([str(photos)], layout)) == ["a.jpg", "span 1/b.png"]


@pytest.mark.parametrize("out", [".", "span 1/.."])
def test_an_output_around_the_input_is_refused(photos: Path, out: str) -> None:
    """All photos would count as output."""
    layout = Layout(storage.canonical(f"{photos}/{out}"))

    with pytest.raises(UsageError) as caught:
        make_plan([str(photos / "span 1")], layout)

    assert str(caught.value) == (
        f"The input file://{photos}/span 1 lies in the output file://{photos}. Give --out a folder of its own."
    )


def test_wrong_inputs_are_told(tmp_path: Path, layout: Layout) -> None:
    """Each in one sentence: what was found, what was expected, what to do."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").touch()
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    no_photo = "Expected photos (jpg, png, tif, bmp, webp, gif), or zip or tar archives of them."
    text = tmp_path / "texts" / "a.txt"

    for given_input, sentence in {
        f"{tmp_path}/no": f"{tmp_path}/no was not found; expected a folder, a photo or an archive. Check the spelling.",
        f"{tmp_path}/*.jpg": (
            f"{tmp_path}/*.jpg was not found; expected a folder, a photo or an archive. Check the spelling."
        ),
        f"{tmp_path}/empty": f"There is no photo in {tmp_path}/empty: found nothing. {no_photo}",
        f"{tmp_path}/texts": f"There is no photo in {tmp_path}/texts: found 1 x .txt. {no_photo}",
        str(text): f"file://{text} is no photo and no archive; expected jpg, png, tif, bmp, webp, gif, zip or tar.",
        f"@{tmp_path}/no.txt": (
            f"{tmp_path}/no.txt cannot be read as a list ({tmp_path}/no.txt could not be read: it was not found.); "
            "expected text, one input a line."
        ),
        f"@{tmp_path}/bad.txt": (
            f"{tmp_path}/bad.txt cannot be read as a list ('utf-8' codec can't decode byte 0xff in position 0: "
            "invalid start byte); expected text, one input a line."
        ),
    }.items():
        with pytest.raises(UsageError) as caught:
            make_plan([given_input], layout)
        assert str(caught.value) == sentence


def test_photos_that_are_done_are_left_out(photos: Path, layout: Layout) -> None:
    """What remains is in the plan's order."""
    made = make_plan([str(photos)], layout)

    left = made.without(made.members["image_id"].slice(0, 1))

    assert left["image"].to_pylist() == ["span 1/b.png"]
    assert made.without(pa.chunked_array([], pa.string())).num_rows == 2


def test_planning_writes_nothing_until_it_is_kept(photos: Path, layout: Layout) -> None:
    """A plan that ends in an error, or is never begun, leaves no trace; what is kept is news once."""
    made = make_plan([str(photos)], layout)
    assert not storage.exists(layout.url)
    made.keep()
    assert make_plan([str(photos)], layout).news == ()


def test_a_single_photo_of_a_planned_folder_is_one_photo(photos: Path, layout: Layout) -> None:
    """Asking for one photo plans one, though its folder was planned before."""
    make_plan([str(photos)], layout).keep()
    assert _images(make_plan([str(photos / "a.jpg")], layout)) == ["a.jpg"]


def test_a_half_written_listing_is_no_listing(photos: Path, layout: Layout) -> None:
    """What a killed run left beside the listings is passed over."""
    make_plan([str(photos)], layout).keep()
    storage.write_whole(storage.join(layout.plans, ".x.parquet.123.tmp"), b"PAR")
    assert len(planned_ids(layout)) == 2


def test_an_archive_reached_through_a_link_is_listed_once(tmp_path: Path, layout: Layout) -> None:
    """A link in a folder is the archive that it leads to; a broken one is a failed row, and stops nobody."""
    folder = tmp_path / "in"
    folder.mkdir()
    _write_zip(folder / "a.zip", ["a.jpg"])
    (folder / "b.zip").symlink_to(folder / "a.zip")
    (folder / "c.zip").symlink_to(folder / "nowhere.zip")
    rows = make_plan([str(folder)], layout).members.to_pylist()
    assert [(row["image"], row["failure_kind"]) for row in rows] == [("a.jpg", None), ("", "archive_unreadable")]


def test_a_list_names_no_list(tmp_path: Path, layout: Layout) -> None:
    """A list that names itself would never end."""
    (tmp_path / "list.txt").write_text(f"@{tmp_path}/list.txt")
    with pytest.raises(UsageError, match="names another list"):
        make_plan([f"@{tmp_path}/list.txt"], layout)


def test_an_empty_path_is_no_path(layout: Layout) -> None:
    """An unset variable in a script is not the current folder."""
    with pytest.raises(UsageError, match="A path is empty"):
        make_plan([""], layout)
