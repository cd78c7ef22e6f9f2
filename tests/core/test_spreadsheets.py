"""Cells of spreadsheets: which are guarded."""

import pytest

from pipeline.core.spreadsheets import guard


@pytest.mark.parametrize("text", ["=1+1", "+1", "-2", "@sum", "\tx", "\rx", "\n=1", "＝1", "0012", "12e45"])  # noqa: RUF001
def test_what_a_spreadsheet_would_change_is_guarded(text: str) -> None:
    """A `'` stands before formulas and before ids of digits alone."""
    assert guard(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=1", "1.jpg", "12e4f", "'=1", " x", "file:///a b"])
def test_other_text_stays(text: str) -> None:
    """Names stay as they are."""
    assert guard(text) == text
