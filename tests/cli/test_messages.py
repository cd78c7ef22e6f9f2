"""What commands print: names of photos steer no terminal, and all goes through `cli.messages`."""

import ast
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from tests import ROOT
from tests.core.test_control_characters import HOSTILE, steers
from tests.helpers.scored_photos import photo, score_archives, zip_photos

DIRECT = {
    "messages.py": "the one place",
    "doctor.py": "a coloured word of ours",
    "jobs.py": "the log of a program, which escaped its names itself",
    "submit.py": "the same log, as it grows",
    "progress.py": "the console of a bar",
    "models.py": "card.json as it is, which has no control characters",
}
"""Files of `pipeline/cli` that call Click's own printing, and why."""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of a photo with a hostile name, a broken one of such a name, in a folder of such a name."""
    folder = tmp_path_factory.mktemp("hostile")
    photos = {HOSTILE: photo(200), f"b{HOSTILE}": b"no photo", f"inner/{HOSTILE}": photo(100)}
    score_archives(folder / "out", zip_photos(folder / "x\x1b[31m.zip", photos))
    return folder / "out"


REFUSED = {"query, refused", "query, no file", "overlay, failed", "overlay, none"}
"""Those of `commands` that end with 2, beside all that begin with `no` or `too`."""


def run(words: list[str], code: int = 0) -> str:
    """All that a command prints; it has no character that steers a terminal."""
    shown = CliRunner().invoke(main, words)
    assert shown.exit_code == code, words
    assert not any(map(steers, shown.output.replace("\n", ""))), words
    return shown.output


def commands(out: Path) -> dict[str, list[str]]:
    """Commands that print what stands in a dataset, or the name that they are given."""
    to, name = str(out.parent), HOSTILE
    return {
        "status": ["status", str(out)],
        "verify": ["verify", str(out), "--equals", str(out)],
        "query": ["query", str(out), "SELECT image, archive FROM images"],
        "query, a column": ["query", str(out), f'SELECT 1 AS "{name}"'],
        "query, refused": ["query", str(out), f'SELECT "{name}" FROM images'],
        "query, json": ["query", str(out), "SELECT image FROM images", "--format", "json"],
        "query, no file": ["query", str(out), f"@{name}"],
        "report": ["report", str(out), "--out", f"{to}/{name}.html"],
        "export": ["export", str(out), "--to", "csv", "--out", f"{to}/{name}.csv"],
        "overlay": ["overlay", str(out), name, "--out", f"{to}/{name}"],
        "overlay, failed": ["overlay", str(out), f"b{name}", "--out", f"{to}/{name}"],
        "overlay, none": ["overlay", str(out), f"x{name}", "--out", f"{to}/{name}"],
        "compare": ["compare", str(out), str(out), "--out", f"{to}/compared {name}"],
        "review": ["review", str(out), "--out", f"{to}/review {name}"],
        "compact": ["compact", str(out), "--to", f"{to}/compact {name}"],
        "no dataset": ["status", name],
        "too much": ["report", str(out), name],
        "no command": [name],
        "no input": ["score", f"y{name}", "--out", f"{to}/new"],
        "no model": ["models", "show", name],
        "no option": ["status", f"--{name}"],
        "no choice": ["export", str(out), "--to", name, "--out", "x"],
        "no config": ["score", "--config", name, "--out", "x"],
    }


def test_no_command_prints_control_characters(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a photo, an archive, a folder or a column is called; a line end in a name is no line end."""
    monkeypatch.chdir(out.parent)
    for what, words in commands(out).items():
        is_refused = what in REFUSED or what.startswith(("no ", "too "))
        run(words, 2 if is_refused else 0)
    assert r"\x1b[31mred\x1b]0;title\x07\n" in run(commands(out)["query"])
    shown = run(commands(out)["query, json"])
    assert {row["image"] for row in json.loads(shown)} == {HOSTILE, f"b{HOSTILE}", f"inner/{HOSTILE}"}


@pytest.mark.ray
def test_scoring_prints_no_control_characters(out: Path, tmp_path: Path) -> None:
    """The list of the worst photos and the table of `plan`; one photo failed."""
    zipped = str(next(out.parent.glob("*.zip")))
    assert r"\x1b[31mred" in run(["score", zipped, "--out", str(tmp_path / "scores")], 3)
    assert r"x\x1b[31m.zip" in run(["plan", zipped])


def test_a_page_shows_control_characters_as_escapes(out: Path) -> None:
    """In the report and the comparison; the link to a photo stays as it is."""
    for words, page in ((["report"], "page.html"), (["compare", str(out)], "made/comparison.html")):
        place = out.parent / page
        run([words[0], str(out), *words[1:], "--out", str(place if words[0] == "report" else place.parent)])
        text = place.read_text(encoding="utf-8").replace(r"\\", "\\")  # in the rows as JSON
        assert not any(map(steers, text.replace("\n", "")))
        assert r"\x1b[31mred\x1b]0;title\x07\n\u202egpj.exe" in text


def test_commands_print_through_one_module() -> None:
    """No file of the command line calls `print`, Click or rich to print, but those with a reason; `echo` gets lines."""
    for path in sorted((ROOT / "pipeline" / "cli").glob("*.py")):
        for call in [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]:
            name = ast.unparse(call.func)
            if path.name not in DIRECT:
                assert name not in {"click.echo", "click.secho", "print", "Console"}, f"{path.name}:{call.lineno}"
            if name == "echo":
                texts = [node.value for node in ast.walk(call) if isinstance(node, ast.Constant)]
                assert not any("\n" in text for text in texts if isinstance(text, str)), f"{path.name}:{call.lineno}"
