"""A listing by many hands has the objects of a listing by one, whatever is guessed."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.s3_listing import ALONE_PAGES, GUESSES, Reply, find_objects
from tests.helpers.made_up_bucket import MadeUpBucket

AT_ONCE = 8

names = st.text(st.sampled_from("0127aZ/.-ü\U0001f309"), min_size=1, max_size=12)
trees = st.lists(names, max_size=120, unique=True)


class _Asked:
    """Asks a made-up bucket for pages, and counts.

    Args:
        keys: in the order of the store.
        page_keys: most keys of a page.
    """

    def __init__(self, keys: Sequence[str], page_keys: int) -> None:
        self._bucket = MadeUpBucket(keys, page_keys=page_keys)
        self.pages, self.guesses = count(), count()

    def __call__(self, **details: Any) -> Reply:  # noqa: ANN401 - S3's own
        next(self.guesses if "MaxKeys" in details else self.pages)
        after = details.get("ContinuationToken", details.get("StartAfter", ""))
        return self._bucket.list_page("p/", after, details.get("MaxKeys", 1000))


def _find(list_page: Callable[..., Reply]) -> list[str]:
    return [item["Key"] for item in find_objects(list_page, "p/", AT_ONCE)]


@given(trees, st.integers(1, 5))
def test_every_object_is_found_once(tree: list[str], page_keys: int) -> None:
    """Keys behind the prefix come once each, and no other."""
    keys = sorted([*(f"p/{name}" for name in tree), "o/before", "p", "p0/after"])

    found = _find(_Asked(keys, page_keys))

    assert sorted(found) == [key for key in keys if key.startswith("p/")]


@given(trees.flatmap(st.permutations), st.integers(1, 5))
def test_no_object_is_lost_in_another_order(tree: list[str], page_keys: int) -> None:
    """Not every store sorts as S3 does; a key may come twice then, and each comes."""
    keys = [f"p/{name}" for name in tree]

    def list_page(**details: Any) -> Reply:  # noqa: ANN401 - S3's own
        if "ContinuationToken" in details:
            start = int(details["ContinuationToken"])
        else:
            start = next((at for at, key in enumerate(keys) if key > details.get("StartAfter", "")), len(keys))
        end = start + details.get("MaxKeys", page_keys)
        more = {"IsTruncated": True, "NextContinuationToken": str(end)} if end < len(keys) else {}
        return {"Contents": [{"Key": key} for key in keys[start:end]], **more}

    assert {*_find(list_page)} == {*keys}


@given(trees, st.integers(1, 5))
def test_a_store_that_begins_nowhere_else_is_listed_by_one(tree: list[str], page_keys: int) -> None:
    """Such a store answers each guess with its first key, and gets no more than a hand's guesses."""
    asked = _Asked(sorted(f"p/{name}" for name in tree), page_keys)

    def list_page(**details: Any) -> Reply:  # noqa: ANN401 - S3's own
        return asked(**{name: value for name, value in details.items() if name != "StartAfter"})

    assert sorted(_find(list_page)) == sorted(f"p/{name}" for name in tree)
    assert next(asked.guesses) <= 2 * AT_ONCE


def test_a_guess_that_is_refused_ends_guessing() -> None:
    """Directory buckets cannot begin after a key; all pages come all the same."""
    asked = _Asked([f"p/{number:04d}" for number in range(500)], 10)

    def list_page(**details: Any) -> Reply:  # noqa: ANN401 - S3's own
        if "StartAfter" in details:
            raise OSError("not implemented")
        return asked(**details)

    assert len(_find(list_page)) == 500
    assert next(asked.pages) == 50


def test_a_page_that_is_refused_is_told() -> None:
    """It is told by whichever hand asks for it, also when the others go on."""
    asked, pages = _Asked([f"p/{number:04d}" for number in range(500)], 10), count()

    def list_page(**details: Any) -> Reply:  # noqa: ANN401 - S3's own
        if "MaxKeys" not in details and next(pages) == 2 * ALONE_PAGES:
            raise PermissionError("no more")
        return asked(**details)

    with pytest.raises(PermissionError, match="no more"):
        _find(list_page)


def test_a_short_listing_is_one_hand_in_order() -> None:
    """Nothing is guessed before the first pages have come."""
    keys = [f"p/{number:04d}" for number in range(ALONE_PAGES * 10)]
    asked = _Asked(keys, 10)

    assert _find(asked) == keys
    assert next(asked.guesses) == 0


@pytest.mark.parametrize("name", ["DSC{0:07d}.JPG", "span-{1:04d}/DSC{0:07d}.JPG", "span-0007/{0:x}/a.jpg"])
def test_many_hands_cost_few_requests(name: str) -> None:
    """One flat prefix is listed by many hands, too: some pages more than by one, and a guess or two for each."""
    asked = _Asked(sorted(f"p/{name.format(number, number % 40)}" for number in range(20_000)), 100)

    assert len(_find(asked)) == 20_000
    assert next(asked.pages) <= 200 * 1.5
    assert next(asked.guesses) <= GUESSES + 2 * 300


def test_a_caller_that_stops_early_asks_for_little() -> None:
    """The listing goes on only while somebody looks."""
    asked = _Asked([f"p/{number:05d}" for number in range(10_000)], 10)

    assert next(find_objects(asked, "p/", AT_ONCE))["Key"] == "p/00000"
    assert next(asked.pages) == 1
