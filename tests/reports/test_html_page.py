"""A page is one file: it escapes all text and fetches nothing."""

import json
import re
from datetime import UTC, datetime

import pytest

from pipeline.reports import html_page
from pipeline.reports.html_page import Column, PhotoTable

HOSTILE = '</script><script>alert(1)</script> & "quoted" \'<img src=x onerror=alert(2)>\u2028'


def test_rows_travel_as_compact_json_that_cannot_end_its_element() -> None:
    """A browser reads back the same values, whatever the names of photos; control characters are shown."""
    rows = PhotoTable(
        [Column("Photo", "text", [HOSTILE, None]), Column("Archive", "choice", [HOSTILE, None])], ["card"]
    )
    text = rows.to_json()
    assert "<" not in text
    assert ": " not in text.split("values")[0]
    shown = HOSTILE.replace("\u2028", r"\u2028")
    assert json.loads(text) == {
        "columns": [
            {"label": "Photo", "kind": "text", "values": [shown, None]},
            {"label": "Archive", "kind": "choice", "choices": [shown], "values": [0, None]},
        ],
        "cards": ["card"],
    }


def test_values_are_written_as_short_as_they_can_be() -> None:
    """Scores to four digits, degrees to a tenth of a metre, times without a zone."""
    column = Column("x", "number", [0.123456, 48.12345678, -11.5, 3, None, datetime(2026, 5, 1, 9, 4, 5, tzinfo=UTC)])
    [encoded] = json.loads(PhotoTable([column]).to_json())["columns"]
    assert encoded["values"] == [0.1235, 48.123457, -11.5, 3, None, "2026-05-01 09:04:05"]


def test_a_page_runs_its_own_script_and_no_other() -> None:
    """The page escapes text, and its policy names the script's digest, so a browser runs no other."""
    source = '{% import "parts.html" as parts with context %}{% call parts.document(title) %}{{ title }}{% endcall %}'
    page = html_page.render(html_page.load_templates().from_string(source), title=HOSTILE).decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert re.search(r"default-src 'none'; img-src data:; .*script-src 'sha256-[\w+/]{43}='", page)
    assert page.count("<script>") == 1


@pytest.mark.parametrize(
    ("archive", "image", "expected"),
    [
        ("file:///a/b #1.zip", "c.jpg", "file:///a/b%20%231.zip"),
        ("file:///a/photos", "x/<c>.jpg", "file:///a/photos/x/%3Cc%3E.jpg"),
        ("https://example.org/a b.zip", "c.jpg", "https://example.org/a%20b.zip"),
        ("s3://bucket/a.zip", "c.jpg", None),
        ("javascript:alert(1)//", "c.jpg", None),
    ],
)
def test_only_what_a_browser_can_open_is_linked(archive: str, image: str, expected: str | None) -> None:
    """The page links a loose photo itself and a member to its archive, and no other kind of address."""
    assert html_page.find_link(archive, image) == expected


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(0, 0, "-"), (0, 5, "0 %"), (5, 5, "100 %"), (1, 3, "33.3 %"), (1, 10**6, "<0.1 %"), (9999, 10**4, ">99.9 %")],
)  # fmt: skip
def test_shares_never_round_to_nothing_or_all(part: int, whole: int, expected: str) -> None:
    """One cracked photo in a million is not 0 %."""
    assert html_page.format_share(part, whole) == expected


def test_assets_hold_nothing_to_fetch_and_nothing_that_ends_them() -> None:
    """The page includes them unchanged."""
    for name in ("page.css", "page.js"):
        text = html_page.read_asset(name)
        assert not re.search(r"</|https?://|@import|url\(", text), name


def test_archives_are_called_by_their_names_where_those_differ() -> None:
    """Otherwise by their URLs."""
    assert html_page.short_names(["s3://b/x.zip", "s3://b/y.zip"]) == ["x.zip", "y.zip"]
    assert html_page.short_names(["s3://b/x.zip", "s3://c/x.zip"]) == ["s3://b/x.zip", "s3://c/x.zip"]
