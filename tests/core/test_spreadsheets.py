"""Cells of spreadsheets: which are guarded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.spreadsheets import guard, unguard


@pytest.mark.parametrize("text", ["=1+1", "+1", "-2", "@sum", "\tx", "\rx", "\n=1", "＝1", "0012", "12e45"])  # noqa: RUF001
def test_what_a_spreadsheet_would_change_is_guarded(text: str) -> None:
    """A `'` stands before formulas and before ids of digits alone."""
    assert guard(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=1", "1.jpg", "12e4f", "'=1", " x", "file:///a b"])
def test_other_text_stays(text: str) -> None:
    """Names stay as they are."""
    assert guard(text) == text


@given(text=st.text())
def test_a_guard_is_taken_away_again(text: str) -> None:
    """Whatever stands in the cell, but for a text that looks guarded from the start."""
    is_ambiguous = text.startswith("'") and guard(text[1:]) != text[1:]
    assert unguard(guard(text)) == (text[1:] if is_ambiguous else text)
