"""Matches of photos of two inspections: laws, and cases with a known answer."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UsageError
from pipeline.dataset.sql import Connection
from pipeline.reports.photo_matching import By, Matched, Rule, explain_unmatched, match

METRE = 1 / 111_195.08
"""Degrees of latitude."""
CLEAR, UNCLEAR = False, True
NINE = datetime(2026, 5, 1, 9)  # noqa: DTZ001 - EXIF has no zone


class Taken(NamedTuple):
    """A photo."""

    image: str
    archive: str = "file:///x/one.zip"
    latitude: float | None = None
    longitude: float | None = None
    after_s: int | None = None
    occurrence: int = 0


class Match(NamedTuple):
    """A row of `matches`, with photos by their numbers."""

    a: int | None
    b: int | None
    is_unclear: bool


SCHEMA = pa.schema(
    [
        ("image_id", pa.string()), ("archive", pa.string()), ("image", pa.string()), ("occurrence", pa.int32()),
        ("latitude", pa.float64()), ("longitude", pa.float64()), ("captured_at", pa.timestamp("ms")),
    ]
)  # fmt: skip


@cache
def duck() -> Connection:
    """One DuckDB for all tests: opening one takes longer than matching a few photos."""
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    return connection


def table(photos: Sequence[Taken], side: str) -> pa.Table:
    """Photos as `match` takes them, with numbered ids."""
    rows = [
        {
            "image_id": f"{side}{number}",
            "captured_at": None if photo.after_s is None else NINE + timedelta(seconds=photo.after_s),
            **photo._asdict(),
        }
        for number, photo in enumerate(photos)
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def matches(
    a: Sequence[Taken], b: Sequence[Taken], by: By = "name", within_m: float = 5, names: str = "ab"
) -> set[Match]:
    """Match photos."""
    connection = duck()
    connection.register("a", table(a, names[0]))
    connection.register("b", table(b, names[1]))
    match(connection, Rule(by, within_m))
    rows = connection.execute("SELECT a, b, is_unclear FROM matches").fetchall()
    found = [Match(a and int(a[1:]), b and int(b[1:]), is_unclear) for a, b, is_unclear in rows]
    assert len(found) == len({*found})
    return {*found}


def pairs(found: set[Match]) -> set[tuple[int, int]]:
    """The pairs among matches."""
    return {(match.a, match.b) for match in found if match.a is not None and match.b is not None}


COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Brücke") for form in ("NFC", "NFD"))
NAMED = st.builds(
    Taken, st.sampled_from(["x", "n/x", "s/x", "./x", "in.zip!/n/x", COMPOSED, DECOMPOSED]),
    st.sampled_from(["file:///1/p.zip", "file:///2/p.zip", "file:///2/q.zip", f"file:///2/{DECOMPOSED}.zip"]),
    st.none(), st.none(), st.none(), st.integers(0, 1),
)  # fmt: skip
PLACED = st.builds(
    Taken,
    st.just("x"),
    st.just("file:///x/one.zip"),
    st.none() | st.integers(0, 12).map(lambda step: 48 + step * 2 * METRE),
    st.none() | st.integers(0, 4).map(lambda step: 11 + step * 2 * METRE),
    st.none() | st.integers(0, 3),
    st.just(0),
)
PHOTOS = {"name": st.lists(NAMED, max_size=8, unique=True), "place": st.lists(PLACED, max_size=12)}


@pytest.mark.parametrize("by", ["name", "place"])
@settings(max_examples=12)
@given(data=st.data())
def test_every_photo_has_one_row(by: By, data: st.DataObject) -> None:
    """No photo is lost, and none matches two others."""
    a, b = data.draw(PHOTOS[by]), data.draw(PHOTOS[by])
    found = matches(a, b, by)
    assert Counter(match.a for match in found if match.a is not None) == Counter(range(len(a)))
    assert Counter(match.b for match in found if match.b is not None) == Counter(range(len(b)))


@pytest.mark.parametrize("by", ["name", "place"])
@pytest.mark.parametrize("names", ["ab", "xx"])
@settings(max_examples=12)
@given(data=st.data())
def test_both_sides_are_treated_alike(by: By, names: str, data: st.DataObject) -> None:
    """After an exchange the same photos match, also if both datasets have the same ids."""
    a, b = data.draw(PHOTOS[by]), data.draw(PHOTOS[by])
    exchanged = {Match(match.b, match.a, match.is_unclear) for match in matches(b, a, by, names=names[::-1])}
    assert matches(a, b, by, names=names) == exchanged


@pytest.mark.parametrize("by", ["name", "place"])
@settings(max_examples=12)
@given(data=st.data())
def test_photos_match_themselves(by: By, data: st.DataObject) -> None:
    """Two models on the same photos: every photo with a name or place of its own matches itself."""
    photos = list({photo._replace(after_s=None): photo for photo in data.draw(PHOTOS[by])}.values())
    can_match = [by == "name" or None not in {photo.latitude, photo.longitude} for photo in photos]
    expected = {(number, number) for number, can in enumerate(can_match) if can}
    assert pairs(matches(photos, photos, by)) == expected


def test_names_below_the_archive_count() -> None:
    """Last year's archive had another name and another place."""
    a = [Taken("span/1.jpg", "s3://y/2025.zip"), Taken("span/2.jpg", "s3://y/2025.zip")]
    b = [Taken("span/2.jpg", "file:///2026.zip"), Taken("span/3.jpg", "file:///2026.zip")]
    assert matches(a, b) == {Match(1, 0, CLEAR), Match(0, None, CLEAR), Match(None, 1, CLEAR)}


