"""README and pages say what is there: packages, commands, columns, views, files."""

import re
import shlex
from pathlib import Path

import click
import pyarrow as pa
import pytest

from pipeline.cli import COMMANDS, main
from pipeline.core import table_schemas
from pipeline.dataset.sql import VIEWS
from tests import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = ROOT / "docs"
PAGES = [*ROOT.glob("*.md"), *DOCS.glob("*.md"), *DOCS.glob("decisions/*.md"), ROOT / "deploy" / "README.md"]
PACKAGES = sorted(path.parent.name for path in ROOT.glob("pipeline/*/__init__.py"))


def name_of(page: Path) -> str:
    """The page below the project's root."""
    return str(page.relative_to(ROOT))


def text_of(name: str) -> str:
    """A page of docs/."""
    return (DOCS / name).read_text(encoding="utf-8")


def command_of(words: list[str]) -> click.Command:
    """Find the command that words begin with, through its groups."""
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words.pop(0))
        assert found is not None
        command = found
    return command


def options_of(command: click.Command) -> set[str]:
    """Every way to spell an option of a command."""
    return {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help", "-h"}


def test_the_readme_is_short() -> None:
    """Who opens it reads it to its end."""
    assert len(README.encode()) <= 12_000


def test_the_readme_names_every_package() -> None:
    """The table has a row for each, and the two files to open first are there."""
    assert sorted(re.findall(r"^\| `pipeline/(\w+)/` \| [^|]{10,} \|$", README, re.MULTILINE)) == PACKAGES
    for page in ("pipeline/scoring/flow.py", "pipeline/training/flow.py"):
        assert page in README
        assert (ROOT / page).is_file()


def test_the_page_on_clusters_names_the_entry_points() -> None:
    """The four jobs."""
    section = text_of("cluster.md").split("## For schedulers\n")[1].split("\n## ")[0]
    real = {path.stem for path in (ROOT / "jobs").glob("*.py")} - {"__init__", "entry_point"}
    assert set(re.findall(r"jobs\.(\w+)", section)) == real


@pytest.mark.parametrize(("table", "columns"), [("images", table_schemas.IMAGES), ("tiles", table_schemas.TILES)])
def test_the_columns_are_the_real_columns(table: str, columns: pa.Schema) -> None:
    """The tables of the dataset's page name every column, in groups of one type."""
    text = text_of("dataset.md").split(f"\n`{table}`:\n")[1].split("\n## ")[0].split("\n\n`")[0]
    found: dict[str, str] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 3 and cells[1].startswith("`"):
            found |= dict.fromkeys(re.findall(r"`(\w+)`", cells[1]), cells[2])
    assert found.keys() == set(columns.names)
    for name, kind in found.items():
        assert kind in {"", str(columns.field(name).type)}, name


def test_the_views_are_the_real_views() -> None:
    """The dataset's page has a row for each, and none that is not there."""
    section = text_of("dataset.md").split("## Views\n")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == {*VIEWS}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_stands_in_the_readme(command: str) -> None:
    """The table of commands is whole."""
    assert f"| `crackscan {command}` |" in README


def shell_lines(page: Path) -> list[str]:
    """What a page shows to be typed, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line.partition("  #")[0] for block in blocks for line in block.replace("\\\n", "").splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_understood(page: Path) -> None:
    """Commands and options that a page shows exist."""
    for line in shell_lines(page):
        if not line.startswith("crackscan "):
            continue
        words = shlex.split(line)[1:]
        known = options_of(command_of(words))
        for option in [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]:
            assert option in known, line


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """Every file that a page names in brackets is there, with the heading that it names."""
    for place in re.findall(r"\]\(((?!http|mailto)[^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = place.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), place
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
            assert anchor in slugs, place


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in {"CHANGELOG.md", "experiments.md"}], ids=name_of
)
def test_files_in_backticks_are_there(page: Path) -> None:
    """Paths of the project that a page names: pages of the past, changes and experiments, may name what is gone."""
    for path in re.findall(r"`((?:pipeline|jobs|tests|docs|deploy)/[\w./-]+)`", page.read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), path


def test_the_index_names_every_page() -> None:
    """None is hidden."""
    linked = set(re.findall(r"\]\(([\w.-]+\.md)\)", text_of("README.md")))
    assert {path.name for path in DOCS.glob("*.md")} - {"README.md"} <= linked


def test_the_page_on_architecture_says_what_each_package_imports() -> None:
    """Its table is the real one."""
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", text_of("architecture.md"), re.MULTILINE))
    assert rows.keys() == {*PACKAGES, "jobs"}
    for package in set(PACKAGES) - {"cli"}:
        texts = [path.read_text(encoding="utf-8") for path in (ROOT / "pipeline" / package).glob("*.py")]
        used = {name for text in texts for name in re.findall(r"^\s*from pipeline\.(\w+)", text, re.MULTILINE)}
        lists = [names for text in texts for names in re.findall(r"^\s*from pipeline import (.+)$", text, re.MULTILINE)]
        used |= {name for names in lists for name in re.findall(r"\w+", names)}
        told = set() if rows[package] == "nothing" else {*rows[package].split(", ")}
        assert used - {package, "__version__"} == told, package


def test_decisions_and_experiments_are_written_down() -> None:
    """Each decision is numbered once, in four digits, and has a heading; experiments are dated."""
    decisions = sorted(DOCS.glob("decisions/*.md"))
    assert [path.name[:5] for path in decisions] == [f"{number:04d}-" for number in range(1, len(decisions) + 1)]
    assert all(path.read_text(encoding="utf-8").startswith("# ") for path in decisions)
    assert re.search(r"^## \d{4}-\d\d-\d\d", text_of("experiments.md"), re.MULTILINE)


def test_pictures_of_the_readme_are_there_and_small() -> None:
    """Each has words for those who cannot see it, and less than 200 kB; none lies about unused."""
    shown = re.findall(r"!\[([^\]]{30,})\]\((docs/pictures/\w+\.png)\)", README)
    assert len(shown) == README.count("![")
    drawn = {name_of(path): path.stat().st_size for path in DOCS.glob("pictures/*.png")}
    assert {path for _, path in shown} == drawn.keys()
    assert all(0 < size_bytes < 200_000 for size_bytes in drawn.values())
