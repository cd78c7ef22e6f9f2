"""The output of `crackscan compact`."""

from pathlib import Path

from click.testing import CliRunner

from pipeline.cli.compact import command
from tests.helpers.small_dataset import write_dataset


def test_the_output_has_the_counts_and_the_next_command(tmp_path: Path) -> None:
    """Counts before and after, that both are equal, and how to prove it again."""
    old, new = write_dataset(str(tmp_path / "old")).url, f"file://{tmp_path}/new"
    shown = CliRunner().invoke(command, [old, "--to", new])
    assert (shown.exit_code, shown.stdout.splitlines()) == (0, [
        f"Rewrote 5 photos and 16 tiles from 2 parts to 1. {new} is sealed, and equal to {old} row for row.",
        "Next:",
        f"  crackscan verify {new} --equals {old}",
    ])  # fmt: skip
    assert shown.stderr.splitlines()[-1].startswith("16 of 16 tiles")
