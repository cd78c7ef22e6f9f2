r"""Tables for spreadsheets: what Excel needs to read a CSV in UTF-8, and to take names for text.

A spreadsheet runs a cell that begins with `=` as a formula, also one that stands in quotes. Names of photos come from
anywhere, so `guard` puts a `'` before such cells, as https://owasp.org/www-community/attacks/CSV_Injection says.
"""

import re

MARK = "\ufeff"
"""Begins a file of UTF-8 for Excel, which takes any other for the code page of its country."""

GUARDED = r"^[=+\-@\t\r\n＝＋－＠]|^[0-9]+([eE][0-9]+)?$"  # noqa: RUF001 - Excel takes the wide signs, too
"""Texts that a spreadsheet takes for a formula or for a number, which loses digits of an id."""

_IS_GUARDED = re.compile(GUARDED)


def guard(text: str) -> str:
    """Put a `'` before a text that a spreadsheet would take for something else."""
    return f"'{text}" if _IS_GUARDED.search(text) else text


def unguard(text: str) -> str:
    """Take away the `'` that `guard` puts before a text; any other text stays."""
    return text[1:] if text.startswith("'") and _IS_GUARDED.search(text[1:]) else text
