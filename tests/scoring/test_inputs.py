"""Inputs in every spelling, and messages for wrong ones."""

from pathlib import Path

import pytest

from pipeline import storage
from pipeline.archives.listing import image_id
from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout
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
