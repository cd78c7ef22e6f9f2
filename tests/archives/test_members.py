"""File names decide what is a photo and what is skipped; limits decide what is too large."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import storage
from pipeline.archives.members import SPLIT_PART, Entry, Limits, archive_suffix, file_kind
from pipeline.core.errors import DataError
from pipeline.images.formats import PHOTO_SUFFIXES


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a.jpg", "photo"),
        ("A.JPEG", "photo"),
        ("a.heic", "photo"),
        ("a.tar.GZ", "archive"),
        ("a.tar.zst", "archive"),
        ("a.gz", "archive"),
        ("a.JPG.GZ", "archive"),
        ("a.v2.gz", ".gz"),
        ("a.txt.gz", ".gz"),
        ("a.sql.xz", ".xz"),
        (".gz", "hidden"),
        ("dir.jpg/notes", "no ending"),
        ("./a.jpg", "photo"),
        ("../a.jpg", "photo"),
        (".git/a.jpg", "hidden"),
        ("a.tbz", "archive"),
        ("a.7z", "archive"),
        ("a.zip.002", "part of a split archive"),
        ("a.jpg~", "backup copy"),
        ("a.JPG_original", "backup copy"),
        ("a.jpg.bak", "backup copy"),
        ("a.zip.old", "backup copy"),
        ("my_original.jpg", "photo"),
        ("bak", "no ending"),
    ],
)
def test_the_name_decides_the_kind_of_a_file(path: str, kind: str) -> None:
    """The ending decides, in upper or lower case; hidden files and second copies are skipped."""
    assert file_kind(path) == kind


@pytest.mark.parametrize("suffix", sorted(PHOTO_SUFFIXES))
def test_every_photo_is_listed_and_none_is_taken_for_an_archive(suffix: str) -> None:
    """The endings of photos and archives have nothing in common."""
    assert file_kind(f"d/a.{suffix.upper()}") == "photo"
    assert archive_suffix(f"a.{suffix}") is None


@pytest.mark.parametrize(
    "path",
    [
        "@eaDir/DJI_0001.JPG/SYNOFILE_THUMB_M.jpg",
        "#recycle/DJI_0000.JPG",
        "d/#snapshot/a.jpg",
        "$RECYCLE.BIN/S-1-5-21/$R0A1B2C.JPG",
        "System Volume Information/a.jpg",
        "RECYCLER/a.jpg",
        "@Recycle/a.jpg",
        "@Recently-Snapshot/a.jpg",
        "lost+found/#1234.jpg",
        "__MACOSX/._a.jpg",
        "~snapshot/a.jpg",
        "d/@EADIR/a.jpg",
    ],
)
def test_folders_of_a_system_are_left_out(path: str) -> None:
    """NAS, Windows and macOS keep thumbnails, snapshots and deleted photos there, in any case of letters."""
    assert file_kind(path) == "system folder"
    assert storage.is_hidden(path)


@pytest.mark.parametrize("path", ["eaDir/a.jpg", "recycled/a.jpg", "@home/a.jpg", "#1/a.jpg", "a/@eaDir.jpg"])
def test_folders_of_people_are_not(path: str) -> None:
    """Even if their names are like those of a system."""
    assert file_kind(path) == "photo"
    assert not storage.is_hidden(path)


@pytest.mark.parametrize("path", [".@__thumb/a.jpg", ".Trash-1000/files/a.jpg", "._a.jpg", "d/.thumbnails/a.jpg"])
def test_names_with_a_dot_are_hidden(path: str) -> None:
    """Files and folders alike."""
    assert file_kind(path) == "hidden"
    assert storage.is_hidden(path)


@given(st.text(st.sampled_from("ab./@#~$01zipr"), max_size=20))
def test_every_name_has_one_kind(path: str) -> None:
    """An archive or a part of one has an ending that says so, and no photo has."""
    kind = file_kind(path)
    if kind in {"archive", SPLIT_PART}:
        assert archive_suffix(path) is not None
    if kind in {"photo", "backup copy"}:
        assert archive_suffix(path) is None


def test_members_that_would_fill_the_memory_are_refused() -> None:
    """Photos and nested archives have a limit on size, compressed members one on growth."""
    limits = Limits(photo_bytes=1000, nested_bytes=2000, ratio=10, ratio_from_bytes=100)
    limits.check(Entry("a.jpg", 1000, stored_bytes=1000))
    limits.check(Entry("a.zip", 2000, stored_bytes=2000), nested=True)
    limits.check(Entry("small.bmp", 100, stored_bytes=1, method=8))
    limits.check(Entry("loose.tif", 1000))  # not compressed, so it does not grow
    for entry, nested in [
        (Entry("a.jpg", 1001, stored_bytes=1001), False),
        (Entry("a.zip", 2001, stored_bytes=2001), True),
        (Entry("bomb.bmp", 101, stored_bytes=10, method=8), False),
    ]:
        with pytest.raises(DataError) as refused:
            limits.check(entry, nested=nested)
        assert refused.value.kind == "too_large"
