"""`crackscan report` as a user types it."""

from pathlib import Path

from click.testing import CliRunner

from pipeline.cli import main
from tests.helpers.scored_photos import photo, scored, zipped


def test_a_report_is_written_and_told(tmp_path: Path) -> None:
    """Where it is, how large, and what could not be shown."""
    archive = zipped(tmp_path / "one.zip", {"a.png": photo(200), "b.png": photo(20)})
    out, page = scored(tmp_path / "out", archive), tmp_path / "page.html"
    told = CliRunner().invoke(main, ["report", out.url, "--out", str(page)])
    size = f"{page.stat().st_size / 1000:,.0f} kB"
    assert (told.exit_code, told.output) == (0, f"file://{page}: 2 photos, 2 of them as cards, {size}.\n")
    archive.unlink()
    told = CliRunner().invoke(main, ["report", out.url, "--out", str(page), "--top", "1"])
    assert told.output.splitlines() == [
        f"file://{page}: 2 photos, 1 of them as cards, {page.stat().st_size / 1000:,.0f} kB.",
        "1 of the cards has no picture, for its photo cannot be read any more; it says why.",
    ]


def test_no_dataset_is_wrong_usage(tmp_path: Path) -> None:
    """With what was expected."""
    told = CliRunner().invoke(main, ["report", str(tmp_path / "x"), "--out", str(tmp_path / "page.html")])
    assert (told.exit_code, told.stderr) == (
        2, f"crackscan: There is no dataset at file://{tmp_path}/x; expected a folder with run.json.\n")  # fmt: skip
    assert not (tmp_path / "page.html").exists()
