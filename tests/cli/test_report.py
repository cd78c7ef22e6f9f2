"""The output of `crackscan report`."""

from pathlib import Path

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