def test_archives_of_one_name_match() -> None:
    """Cameras count from 1 again in each of them."""
    a = [Taken("1.jpg", "file:///25/north.zip"), Taken("1.jpg", "file:///25/south.zip")]
    b = [Taken("1.jpg", "file:///26/south.zip"), Taken("1.jpg", "file:///26/north.zip")]
    assert pairs(matches(a, b)) == {(0, 1), (1, 0)}


def test_a_name_of_several_photos_is_unclear() -> None:
    """Such a photo is neither new nor gone: it may be any of them. One without a namesake is clearly gone."""
    a = [Taken("1.jpg", "file:///north.zip"), Taken("1.jpg", "file:///south.zip")]
    assert matches(a, [Taken("1.jpg", "file:///x.zip")]) == {
        Match(0, None, UNCLEAR), Match(1, None, UNCLEAR), Match(None, 0, UNCLEAR)}  # fmt: skip
    assert matches(a, [Taken("1.jpg", "file:///y/north.zip")]) == {Match(0, 0, CLEAR), Match(1, None, CLEAR)}


def test_composed_and_decomposed_names_are_one_name() -> None:
    """A folder copied from a Mac has the same photos; so have archives of one name whose photos count from 1 again."""
    for image, other in [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)]:
        assert matches([Taken(image, "file:///2025")], [Taken(other, "file:///2026")]) == {Match(0, 0, CLEAR)}
    a = [Taken("1.jpg", f"file:///25/{COMPOSED}.zip"), Taken("1.jpg", "file:///25/south.zip")]
    b = [Taken("1.jpg", "file:///26/south.zip"), Taken("1.jpg", f"file:///26/{DECOMPOSED}.zip")]
    assert pairs(matches(a, b)) == {(0, 1), (1, 0)}


def test_two_files_that_differ_in_composition_match_as_they_are_spelled() -> None:
    """Linux keeps both; where one side has one of them, the other is new or gone."""
    both = [Taken(COMPOSED, "file:///2025"), Taken(DECOMPOSED, "file:///2025")]
    other = [Taken(DECOMPOSED, "file:///2026"), Taken(COMPOSED, "file:///2026")]
    assert matches(both, other) == {Match(0, 1, CLEAR), Match(1, 0, CLEAR)}
    assert matches(both, other[:1]) == {Match(1, 0, CLEAR), Match(0, None, CLEAR)}


