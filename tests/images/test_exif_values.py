"""Values come in every type; texts are one visible line, numbers are finite."""

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.TiffImagePlugin import IFDRational

from pipeline.images.exif_values import parse_number, parse_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("FC6310", "FC6310"),
        ("FC6310\0\1\xe9\7AUTO", "FC6310"),  # what lies behind the NUL was never cleared
        (b"S\xc3\xbcd\0\xff", "Süd"),  # UTF-8, whatever lies behind the NUL
        ("S\xc3\xbcd", "Süd"),  # Pillow decodes ASCII as Latin-1
        (b"S\xfcd", "Süd"),
        ("Süd 東", "Süd 東"),
        (("DJI",), "DJI"),
        ((b"DJI",), "DJI"),
        ("  EOS\tR5 \r\n", "EOS R5"),
        ("E\x07O\x1bS\x7f\x9d R\xad5", "EOS R5"),
        ("\u202eEOS\u200b\ufeff\ud800", "EOS"),
        ("one\u2028two", "one two"),
        ("x" * 100_000, "x" * 2_000),
    ],
)
def test_text_is_one_visible_line_up_to_its_first_nul(value: object, text: str) -> None:
    """Whatever type it has: programs write ASCII, UTF-8, bytes and tuples of one."""
    assert parse_text(value) == text


@pytest.mark.parametrize("value", ["", " ", "\0DJI", b"\0\0", (), None, 5, 8.8, (68, 74), IFDRational(1, 2), ({},)])
def test_blanks_and_other_values_are_no_text(value: object) -> None:
    """Nothing is made up of them."""
    assert parse_text(value) is None


@pytest.mark.parametrize(
    ("value", "number"),
    [(8.8, 8.8), (24, 24.0), (IFDRational(88, 10), 8.8), ((IFDRational(88, 10),), 8.8), ("8.8\0", 8.8), (b"8.8", 8.8),
     ("88/10", 8.8), ("+123.40", 123.4), ("-12.5", -12.5)],
)  # fmt: skip
def test_numbers_come_in_many_types(value: object, number: float) -> None:
    """Text among them, and tuples of one."""
    assert parse_number(value) == pytest.approx(number)


@pytest.mark.parametrize(
    "value",
    [None, "", "long", "1/0", "nan", "inf", "1e999", b"\x08", (), (1, 2), float("nan"), IFDRational(1, 0),
     IFDRational(0, 0), {1: 2}],
)  # fmt: skip
def test_what_is_no_finite_number_is_none(value: object) -> None:
    """Denominators of zero among it."""
    assert parse_number(value) is None


INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of controls, formats, lone surrogates and ends of lines."""

ANYTHING = st.recursive(
    st.one_of(st.none(), st.integers(), st.floats(), st.binary(), st.text(), st.text(st.characters(max_codepoint=255)),
              st.builds(IFDRational, st.integers(), st.integers())),
    lambda parts: st.lists(parts, max_size=4).map(tuple),
)  # fmt: skip


@given(ANYTHING)
def test_no_value_raises(value: Any) -> None:  # noqa: ANN401 - EXIF holds anything
    """A text is stripped and holds nothing that cannot be seen; a number is finite."""
    text, number = parse_text(value), parse_number(value)

    assert text is None or (text == text.strip() != "" and not set(map(unicodedata.category, text)) & INVISIBLE)
    assert number is None or abs(number) < float("inf")
