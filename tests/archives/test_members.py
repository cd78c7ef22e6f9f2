"""File names decide what is a photo and what is skipped; limits decide what is too large."""

import pytest

from pipeline.archives.members import Entry, Limits, file_kind
from pipeline.core.errors import DataError


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a.jpg", "photo"),
        ("A.JPEG", "photo"),
        ("a.heic", "photo"),
        ("a.tar.GZ", "archive"),
        ("a.tar.zst", "archive"),
        ("a.gz", ".gz"),
        ("dir.jpg/notes", "no ending"),
        ("./a.jpg", "photo"),
        ("../a.jpg", "photo"),
        (".git/a.jpg", "hidden"),
    ],
)
def test_the_name_decides_the_kind_of_a_file(path: str, kind: str) -> None:
    """The ending decides, in upper or lower case; hidden files are skipped."""
    assert file_kind(path) == kind


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