def test_a_folder_matches_its_part_of_a_parent() -> None:
    """A sub-folder against a zip of its parent: the path of the folder tells which photo is which; the rest is new."""
    a = [Taken("1.jpg", "file:///y/bridge/north"), Taken("2.jpg", "file:///y/bridge/north")]
    b = [Taken(f"bridge/{side}/{n}.jpg", "s3://x/all.zip") for side in ("north", "south") for n in (1, 2)]
    assert matches(a, b) == {Match(0, 0, CLEAR), Match(1, 1, CLEAR), Match(None, 2, CLEAR), Match(None, 3, CLEAR)}
    assert pairs(matches(a, [photo._replace(image=photo.image[7:]) for photo in b])) == {(0, 0), (1, 1)}


def test_where_the_folder_says_nothing_the_same_ends_are_unclear() -> None:
    """The folder may be either side of the bridge; what is there once matches."""
    a = [Taken("1.jpg", "file:///y/tonight"), Taken("2.jpg", "file:///y/tonight")]
    b = [Taken("north/1.jpg"), Taken("south/1.jpg"), Taken("south/2.jpg")]
    assert matches(a, b) == {
        Match(1, 2, CLEAR), Match(0, None, UNCLEAR), Match(None, 0, UNCLEAR), Match(None, 1, UNCLEAR)}  # fmt: skip


@pytest.mark.parametrize(
    ("image", "other"),
    [("./a.jpg", "a.jpg"), ("x//a.jpg", "x/a.jpg"), ("2025/x/a.jpg", "2026/x/a.jpg"), ("in.zip!/a.jpg", "in/a.jpg"),
     (f"./{COMPOSED}", DECOMPOSED)],
)  # fmt: skip
def test_spellings_of_one_path_match(image: str, other: str) -> None:
    """A dot, a doubled slash, a folder around all of an archive, a zip that was unpacked."""
    a, b = ([Taken(name), Taken(name.rpartition("/")[0] + "/b.jpg")] for name in (image, other))
    assert pairs(matches(a, b)) == {(0, 0), (1, 1)}


def test_photos_of_different_folders_do_not_match() -> None:
    """Cameras count from 1 again: one span is gone, another is new, although their photos have the same names."""
    a = [Taken("span-1/1.jpg", "file:///25.zip"), Taken("span-3/1.jpg", "file:///25.zip")]
    b = [Taken("span-2/1.jpg", "file:///26.zip"), Taken("span-3/1.jpg", "file:///26.zip")]
    assert matches(a, b) == {Match(1, 1, CLEAR), Match(0, None, CLEAR), Match(None, 0, CLEAR)}


def test_photos_from_the_field_are_the_same_photo() -> None:
    """One name is composed, one decomposed."""
    field = Path(__file__).parents[2].parent / "shared/field/compare"
    if not field.exists():
        pytest.skip(f"there is no {field} here")
    a, b = (
        [Taken(path.name, f"file://{folder}") for path in sorted(folder.iterdir())]
        for folder in (field / "2025", field / "2026")
    )
    assert a[0].image != b[0].image
    assert matches(a, b) == {Match(0, 0, CLEAR), Match(1, None, CLEAR), Match(None, 1, CLEAR)}


def test_the_nearest_photos_match() -> None:
    """Within the distance; each matches one other at most, the nearer first."""
    a = [Taken("x", latitude=48 + metres * METRE, longitude=11) for metres in (0, 3, 100)]
    b = [Taken("y", latitude=48 + metres * METRE, longitude=11) for metres in (2, 7, 106)]
    assert pairs(matches(a, b, "place", 5)) == {(1, 0)}
    assert pairs(matches(a, b, "place", 6.5)) == {(1, 0), (2, 2)}
    assert pairs(matches(a, b, "place", 8)) == {(1, 0), (0, 1), (2, 2)}


