"""What is a photo, what is skipped, and how a listing fails."""

import pytest

from pipeline.members import Listing, Member, file_kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a.jpg", "photo"),
        ("A.JPEG", "photo"),
        ("a.heic", "photo"),
        ("a.tar.GZ", "archive"),
        ("a.gz", ".gz"),
        ("dir.jpg/notes", "no ending"),
        ("./a.jpg", "photo"),
        ("../a.jpg", "photo"),
        (".git/a.jpg", "hidden"),
    ],
)
def test_files_are_told_apart_by_name(path: str, kind: str) -> None:
    """The ending decides, in any case; what is hidden is none of ours."""
    assert file_kind(path) == kind


def test_a_listing_numbers_repeated_names_and_counts_the_rest() -> None:
    """What is no photo is told from what is, by the answer of `add`."""
    listing = Listing()

    assert [listing.add(path, 10, position=n) for n, path in enumerate(["a.jpg", "b.txt", "a.jpg"])] == [
        True,
        False,
        True,
    ]
    assert listing.members == [Member("a.jpg", 0, 10, 0, ""), Member("a.jpg", 1, 10, 2, "")]
    assert listing.skipped == {".txt": 1}


def test_a_failure_before_any_member_means_no_archive() -> None:
    """After one it means damage; people are told different things."""
    nothing, something = Listing(), Listing()
    something.add("a.jpg", 10)

    nothing.fail("a.zip", EOFError())
    something.fail("b.zip", EOFError("unexpected end"))

    assert nothing.failure is not None
    assert something.failure is not None
    assert (nothing.failure.kind, str(nothing.failure)) == ("archive_unreadable", "a.zip is no archive: it ends early.")
    assert something.failure.kind == "archive_truncated"
    assert str(something.failure) == "b.zip is damaged or cut short: unexpected end."
