"""Names and globs of photos in people's tables."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.photo_patterns import PhotoPatterns

NAMES = st.text("ab/*?[", max_size=4)


def test_patterns_are_found_in_their_order() -> None:
    """By name, by the name with its archive, and by glob, whichever comes first."""
    patterns = PhotoPatterns(["b.jpg", "*.jpg", "a.jpg", "*/one.zip/a*", "s3://x/one.zip/a.jpg"])
    assert [*patterns.find("s3://x/one.zip", "a.jpg")] == [1, 2, 3, 4]
    assert [*patterns.find("s3://x/two.zip", "sub/b.jpg")] == [1]
    assert [*patterns.find("s3://x/two.zip", "b.JPG")] == []


@given(patterns=st.lists(NAMES, max_size=5), archive=NAMES, image=NAMES)
def test_a_name_always_means_itself(patterns: list[str], archive: str, image: str) -> None:
    """Whatever stands in it, alone or behind its archive; places never go down."""
    found = [*PhotoPatterns([*patterns, image]).find(archive, image)]
    assert found == sorted(found)
    assert len(patterns) in found
    assert len(patterns) in PhotoPatterns([*patterns, f"{archive}/{image}"]).find(archive, image)
