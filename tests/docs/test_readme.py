"""The README says what is there: the tree, the columns, the commands."""

import re

import pyarrow as pa
import pytest
from click.testing import CliRunner

from pipeline.cli import COMMANDS, main
from pipeline.core import schema
from tests import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text below a heading."""
    return README.split(f"## {title}\n")[1].split("\n## ")[0]


def test_the_tree_is_the_real_tree() -> None:
    """Every module stands in the README's tree once, and nothing that is not there."""
    named = re.findall(r"^  (\w+(?:\.py|/)) ", section("The tree"), re.MULTILINE)
    folder = ROOT / "pipeline"
    real = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
    real += [f"{path.name}/" for path in folder.iterdir() if path.is_dir() and not path.name.startswith("__")]
    assert sorted(named) == sorted(real)


def test_the_tree_names_the_entry_points() -> None:
    """The four jobs stand in one line."""
    line = next(line for line in section("The tree").splitlines() if line.startswith("jobs/"))
    real = {path.stem for path in (ROOT / "jobs").glob("*.py")} - {"__init__"}
    assert set(re.findall(r"jobs\.(\w+)", line)) == real


@pytest.mark.parametrize(("table", "columns"), [("images", schema.IMAGES), ("tiles", schema.TILES)])
def test_the_columns_are_the_real_columns(table: str, columns: pa.Schema) -> None:
    """The README's tables name every column, in groups of one type."""
    text = section("The dataset").split(f"`{table}`:\n")[1].split("\n\n`")[0]
    found: dict[str, str] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 3 and cells[1].startswith("`"):
            found |= dict.fromkeys(re.findall(r"`(\w+)`", cells[1]), cells[2])
    assert found.keys() == set(columns.names)
    for name, kind in found.items():
        assert kind in {"", str(columns.field(name).type)}, name


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_stands_in_the_readme(command: str) -> None:
    """The table of commands is whole."""
    assert f"| `crackscan {command}` |" in README


def test_commands_of_the_readme_are_understood() -> None:
    """Options that the README shows exist."""
    for line in re.findall(r"^crackscan (.+?)(?:\s{2,}#.*)?$", README, re.MULTILINE):
        command, *words = line.split()
        known = CliRunner().invoke(main, [command, "--help"]).output
        for option in [word for word in words if word.startswith("--")]:
            assert option in known, line


def test_decisions_and_experiments_are_written_down() -> None:
    """Each decision is numbered once and has a heading; experiments are dated."""
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = sorted(int(path.name.split("-")[0]) for path in decisions)
    assert numbers == list(range(1, len(decisions) + 1))
    assert all(path.read_text(encoding="utf-8").startswith("# ") for path in decisions)
    assert re.search(
        r"^## \d{4}-\d\d-\d\d", (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8"), re.MULTILINE
    )


def test_pictures_of_the_readme_are_there_and_small() -> None:
    """Each has words for those who cannot see it, and less than 200 kB; none lies about unused."""
    shown = re.findall(r"!\[([^\]]{30,})\]\((docs/pictures/\w+\.png)\)", README)
    assert len(shown) == README.count("![")
    drawn = {str(path.relative_to(ROOT)): path.stat().st_size for path in (ROOT / "docs" / "pictures").glob("*.png")}
    assert {path for _, path in shown} == drawn.keys()
    assert all(0 < size_bytes < 200_000 for size_bytes in drawn.values())


def test_links_of_the_readme_lead_somewhere() -> None:
    """Every file that it names in brackets is there."""
    for place in re.findall(r"\]\(((?!http)[^)#]+)\)", README):
        assert (ROOT / place).exists(), place
