"""No advice names an option that does not exist: in messages, help, pages, manifests and the notebook.

An option belongs to the command line that it stands in. A command line in code that begins neither with `crackscan` nor
with one of its commands is another program's. In a sentence, an option belongs to the commands that the sentence names;
if it names none, to the command whose name its module has, or else to any command.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from pipeline.cli import COMMANDS, main
from tests import ROOT

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9]\b")
CODE = re.compile(r"`([^`\n]+)`")
SENTENCE = re.compile(r"(?<=[.;:?!])\s+|, or |\n\s*\n|\n\s*[*#|-] ?|\s\|\s")
"""Ends of sentences, paragraphs, cells and items; alternatives are advice of their own."""
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
OURS = re.compile(r"(?:\bcrackscan |python -m (?:pipeline\.cli|jobs\.))[^\n`]*")

PIP = re.compile(r"^%?pip .*", re.MULTILINE)
"""A whole line for pip, as advice writes it."""

FOREIGN = {"--feature-gates": "KubeRay's operator", "--query-gpu": "nvidia-smi"}
"""Options of other programs that stand alone, and of which."""


class Text(NamedTuple):
    """Words that people read."""

    place: str
    text: str
    command: str | None = None
    """The command in whose file they stand."""


def commands() -> dict[str, click.Command]:
    """Every command by its words, such as `models compare`; the entry points of jobs have the options of theirs."""
    context, found = click.Context(main), dict[str, click.Command]()
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {below}": each for below, each in command.commands.items()}
    return found


ALL = commands()
GROUPS = {name for name, command in ALL.items() if isinstance(command, click.Group)}


def options_of(name: str) -> set[str]:
    """The options of a command, or of the commands of a group."""
    names = [each for each in ALL if each == name or (name in GROUPS and each.startswith(f"{name} "))]
    parameters = [parameter for each in names for parameter in ALL[each].params]
    options = {option for each in parameters for option in (*each.opts, *each.secondary_opts)}
    return options | {"--help", "--version"}


def named_in(text: str) -> list[str]:
    """The commands that a text names in code, or behind `crackscan`."""
    words = [*CODE.findall(text), *re.findall(r"\bcrackscan ([a-z]+(?: [a-z]+)?)", text)]
    words += re.findall(r"python -m jobs\.([a-z]+)", text)
    found = []
    for word in words:
        first = word.removeprefix("crackscan ").split(" -")[0].split()
        for name in (" ".join(first[:2]), *first[:1]):
            if name in ALL:
                found.append(name)
                break
    return found


def is_ours(code: str) -> bool:
    """Whether code is a command line of ours, or has no program at all."""
    first = code.split(maxsplit=1)[0] if code.split() else ""
    return first in {"crackscan", *COMMANDS} or first.startswith("--") or OURS.match(code) is not None


def wrong_options(text: Text) -> list[str]:
    """The options of a text that none of the commands has to which they belong."""
    wrong = []
    for sentence in SENTENCE.split(text.text):
        own = CODE.sub(lambda found: f"{found[1]} " if is_ours(found[1]) else "", sentence)
        own = PIP.sub("", own)
        is_part = own.lstrip().startswith("--")  # of a command line that is put together
        names = named_in(sentence) or ([text.command] if text.command and not is_part else list(ALL))
        known = {option for name in names for option in options_of(name)}
        wrong += [
            f"{text.place}: {option} in {sentence.strip()!r}"
            for option in OPTION.findall(own)
            if option not in {*known, *FOREIGN}
        ]
    return wrong


def strings_of(path: Path) -> Iterator[tuple[int, str]]:
    """The texts of a module, with `…` for what is filled in; parts of a sentence that stand together are one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)} - {
        id(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.lineno, node.value


def sources() -> list[Text]:
    """The texts of all modules."""
    found = []
    for path in sorted([*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")]):
        name = path.stem.replace("_", " ")
        command = name if name in ALL else None
        found += [Text(f"{path.relative_to(ROOT)}:{line}", text, command) for line, text in strings_of(path)]
    return found


def own_lines(text: str, suffix: str) -> str:
    """What a file says of our commands: a page its prose, and the command lines of its blocks; others these alone."""

    def keep(block: str) -> str:
        return "\n\n".join(OURS.findall(block.replace("\\\n", "")))

    return SHELL.sub(lambda found: keep(found[1]), text) if suffix == ".md" else keep(text)


def pages() -> list[Text]:
    """The pages, manifests and the notebook, but those of the past."""
    places = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").rglob("*")]
    found = [
        Text(str(path.relative_to(ROOT)), own_lines(path.read_text(encoding="utf-8"), path.suffix))
        for path in sorted(places)
        if path.is_file() and path.name not in {"CHANGELOG.md", "experiments.md"}
    ]
    for path in (ROOT / "docs" / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        found += [Text(path.name, "".join(cell["source"])) for cell in cells]
    return found


@pytest.mark.parametrize("texts", [sources, pages], ids=["messages and help", "pages"])
def test_every_option_exists(texts: object) -> None:
    """For the command that the sentence or the command line names."""
    assert callable(texts)
    assert [wrong for text in texts() for wrong in wrong_options(text)] == []


@pytest.mark.parametrize(
    "advice",
    [
        "Give --overwrite-all.",
        "Run `crackscan overlay OUT --resume` again.",
        "`retry --tile` changes nothing.",
        "Give `verify` another --threshold.",
        "crackscan models show x --seed 1",
    ],
)
def test_a_wrong_option_is_found(advice: str) -> None:
    """One that no command has, and one of another command."""
    assert len(wrong_options(Text("here", advice))) == 1


@pytest.mark.parametrize(
    "advice",
    ["Start it with `ray start --head`.", "`pip install --upgrade crackscan`", "Give --out.", "`score --tile 224`"],
)
def test_a_right_one_is_not(advice: str) -> None:
    """Nor one of another program."""
    assert wrong_options(Text("here", advice)) == []
