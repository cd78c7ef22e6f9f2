"""Pages printed into PDFs: by a fake browser, and by a real one if there is one."""

import os
import re
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.core.errors import CrackscanError
from pipeline.reports.pdf_print import BROWSERS, find_browser, print_page, product

PAGE = b"<!doctype html><title>x</title><style>@page { margin: 1cm }</style><p>one"


def fake(folder: Path, body: str, version: str = "Chromium 150.0.7871.100") -> Path:
    """A browser that says its version, or does what a script says with the words in $*."""
    path = folder / "chromium"
    path.write_text(f'#!/bin/sh\ncase "$1" in --version) echo "{version}"; exit;; esac\n{body}\n')
    path.chmod(0o755)
    return path


PRINT = (
    'for w in "$@"; do case "$w" in --print-to-pdf=*) printf "%%PDF-1.4 %s" "$*" > "${w#--print-to-pdf=}";; esac; done'
)


def test_the_first_browser_in_the_path_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one of its names; without one, the message says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CrackscanError) as refused:
        find_browser()
    assert str(refused.value) == (
        f"There is no browser to print a PDF with; looked for {', '.join(BROWSERS)} in the PATH. Install one "
        "(`apt-get install chromium`, or Google Chrome or Microsoft Edge from their makers), or leave --pdf out and "
        "print the page yourself."
    )
    assert refused.value.exit_code == 1
    assert find_browser_after(fake(tmp_path, PRINT)) == tmp_path / "chromium"


def find_browser_after(_browser: Path) -> Path:
    """The browser that is found."""
    return find_browser()


def test_a_pdf_has_our_mark_at_its_end(tmp_path: Path) -> None:
    """By which the command knows its own file, and no other."""
    printed = print_page(fake(tmp_path, PRINT), PAGE, "report")
    assert printed.startswith(b"%PDF-")
    (tmp_path / "ours.pdf").write_bytes(printed)
    (tmp_path / "other.pdf").write_bytes(b"%PDF-1.4 % crackscan report " + bytes(300))
    is_ours = product("report").is_ours
    assert is_ours(storage.canonical(str(tmp_path / "ours.pdf")), b"")
    assert not is_ours(storage.canonical(str(tmp_path / "other.pdf")), b"")


@pytest.mark.parametrize(
    ("version", "own_numbers"), [("Chromium 131.0.1.2", True), ("Chromium 130.0.1.2", False), ("?", False)]
)
def test_older_browsers_number_pages_themselves(version: str, own_numbers: object, tmp_path: Path) -> None:
    """The style's numbers need margin boxes; as root, the sandbox is off, else it stays."""
    printed = print_page(fake(tmp_path, PRINT, version), PAGE, "report").decode()
    assert ("--no-pdf-header-footer" in printed) == own_numbers
    assert ("--no-sandbox" in printed) == (os.geteuid() == 0)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo 'no display' >&2; exit 3", "no display"),
        ("exit 3", "it ended with code 3"),
        (PRINT.replace("PDF", "X"), "code 0"),
    ],
)
def test_a_browser_that_fails_is_told(body: str, reason: str, tmp_path: Path) -> None:
    """With the last thing that it said."""
    with pytest.raises(CrackscanError, match=f"printed no PDF: .*{reason}"):
        print_page(fake(tmp_path, body), PAGE, "report")


@pytest.mark.ray  # takes seconds to minutes, like those tests
def test_a_real_browser_prints_pages() -> None:
    """Two of them, if one is found."""
    try:
        browser = find_browser()
    except CrackscanError:
        pytest.skip("no Chromium to print with: apt-get install chromium")
    printed = print_page(browser, PAGE + b'<p style="break-before: page">two', "report")
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", printed)) == 2
