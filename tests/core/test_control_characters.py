"""Control characters are shown, and nothing else changes."""

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.control_characters import dump_json, escape_controls

HOSTILE = "\x1b[31mred\x1b]0;title\x07\n\u202egpj.exe\u2066\x9b1m\x7f.jpg"
STEERING = {"\u2028", "\u2029", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


def steers(character: str) -> bool:
    """Whether a terminal or a browser does something else than to draw this character."""
    return unicodedata.category(character) in {"Cc", "Cs"} or character in STEERING


def test_they_are_shown_as_python_writes_them() -> None:
    """Short escapes for line ends and tabs, bytes that are not UTF-8 by their value."""
    assert escape_controls(HOSTILE) == (
        r"\x1b[31mred\x1b]0;title\x07\n\u202egpj.exe\u2066\x9b1m\x7f.jpg"
    )  # fmt: skip
    assert escape_controls("a\tb\rc\u2028\udcff\ud800") == r"a\tb\rc\u2028\xff\ud800"


@given(st.text(st.characters()))
def test_none_of_them_is_left_and_other_text_stays(text: str) -> None:
    """Letters of every script, emoji and their joiners, and backslashes are not touched."""
    assert not any(map(steers, escape_controls(text)))
    plain = "".join(character for character in text if not steers(character))
    assert escape_controls(plain) == plain


@given(st.dictionaries(st.text(st.characters()), st.text(st.characters())))
def test_json_has_none_of_them_and_the_same_value(value: dict[str, str]) -> None:
    """Programs read exactly what was written."""
    text = dump_json(value)
    assert not any(map(steers, text))
    assert json.loads(text) == value


def test_json_keeps_the_letters_of_any_script() -> None:
    """People read it, too."""
    assert dump_json({"image": "Brücke 橋.jpg"}) == '{"image": "Brücke 橋.jpg"}'
