"""The output of `crackscan verify`: the list, and exit codes."""

from pathlib import Path

from click.testing import CliRunner

from pipeline import storage
from pipeline.cli import main
from pipeline.cli.verify import command
from tests.helpers.small_dataset import COMMITS, ok, write_dataset, write_plan


def test_a_sound_dataset(tmp_path: Path) -> None:
    """The list has every invariant as ok; exit code 0."""
    layout = write_dataset(str(tmp_path / "out"))
    shown = CliRunner().invoke(command, [layout.url, "--equals", layout.url])
    *lines, last = shown.stdout.splitlines()
    assert shown.exit_code == 0
    assert {line.split()[0] for line in lines} == {"ok"}
    assert lines[-1] == "ok      Both hold the same photos, tiles and scores."
    assert last == "Every invariant holds."


def test_a_broken_dataset(tmp_path: Path) -> None:
    """The broken invariant has count and names; exit code 1."""
    layout = write_dataset(str(tmp_path / "out"))
    storage.remove(layout.tiles(0, "one"))
    shown = CliRunner().invoke(command, [layout.url])
    assert shown.exit_code == 1
    assert "BROKEN  Every photo has as many tiles as its row says. 1: a.jpg" in shown.stdout.splitlines()
    assert shown.stderr.splitlines()[-1] == "1 invariant is broken or could not be checked."


def test_a_damaged_dataset(tmp_path: Path) -> None:
    """Invariants of the content of a damaged file are not checked, and the list says so."""
    layout = write_dataset(str(tmp_path / "out"))
    storage.write_whole(layout.images(1), b"nonsense")
    shown = CliRunner().invoke(command, [layout.url])
    assert shown.exit_code == 1
    assert "BROKEN  Every file is whole. 1: part-000001.parquet (" in shown.stdout
    assert "-       No photo has two rows. Not checked: files are broken." in shown.stdout


def test_an_unfinished_dataset(tmp_path: Path) -> None:
    """Open invariants are not broken; exit code 0."""
    layout = write_dataset(str(tmp_path / "out"), finish=False)
    write_plan(layout, [ok("more.jpg"), *(row for rows in COMMITS for row in rows)])
    shown = CliRunner().invoke(command, [layout.url])
    assert shown.exit_code == 0
    assert "open    Every planned photo has its row. 1: more.jpg" in shown.stdout
    assert shown.stdout.splitlines()[-1] == "Nothing is broken; the dataset is not finished."


def test_another_that_is_none_is_told_at_once(tmp_path: Path) -> None:
    """Not after all files of a large dataset were checked."""
    layout = write_dataset(str(tmp_path / "out"))
    shown = CliRunner().invoke(main, ["verify", layout.url, "--equals", str(tmp_path / "nowhere")])
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr == (
        f"crackscan: There is no dataset at file://{tmp_path}/nowhere; expected a folder with run.json.\n"
    )


def test_two_that_differ(tmp_path: Path) -> None:
    """The output lists the differences; exit code 1."""
    one, two = write_dataset(str(tmp_path / "one")), write_dataset(str(tmp_path / "two"), COMMITS[:1])
    shown = CliRunner().invoke(command, [one.url, "--equals", two.url])
    assert shown.exit_code == 1
    assert shown.stdout.splitlines()[-2:] == [
        "BROKEN  Both hold the same photos, tiles and scores.",
        f"        Photos only in {one.url}: 3 (bb.jpg, ccc.jpg, nope.jpg)",
    ]
