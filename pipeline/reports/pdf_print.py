"""A page printed into a PDF by a Chromium without a window, if this machine has one.

The page numbers are those of the page's own style, from Chromium 131 on; an older one adds its own header and footer.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from pipeline import storage
from pipeline.core.errors import CrackscanError
from pipeline.core.scratch import temporary_folder
from pipeline.dataset.targets import Product, mark_of

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge", "microsoft-edge")
"""Names of programs that print alike, the first that is found counts."""
INSTALL = "`apt-get install chromium`, or Google Chrome or Microsoft Edge from their makers"
NUMBERS_PAGES_SINCE = 131
"""Chromium that knows the margin boxes of CSS Paged Media, in which the page numbers stand."""
TIMEOUT_S = 600
"""A page of two hundred photos takes seconds; a busy machine minutes."""

_SWITCHES = (
    "headless", "disable-gpu", "no-first-run", "disable-extensions", "disable-background-networking",
    "disable-component-update", "disable-sync", "hide-scrollbars",
)  # fmt: skip
"""Of the browser, without the dashes before them."""
_TAIL_BYTES = 200


def find_browser() -> Path:
    """Return the browser to print with.

    Raises:
        CrackscanError: there is none; says what to install.
    """
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise CrackscanError(
            f"There is no browser to print a PDF with; looked for {', '.join(BROWSERS)} in the PATH. Install one "
            f"({INSTALL}), or leave --pdf out and print the page yourself."
        )
    return Path(found)


def print_page(browser: Path, page: bytes, command: str) -> bytes:
    """Print a page; return the PDF.

    Args:
        browser: see `find_browser`.
        page: one HTML file that needs no other.
        command: the command that made it, for the mark.

    Raises:
        CrackscanError: the browser fails, or takes too long.
    """
    with temporary_folder() as folder:
        source, printed = folder / f"{command}.html", folder / f"{command}.pdf"
        source.write_bytes(page)
        switches = [*_SWITCHES, *_choose_switches(browser), f"user-data-dir={folder / 'profile'}"]
        words = [f"--{switch}" for switch in (*switches, f"print-to-pdf={printed}")]
        reason = _run([str(browser), *words, source.as_uri()])
        if not printed.is_file() or not (data := printed.read_bytes()).startswith(b"%PDF-"):
            raise CrackscanError(
                f"{browser} printed no PDF: {reason}. Leave --pdf out, open the page and print it yourself."
            )
    return data + f"\n% {mark_of(command)}\n".encode()


def product(command: str) -> Product:
    """Return how to recognise the PDFs of a command: by the comment at their end."""
    mark = f"% crackscan {command} ".encode()
    return Product(command, "pdf", lambda url, _head: mark in _read_tail(url))


def _read_tail(url: str) -> bytes:
    size_bytes = storage.stat(url).size_bytes
    first = max(0, size_bytes - _TAIL_BYTES)
    return bytes(storage.read_ranges(url, [(first, size_bytes)])[0])


def _choose_switches(browser: Path) -> list[str]:
    """Return the switches that depend on the browser's version and on who runs it."""
    shown = subprocess.run([browser, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - found by its name
    version = re.search(r"(\d+)\.\d+\.\d+", shown.stdout)
    switches = ["no-pdf-header-footer"] if version and int(version[1]) >= NUMBERS_PAGES_SINCE else []
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return [*switches, "no-sandbox"] if is_root else switches  # as root, it starts only so


def _run(words: list[str]) -> str:
    """Run the browser; return the last thing that it said."""
    try:
        done = subprocess.run(  # noqa: S603 - found by its name
            words, capture_output=True, text=True, errors="replace", check=False, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {TIMEOUT_S} s"
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"it ended with code {done.returncode}"
