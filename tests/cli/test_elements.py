"""`crackscan elements`: what it says, and what it refuses."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import main
from pipeline.dataset.sql import query
from tests.helpers.small_dataset import write_dataset


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the dataset `scores` of five photos."""
    monkeypatch.chdir(tmp_path)
    write_dataset("scores")
    return tmp_path


def run(*words: str) -> Result:
    """The output of the command."""
    return CliRunner(env={"COLUMNS": "300"}).invoke(main, ["elements", "scores", *words])


def test_photos_are_filed_and_the_others_named(folder: Path) -> None:
    """Rules that count for none, too; and back."""
    (folder / "rules.csv").write_text("image,structure,span\na.jpg,Bridge 7,1\nx*,Bridge 7,2\nn*,Bridge 8,\n")
    shown = run("rules.csv")
    assert (shown.exit_code, shown.stdout) == (0, "3 photos of scores in 2 elements.\n")
    assert shown.stderr.splitlines() == [
        "2 photos fit no rule: bb.jpg, ccc.jpg.",
        "1 rule counts for no photo: row 2 (Bridge 7 / 2). No photo fits, or an earlier row has it.",
    ]
    assert len(query("scores", "FROM elements")) == 3
    assert run("--remove").stdout == "Photos of scores have no elements any more.\n"
    assert run("--remove").stdout == "Photos of scores have no elements; none had been given.\n"


def test_photos_without_a_position_are_told(folder: Path) -> None:
    """A polygon cannot have them."""
    square = '"POLYGON ((0 0, 1 0, 1 1, 0 0))"'
    (folder / "rules.csv").write_text(f"image,polygon,span\na.jpg,,1\n,{square},2\n")
    assert run("rules.csv").stderr.splitlines() == [
        "4 photos fit no rule: bb.jpg, no.jpg, nope.jpg, ccc.jpg. 4 of them have no position, so no polygon has them.",
        "1 rule counts for no photo: row 2 (2). No photo fits, or an earlier row has it.",
    ]


@pytest.mark.parametrize("words", [(), ("rules.csv", "--remove")])
def test_one_of_rules_and_removal_is_given(words: tuple[str, ...]) -> None:
    """Exit code 2, and a sentence."""
    shown = run(*words)
    assert shown.exit_code == 2
    assert shown.stderr.splitlines()[-1] == "Error: Give one of RULES and --remove."


def test_a_wrong_table_is_one_sentence(folder: Path) -> None:
    """Nothing is written."""
    (folder / "rules.csv").write_text("image,score\na,1\n")
    shown = run("rules.csv")
    assert shown.exit_code == 2
    assert shown.stderr == (
        f"crackscan: file://{folder}/rules.csv has a column score, and findings have a column score of their own. "
        "Rename it, such as office_score.\n"
    )
    assert not (folder / "scores" / "elements.parquet").exists()