def test_photos_of_one_place_are_matched_in_the_order_of_time() -> None:
    """The time counts from the first photo of each inspection: there is a year between them."""
    a = [Taken("x", latitude=48, longitude=11, after_s=after_s) for after_s in (0, 10, 20)]
    b = [Taken("y", latitude=48, longitude=11, after_s=10**7 + after_s) for after_s in (21, 0, 11)]
    assert pairs(matches(a, b, "place")) == {(0, 1), (1, 2), (2, 0)}


def test_photos_match_across_the_date_line_and_a_pole() -> None:
    """Distances are those on a sphere."""
    a = [Taken("x", latitude=0.001, longitude=179.99999), Taken("x", latitude=89.99999, longitude=0)]
    b = [Taken("y", latitude=0.001, longitude=-179.99999), Taken("y", latitude=89.99999, longitude=180)]
    assert pairs(matches(a, b, "place", 3)) == {(0, 0), (1, 1)}


def test_photos_without_a_position_are_unclear() -> None:
    """So are photos at 0, 0, which cameras without a fix write."""
    a, b = [Taken("x"), Taken("x", latitude=0.0, longitude=0.0)], [Taken("y", latitude=48, longitude=11)]
    assert matches(a, b, "place") == {Match(0, None, UNCLEAR), Match(1, None, UNCLEAR), Match(None, 0, CLEAR)}


def test_a_useless_distance_is_refused() -> None:
    """The message names the option."""
    with pytest.raises(UsageError, match=r"^The distance is 0 m; expected 0.01 to 1000. Give another --within.$"):
        Rule("place", 0)


NAME, PLACE = Rule("name"), Rule("place", 5)


def _side(photos: int = 10, unplaced: int = 0, alone: int = 0, unclear: int = 0) -> Matched:
    """One side."""
    return Matched(photos, unplaced, alone, unclear, "x/1.jpg" if alone else None)


def test_nothing_is_said_where_most_photos_match() -> None:
    """Some new ones are what a comparison is for."""
    assert explain_unmatched(NAME, _side(alone=5), _side(alone=5)) == []
    assert explain_unmatched(PLACE, _side(alone=9), _side(alone=9)) == []


def test_names_that_do_not_match_are_shown() -> None:
    """With one of each side, and what to do."""
    end = (
        " could be matched with one in B by the end of its path; A has x/1.jpg, B has x/1.jpg. Check that both show "
        "the same structure; photos with positions can be matched with --by place."
    )
    assert explain_unmatched(NAME, _side(alone=10), _side(alone=10)) == [f"No photo in A{end}"]
    assert explain_unmatched(NAME, _side(alone=9), _side(alone=9)) == [f"Only 1 photo in A{end}"]
    assert explain_unmatched(NAME, _side(6, alone=2, unclear=2), _side(5, alone=1, unclear=1)) == [
        (
            "Paths of several photos end alike, so 2 in A and 1 in B are unclear. Score folders or archives whose "
            "names tell them apart, or try --by place."
        )
    ]


def test_places_that_do_not_match_are_counted() -> None:
    """Without any position on a side nothing can match, which is wrong usage."""
    assert explain_unmatched(PLACE, _side(unplaced=3), _side()) == [
        (
            "No position: 3 of 10 photos in A, 0 of 10 in B. They cannot be matched by place; without --by place, "
            "photos match by name."
        )
    ]
    assert explain_unmatched(PLACE, _side(alone=10), _side(alone=10)) == [
        "No photo in B is within 5 m of one in A. Give a larger --within, or leave out --by place."
    ]
    with pytest.raises(UsageError) as refused:
        explain_unmatched(PLACE, _side(28, 28), _side(1, 1))
    assert str(refused.value) == (
        "No position in the EXIF or XMP of the 28 photos in A and of the 1 photo in B, so --by place can match "
        "nothing. Leave it out to match by name."
    )
