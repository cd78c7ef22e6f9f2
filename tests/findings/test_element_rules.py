"""Tables of elements: what they may say, and which row counts."""

from math import nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import UsageError
from pipeline.findings.areas import parse_area
from pipeline.findings.element_rules import ElementRule, ElementRules, Photo, read_element_rules

SQUARE = "POLYGON ((11 48, 12 48, 12 49, 11 49, 11 48))"


def write(folder: Path, text: str, name: str = "rules.csv") -> str:
    """A table."""
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_rows_say_which_photos_show_what(tmp_path: Path) -> None:
    """Columns of any order and spelling; those of the office's own keep their names, empty rows are left out."""
    text = f'Inspector;SPAN;Image;polygon;Face no.\nÖ. "x";3;*/pier/*;"{SQUARE}";N\n;;;;\n=cmd();;a.jpg;;\n'
    rules = read_element_rules(write(tmp_path, text.replace('"x"', "x")))
    assert rules.columns == ["structure", "span", "element", "face", "Inspector", "Face no."]
    first, second = rules.rules
    assert (first.pattern, first.where) == ("*/pier/*", f"row 1 of file://{tmp_path}/rules.csv")
    assert first.values == {
        "structure": "", "span": "3", "element": "", "face": "", "Inspector": "Ö. x", "Face no.": "N",
    }  # fmt: skip
    assert first.area is not None
    assert (second.name, second.area) == ("=cmd()", None)
    assert rules.has_areas


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ("{url} has the columns none; expected the columns image or polygon, and structure, span, element, face "
         "or others.")),
        ("span,face\n1,2\n", ("{url} has the columns span, face; expected the columns image or polygon, and structure, "
         "span, element, face or others.")),
        ("image,span\n", ("{url} has no rows; expected the columns image or polygon, and structure, span, element, "
         "face or others, a row for each part of a structure.")),
        ("image,span,Span\na,1,2\n", "{url} has two columns Span; expected one. Rename or remove the other."),
        ("image,Comment\na,1\n", ("{url} has a column Comment, and findings have a column comment of their own. Rename "
         "it, such as office_comment.")),
        ("image,archive\na,1\n", ("{url} has a column archive, and findings have a column archive of their own. Rename "
         "it, such as office_archive.")),
        ('image,"a""b"\na,1\n', "{url} has a column 'a\"b'; expected a name without quotes and control characters."),
        ("image,span\n,1\n", ("row 1 of {url} does not say which photos it means; expected an image, such as "
         "DJI_0417.JPG or */pier-7/*, or a polygon.")),
        ("image,span\na,1\nb,\n", ("row 2 of {url} says nothing of its photos; expected structure, span, element, face "
         "or others.")),
        ("polygon,span\nPOINT (1 2),1\n", ("row 1 of {url}: 'POINT (1 2)' is no POLYGON and no MULTIPOLYGON. Expected "
         "a polygon such as POLYGON ((11.5 48.1, 11.6 48.1, 11.6 48.2, 11.5 48.1)).")),
        ("image,span\na,1,2\n", ("Row 1 of {url} has more values than the header has columns (2), so they are shifted. "
         "Put values that hold the separator, such as a decimal comma, in quotes.")),
    ],
)  # fmt: skip
def test_tables_that_say_too_little_are_refused(text: str, message: str, tmp_path: Path) -> None:
    """The message names the row."""
    with pytest.raises(UsageError) as refused:
        read_element_rules(write(tmp_path, text))
    assert str(refused.value) == message.format(url=f"file://{tmp_path}/rules.csv")


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A missing one, and one of another kind."""
    with pytest.raises(UsageError, match="The table of elements cannot be read: "):
        read_element_rules(str(tmp_path / "none.csv"))
    with pytest.raises(
        UsageError, match=r"is neither a \.csv nor a \.parquet; expected a table with the columns image"
    ):
        read_element_rules(write(tmp_path, "image,span\n", "rules.json"))


def rule(pattern: str, polygon: str = "") -> ElementRule:
    """A rule."""
    return ElementRule("row", pattern, parse_area(polygon) if polygon else None, {"span": "1"})


def test_the_first_row_that_fits_counts() -> None:
    """Its pattern and its area, if it has both."""
    rules = ElementRules(["span"], [rule("a*", SQUARE), rule("", SQUARE), rule("*/north.zip/*"), rule("a.jpg")])
    inside, outside, unknown = (11.5, 48.5), (1.0, 1.0), (nan, nan)
    photos = {
        Photo("x.zip", "a.jpg", inside): 0,
        Photo("x.zip", "b.jpg", inside): 1,
        Photo("s3://b/north.zip", "a.jpg", outside): 2,
        Photo("x.zip", "a.jpg", unknown): 3,
        Photo("x.zip", "b.jpg", unknown): None,
    }
    assert rules.find_all([*photos]) == [*photos.values()]
    assert rules.find_all([]) == []


RULES = st.lists(st.sampled_from([rule("a*"), rule("", SQUARE), rule("*b", SQUARE), rule("ab")]), max_size=5)
PHOTOS = st.lists(
    st.builds(Photo, st.just("x.zip"), st.text("ab", min_size=1, max_size=2),
              st.sampled_from([(11.5, 48.5), (0.0, 1.0), (nan, nan)])),
    max_size=5,
)  # fmt: skip


@given(rules=RULES, photos=PHOTOS)
def test_a_rule_counts_where_none_before_it_does(rules: list[ElementRule], photos: list[Photo]) -> None:
    """The same as if each rule were asked alone, in its order."""
    alone = [ElementRules(["span"], [one]).find_all(photos) for one in rules]
    expected = [next((n for n, found in enumerate(alone) if found[p] == 0), None) for p in range(len(photos))]
    assert ElementRules(["span"], rules).find_all(photos) == expected
