"""`crackscan sample`: options become a sample, mistakes one sentence."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import main


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["sample", *arguments])


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    """The output names every place and the next commands."""
    out = str(tmp_path / "demo")
    options = ("--out", out, "--photos", "2", "--size", "96x64", "--tiles", "5", "--tile", "64", "--format", "tgz")
    first, second = run(*options), run(*options)
    assert first.exit_code == second.exit_code == 0
    places = f"""\
  {out}/photos.tgz  2 photos, 1 of them with cracks
  {out}/masks  the truth: white = crack
  {out}/tiles  4 tiles to train on, 1 to validate on
Next:
  crackscan train {out}/tiles/train --val {out}/tiles/val --out {out}/model --preset quick
  crackscan score {out}/photos.tgz --model {out}/model --out {out}/scores
  crackscan query {out}/scores @{out}/check.sql
"""
    assert first.stdout == f"Drew a synthetic sample: {out}\n{places}"
    assert second.stdout == f"This sample is already there and was left as it is: {out}\n{places}"


def test_photos_alone_are_scored_with_the_shipped_model(tmp_path: Path) -> None:
    """Without tiles there is nothing to train on, so the output names no model."""
    out = str(tmp_path)
    shown = run("--out", out, "--photos", "1", "--size", "64x64", "--tiles", "0").stdout
    assert f"  crackscan score {out}/photos.zip --out {out}/scores\n" in shown
    assert "train" not in shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--size", "large"), "Invalid value for '--size': large is not WIDTHxHEIGHT in pixels, such as 1600x1200."),
        (
            ("--crack-width", "wide"),
            "Invalid value for '--crack-width': wide is not THIN-WIDE in pixels, such as 1-30.",
        ),
        (("--size", "63x100"), "crackscan: The photos' width is 63 pixels; it must be between 64 and 20000."),
        (("--photos", "-1"), "Invalid value for '--photos': -1 is not in the range x>=0."),
        (("--format", "rar"), "Invalid value for '--format': 'rar' is not one of 'folder', 'zip', 'tar', 'tgz'."),
    ],
)
def test_mistakes_name_the_option_at_fault(options: tuple[str, str], message: str, tmp_path: Path) -> None:
    """Exit code 2, and no sample."""
    result = run("--out", str(tmp_path / "demo"), *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "demo").exists()


def test_a_remote_place_is_refused() -> None:
    """A sample must be on local disk."""
    result = run("--out", "s3://bucket/demo")
    assert result.exit_code == 2
    assert "not on local disk" in result.stderr


def test_one_width_is_a_range_of_its_own(tmp_path: Path) -> None:
    """`--crack-width 3` draws cracks of 3 px."""
    out = tmp_path / "demo"
    assert (
        run("--out", str(out), "--photos", "1", "--size", "128x128", "--tiles", "0", "--crack-width", "3").exit_code
        == 0
    )
    assert (out / "photos.csv").read_text().splitlines()[1].split(",")[3] == "3.0"
