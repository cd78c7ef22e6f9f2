"""Inputs in every spelling, and messages for wrong ones."""

from collections import Counter
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.archives.listing import image_id
from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout
from pipeline.scoring.inputs import find_inputs
from pipeline.scoring.plan import list_photos
from tests.helpers.plans import image_names, make_listed_plan, write_zip


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


def test_ids_do_not_depend_on_the_spelling(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absolute, relative, through a link, by a glob: the same photos have the same ids."""
    (tmp_path / "link").symlink_to(photos)
    monkeypatch.chdir(tmp_path)
    spelled = [str(photos), "photos", "photos/", "./photos", "link", f"file://{photos}", "phot*"]

    ids = [
        make_listed_plan([text], Layout(f"file://{tmp_path}/out {number}")).members["image_id"].to_pylist()
        for number, text in enumerate(spelled)
    ]

    assert all(found == ids[0] for found in ids)
    assert len(set(ids[0])) == 2


def test_overlapping_inputs_list_a_photo_once(photos: Path, layout: Layout) -> None:
    """A folder, a folder in it, a photo in it and a glob over it, in any order, are two photos."""
    inputs = [str(photos), str(photos / "a.jpg"), str(photos / "span 1"), str(photos / "*.jpg"), str(photos)]

    forwards = make_listed_plan(inputs, layout)
    backwards = make_listed_plan(inputs[::-1], Layout(f"{layout.url} 2"))

    assert forwards.members.num_rows == 2
    assert set(forwards.members["image_id"].to_pylist()) == set(backwards.members["image_id"].to_pylist())


def test_a_list_file_names_inputs(photos: Path, layout: Layout, tmp_path: Path) -> None:
    """One per line; empty lines do not count."""
    (tmp_path / "list.txt").write_text(f"{photos / 'a.jpg'}\n\n  {photos / 'span 1'}\n")

    assert image_names(make_listed_plan([f"@{tmp_path}/list.txt"], layout)) == ["a.jpg", "b.png"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_list_of_windows_is_read(
    encoding: str, newline: str, tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Editors and PowerShell begin it with a byte order mark; its paths are relative to it, from any folder."""
    (tmp_path / "lists").mkdir()
    for name in ("lists/Brücke.jpg", "b.jpg", "lists/c.jpg"):
        (tmp_path / name).touch()
    mark = "\ufeff" if encoding in {"utf-16-le", "utf-16-be"} else ""
    text = mark + newline.join(["Brücke.jpg", "", " ../b.jpg ", f"file://{tmp_path}/lists/c.jpg", ""])
    (tmp_path / "lists/list.txt").write_bytes(text.encode(encoding))
    monkeypatch.chdir(tmp_path)
    for place in ("lists/list.txt", f"{tmp_path}/lists/list.txt", f"file://{tmp_path}/lists/list.txt"):
        assert image_names(make_listed_plan([f"@{place}"], layout)) == ["Brücke.jpg", "b.jpg", "c.jpg"]
    monkeypatch.chdir(tmp_path / "lists")
    assert image_names(make_listed_plan(["@list.txt"], layout)) == ["Brücke.jpg", "b.jpg", "c.jpg"]


def test_a_list_in_a_store_names_files_beside_it(layout: Layout) -> None:
    """Stores have no `..`, so the list's folder is computed."""
    folder = "memory://test_a_list_in_a_store"
    for name in ("a.jpg", "lists/b.jpg", "lists/c.jpg"):
        storage.write_whole(f"{folder}/{name}", b"x")
    storage.write_whole(f"{folder}/lists/list.txt", b"\xef\xbb\xbf../a.jpg\n./b.jpg\n*.jpg\n")

    assert image_names(make_listed_plan([f"@{folder}/lists/list.txt"], layout)) == ["a.jpg", "b.jpg", "c.jpg"]


def test_a_line_that_is_not_found_names_the_place_looked_at(tmp_path: Path, layout: Layout) -> None:
    """Also where Windows' separators are the reason."""
    (tmp_path / "list.txt").write_text("span\\a.jpg\n")
    with pytest.raises(UsageError) as caught:
        make_listed_plan([f"@{tmp_path}/list.txt"], layout)
    assert str(caught.value) == (
        f"{tmp_path}/span\\a.jpg was not found; expected a folder, a photo or an archive. Check the spelling. Paths in "
        f"{tmp_path}/list.txt are relative to its folder. Folders are separated by /."
    )


def test_a_list_from_the_field_is_read(layout: Layout) -> None:
    """It begins with a byte order mark."""
    path = Path(__file__).parents[2].parent / "shared/field/lists/bom.txt"
    if not path.exists():
        pytest.skip(f"there is no {path} here")
    assert image_names(make_listed_plan([f"@{path}"], layout)) == ["ok1.jpg", "ok2.jpg"]


@pytest.mark.parametrize(
    ("spelled", "heads", "counted"),
    [
        (["in"], ["p.zip.001"], 2),
        (["in/p.zip.*"], ["p.zip.001"], 2),
        (["in/p.zip.003", "in/p.zip.002"], ["p.zip.002"], 1),
        (["in/p.zip.002", "in"], ["p.zip.001"], 2),
        (["in/p.zip.003"], ["p.zip.003"], 0),
    ],
)
def test_a_split_archive_is_one_failed_row(
    spelled: list[str], heads: list[str], counted: int, tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However its parts are named; the others are counted."""
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "p.zip.001", "p.zip.002", "p.zip.003"):
        (tmp_path / "in" / name).touch()
    monkeypatch.chdir(tmp_path)
    plan = make_listed_plan(spelled, layout)
    failed = [row for row in plan.members.to_pylist() if row["failure_kind"] is not None]
    assert [(storage.name(row["archive"]), row["image"], row["failure_kind"]) for row in failed] == [
        (name, "", "archive_unreadable") for name in heads
    ]
    assert plan.skipped == Counter({"part of a split archive": counted} if counted else {})


@pytest.mark.parametrize("spelled", ["in/night.7z", "in/*.7z", "in", "@in/list.txt"])
def test_an_archive_that_cannot_be_opened_is_one_failed_row(
    spelled: str, tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given by name, by a glob, in a folder or in a list; so no run ends well without its photos."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/night.7z").write_bytes(b"7z")
    (tmp_path / "in/list.txt").write_text("night.7z")
    monkeypatch.chdir(tmp_path)
    [row] = make_listed_plan([spelled], layout).members.to_pylist()
    assert (row["archive"], row["image"]) == (f"file://{tmp_path}/in/night.7z", "")
    assert (row["failure_stage"], row["failure_kind"]) == ("open", "archive_unreadable")


def test_a_system_folder_given_by_name_is_scored(tmp_path: Path, layout: Layout) -> None:
    """As a hidden one is; inside an input it is left out."""
    (tmp_path / "in" / "@eaDir").mkdir(parents=True)
    (tmp_path / "in" / "@eaDir" / "a.jpg").touch()
    (tmp_path / "in" / "b.jpg").touch()
    for text in (f"{tmp_path}/in/@eaDir/*.jpg", f"{tmp_path}/in/@eaDir/a.jpg", f"{tmp_path}/in/@eaDir"):
        assert image_names(make_listed_plan([text], layout)) == ["a.jpg"]
    plan = make_listed_plan([f"{tmp_path}/in"], layout)
    assert (image_names(plan), plan.skipped) == (["b.jpg"], {"system folder": 1})


def test_files_from_the_field_are_photos_or_counted(layout: Layout) -> None:
    """Every format of photos is listed; thumbnails, deleted photos and second copies are not."""
    field = Path(__file__).parents[2].parent / "shared/field"
    if not field.exists():
        pytest.skip(f"there is no {field} here")
    plan = make_listed_plan([str(field / "endings")], layout)
    assert plan.skipped == {"backup copy": 2}
    assert plan.members.num_rows == len([*(field / "endings").iterdir()]) - 2
    plan = make_listed_plan([str(field / "nas")], layout)
    assert (image_names(plan), plan.skipped) == (["DJI_0001.JPG"], {"system folder": 4, "hidden": 1})


def test_an_input_may_be_in_a_hidden_folder(tmp_path: Path, layout: Layout) -> None:
    """Crackscan skips only hidden files below an input."""
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "a.jpg").touch()

    for text in (f"{tmp_path}/.cache/*.jpg", f"{tmp_path}/.cache/a.jpg", f"{tmp_path}/.cache"):
        assert image_names(make_listed_plan([text], layout)) == ["a.jpg"]


def test_single_photos_are_listed_under_their_folder(photos: Path, layout: Layout) -> None:
    """As if the folder were the input, so that their ids are the same."""
    plan = make_listed_plan([str(photos / "a.jpg")], layout)

    assert plan.members["archive"].to_pylist() == [f"file://{photos}"]
    assert plan.members["image_id"].to_pylist() == [image_id(f"file://{photos}/a.jpg".encode(), 0)]
    assert list_photos([f"file://{photos}/a.jpg"]).to_pylist() == plan.members.to_pylist()


def test_the_output_is_no_input(photos: Path) -> None:
    """Crackscan does not score crack maps of an earlier run in a dataset inside the folder."""
    layout = Layout(f"file://{photos}/out")
    storage.write_whole(f"{layout.url}/maps/a.jpg", b"map")
    write_zip(photos / "out" / "maps.zip", ["a.jpg"])

    assert image_names(make_listed_plan([str(photos)], layout)) == ["a.jpg", "span 1/b.png"]


@pytest.mark.parametrize("out", [".", "span 1/.."])
def test_an_output_around_the_input_is_refused(photos: Path, out: str) -> None:
    """Otherwise all photos would count as output."""
    layout = Layout(storage.canonical(f"{photos}/{out}"))

    with pytest.raises(UsageError) as caught:
        make_listed_plan([str(photos / "span 1")], layout)

    assert str(caught.value) == (
        f"The input file://{photos}/span 1 lies in the output file://{photos}. Give --out a folder of its own."
    )


def test_wrong_inputs_have_a_message_each(tmp_path: Path, layout: Layout) -> None:
    """One sentence: what was found, what was expected, what to do."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").touch()
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    no_photo = "Expected photos (such as jpg, png, tif, heic), or zip or tar archives of them."
    text = tmp_path / "texts" / "a.txt"

    for given_input, sentence in {
        f"{tmp_path}/no": f"{tmp_path}/no was not found; expected a folder, a photo or an archive. Check the spelling.",
        f"{tmp_path}/*.jpg": (
            f"{tmp_path}/*.jpg was not found; expected a folder, a photo or an archive. Check the spelling."
        ),
        f"{tmp_path}/empty": f"There is no photo in {tmp_path}/empty: found nothing. {no_photo}",
        f"{tmp_path}/texts": f"There is no photo in {tmp_path}/texts: found 1 x .txt. {no_photo}",
        str(
            text
        ): f"file://{text} is no photo and no archive; expected a photo (such as jpg, png, tif, heic), a zip or a tar.",
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
            make_listed_plan([given_input], layout)
        assert str(caught.value) == sentence


def test_an_archive_reached_through_a_link_is_listed_once(tmp_path: Path, layout: Layout) -> None:
    """A link in a folder is the archive it leads to; a broken link is a failed row and stops no run."""
    folder = tmp_path / "in"
    folder.mkdir()
    write_zip(folder / "a.zip", ["a.jpg"])
    (folder / "b.zip").symlink_to(folder / "a.zip")
    (folder / "c.zip").symlink_to(folder / "nowhere.zip")
    rows = make_listed_plan([str(folder)], layout).members.to_pylist()
    assert [(row["image"], row["failure_kind"]) for row in rows] == [("a.jpg", None), ("", "archive_unreadable")]


def test_a_list_may_not_name_a_list(tmp_path: Path, layout: Layout) -> None:
    """Otherwise a list that names itself would never end."""
    (tmp_path / "list.txt").write_text(f"@{tmp_path}/list.txt")
    with pytest.raises(UsageError, match="names another list"):
        make_listed_plan([f"@{tmp_path}/list.txt"], layout)


def test_an_empty_path_is_refused(layout: Layout) -> None:
    """An unset variable in a script does not mean the current folder."""
    with pytest.raises(UsageError, match="A path is empty"):
        make_listed_plan([""], layout)


def test_a_photo_in_a_folder_called_like_an_archive_is_refused(tmp_path: Path, layout: Layout) -> None:
    """Its address would be that of a photo in an archive."""
    (tmp_path / "night.zip").mkdir()
    (tmp_path / "night.zip/a.jpg").write_bytes(b"a")
    for given in ("night.zip", "night.zip/a.jpg"):
        with pytest.raises(UsageError) as caught:
            make_listed_plan([str(tmp_path / given)], layout)
        assert str(caught.value) == f"The folder file://{tmp_path}/night.zip has the name of an archive. Rename it."


def test_lines_of_a_list_end_at_line_ends_only(tmp_path: Path, layout: Layout) -> None:
    """Names may hold other separators of Unicode; NUL bytes are another encoding, or another kind of list."""
    (tmp_path / "a\u2028b.jpg").write_bytes(b"a")
    (tmp_path / "list.txt").write_bytes("a\u2028b.jpg\r".encode())
    assert make_listed_plan([f"@{tmp_path}/list.txt"], layout).members.num_rows == 1
    (tmp_path / "list.txt").write_bytes("a.jpg".encode("utf-16-le"))
    with pytest.raises(UsageError) as caught:
        make_listed_plan([f"@{tmp_path}/list.txt"], layout)
    assert str(caught.value) == (
        f"The list {tmp_path}/list.txt contains NUL bytes; expected text in UTF-8, one input a line. Save it so."
    )


def test_inputs_may_come_later(tmp_path: Path, layout: Layout) -> None:
    """What a glob matches in a folder that is there, and what a store has; a folder that is not there is wrong."""
    storage.write_whole("memory://later/other.txt", b"")
    for spelled in (f"{tmp_path}/*.zip", f"{tmp_path}/[ab].jpg", "memory://later/incoming"):
        found = find_inputs([spelled], layout, may_come_later=True)
        assert (found.loose, found.archives) == ((), ())
        with pytest.raises(UsageError, match="was not found"):
            find_inputs([spelled], layout)
    for wrong in (f"{tmp_path}/no/*.zip", f"{tmp_path}/no", f"{tmp_path}/a.zip"):
        with pytest.raises(UsageError, match="was not found"):
            find_inputs([wrong], layout, may_come_later=True)
