"""Why photos have no match: what is said, and when."""

import pytest

from pipeline.core.errors import UsageError
from pipeline.reports.photo_matching import Matched, Rule
from pipeline.reports.unmatched import explain

NAME, PLACE = Rule("name"), Rule("place", 5)


def side(photos: int = 10, unplaced: int = 0, alone: int = 0, unclear: int = 0) -> Matched:
    """One side."""
    return Matched(photos, unplaced, alone, unclear, "x/1.jpg" if alone else None)


def test_nothing_is_said_where_most_photos_match() -> None:
    """Some new ones are what a comparison is for."""
    assert explain(NAME, side(alone=5), side(alone=5)) == []
    assert explain(PLACE, side(alone=9), side(alone=9)) == []


def test_names_that_do_not_match_are_shown() -> None:
    """With one of each side, and what to do."""
    end = (
        " could be matched with one in B by the end of its path; A has x/1.jpg, B has x/1.jpg. Check that both show "
        "the same structure; photos with positions can be matched with --by place."
    )
    assert explain(NAME, side(alone=10), side(alone=10)) == [f"No photo in A{end}"]
    assert explain(NAME, side(alone=9), side(alone=9)) == [f"Only 1 photo in A{end}"]
    assert explain(NAME, side(6, alone=2, unclear=2), side(5, alone=1, unclear=1)) == [
        (
            "Paths of several photos end alike, so 2 in A and 1 in B are unclear. Score folders or archives whose "
            "names tell them apart, or try --by place."
        )
    ]


def test_places_that_do_not_match_are_counted() -> None:
    """Without any position on a side nothing can match, which is wrong usage."""
    assert explain(PLACE, side(unplaced=3), side()) == [
        (
            "No position: 3 of 10 photos in A, 0 of 10 in B. They cannot be matched by place; without --by place, "
            "photos match by name."
        )
    ]
    assert explain(PLACE, side(alone=10), side(alone=10)) == [
        "No photo in B is within 5 m of one in A. Give a larger --within, or leave out --by place."
    ]
    with pytest.raises(UsageError) as refused:
        explain(PLACE, side(28, 28), side(1, 1))
    assert str(refused.value) == (
        "No position in the EXIF or XMP of the 28 photos in A and of the 1 photo in B, so --by place can match "
        "nothing. Leave it out to match by name."
    )
