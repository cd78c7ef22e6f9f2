"""The output of `crackscan report`."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from tests.helpers.scored_photos import photo, score_archives, zip_photos


def test_the_output_names_the_page(tmp_path: Path) -> None:
    """Its place, its size, and the cards without a picture."""
    archive = zip_photos(tmp_path / "one.zip", {"a.png": photo(200), "b.png": photo(20)})
    out, page = score_archives(tmp_path / "out", archive), tmp_path / "page.html"
    shown = CliRunner().invoke(main, ["report", out.url, "--out", str(page)])
    size = f"{page.stat().st_size / 1000:,.0f} kB"
    assert (shown.exit_code, shown.output) == (0, f"file://{page}: 2 photos, 2 of them as cards, {size}.\n")
    archive.unlink()
    shown = CliRunner().invoke(main, ["report", out.url, "--out", str(page), "--top", "1"])
    assert shown.output.splitlines() == [
        f"file://{page}: 2 photos, 1 of them as cards, {page.stat().st_size / 1000:,.0f} kB.",
        "1 of the cards has no picture, for its photo cannot be read any more; it says why.",
    ]


def test_no_dataset_is_wrong_usage(tmp_path: Path) -> None:
    """The message says what was expected."""
    shown = CliRunner().invoke(main, ["report", str(tmp_path / "x"), "--out", str(tmp_path / "page.html")])
    assert (shown.exit_code, shown.stderr) == (
        2, f"crackscan: There is no dataset at file://{tmp_path}/x; expected a folder with run.json.\n")  # fmt: skip
    assert not (tmp_path / "page.html").exists()


def test_cracks_are_counted_from_a_width_on(tmp_path: Path) -> None:
    """The line says how many; widths are over 0."""
    archive = zip_photos(tmp_path / "one.zip", {"a.png": photo(200)})
    out = score_archives(tmp_path / "out", archive, cracks={"a.png": 3}, mm_per_px={"a.png": 0.1})
    words = ["report", out.url, "--out", str(tmp_path / "page.html")]
    assert ": 3 cracks, 1 photo, 1 of them as cards, " in CliRunner().invoke(main, words).output
    assert ": 1 crack, 1 photo, " in CliRunner().invoke(main, [*words, "--from-mm", "0.2"]).output
    assert ": 2 cracks, 1 photo, " in CliRunner().invoke(main, [*words, "--from-px", "1.5"]).output
    assert CliRunner().invoke(main, [*words, "--from-mm", "0"]).exit_code == 2


def test_a_pdf_without_a_browser_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1, and no file."""
    out = score_archives(tmp_path / "out", zip_photos(tmp_path / "one.zip", {"a.png": photo(200)}))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(main, ["report", out.url, "--pdf"])
    assert shown.exit_code == 1
    assert shown.stderr.startswith("crackscan: There is no browser to print a PDF with; looked for chromium, ")
    assert "apt-get install chromium" in shown.stderr
    assert not (tmp_path / "report.pdf").exists()


def test_a_report_may_be_confirmed_cropped_and_without_positions(tmp_path: Path) -> None:
    """The options reach the page; with nothing confirmed, it shows no photo."""
    photos = {"a.png": photo(200, place=(48.125, 11.5))}
    out = score_archives(tmp_path / "out", zip_photos(tmp_path / "one.zip", photos))
    words = ["report", out.url, "--out", str(tmp_path / "page.html")]
    shown = CliRunner().invoke(main, [*words, "--crop-only", "--no-positions"])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert (shown.exit_code, "Only what is around the worst place is shown." in page, "48.125" in page) == (
        0,
        True,
        False,
    )
    assert "1 photo, 0 of them as cards, " in CliRunner().invoke(main, [*words, "--confirmed"]).output
