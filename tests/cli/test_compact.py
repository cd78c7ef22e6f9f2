"""`crackscan compact` as a user reads it."""

from pathlib import Path

from click.testing import CliRunner

from pipeline.cli.compact import command
from tests.helpers.small_dataset import written


def test_what_was_made_is_told(tmp_path: Path) -> None:
    """How much there was and is, that both are equal, and how to prove it again."""
    old, new = written(str(tmp_path / "old")).url, f"file://{tmp_path}/new"
    shown = CliRunner().invoke(command, [old, "--to", new])
    assert (shown.exit_code, shown.stdout.splitlines()) == (0, [
        f"Rewrote 5 photos and 16 tiles from 2 parts to 1. {new} is sealed, and equal to {old} row for row.",
        "Next:",
        f"  crackscan verify {new} --equals {old}",
    ])  # fmt: skip
    assert shown.stderr.splitlines()[-1].startswith("16 of 16 tiles")
