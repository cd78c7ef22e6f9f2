"""The page for who is in trouble names every kind of failure, exit code and cause that the code can tell."""

import ast
import importlib
import re
from typing import get_args

import pytest

from pipeline.core import errors
from pipeline.core.errors import CrackscanError, Kind
from pipeline.storage import errors as storage_errors
from pipeline.storage import fsspec_backend, local
from tests import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")


def exit_codes() -> set[int]:
    """Every code that errors carry and that commands exit with, read from the code."""
    codes = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type)
             and issubclass(kind, CrackscanError)}  # fmt: skip
    for path in (ROOT / "pipeline" / "cli").glob("*.py"):
        module = importlib.import_module(f"pipeline.cli.{path.stem}") if path.stem != "__main__" else None
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("exit"):
                names = {node.id for word in call.args for node in ast.walk(word) if isinstance(node, ast.Name)}
                found = {getattr(module, name, None) for name in names}
                codes |= {code for code in found if isinstance(code, int)}
    return codes | {0}


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_of_failure_has_cause_and_cure(kind: str) -> None:
    """A row each, with both cells filled."""
    assert re.search(rf"^\| `{kind}` \| [^|]{{10,}} \| [^|]{{10,}} \|$", PAGE, re.MULTILINE)


def test_no_kind_of_failure_is_made_up() -> None:
    """What the page names, the code can write."""
    section = PAGE.split("## Photos that failed")[1].split("\n## ")[0]
    heading, *named = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert heading == "failure_kind"
    assert named == list(get_args(Kind))


def test_every_exit_code_is_explained() -> None:
    """The table has those that the code exits with, and no others."""
    codes = re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)
    assert sorted(map(int, codes)) == sorted(exit_codes()) == [0, 1, 2, 3, 4]


def test_every_cause_of_a_storage_error_is_explained() -> None:
    """In the very words of the message."""
    told = [*storage_errors.ERRNO_WORDS.values(), *storage_errors.SERVER_WORDS.values(),
            *storage_errors.CLIENT_WORDS.values()]  # fmt: skip
    told += [sentence.partition(";")[0] for sentence in (local.NO_HARD_LINKS, fsspec_backend.NO_SAFE_CREATE)]
    for cause in told:
        assert re.search(rf"^\| {re.escape(cause)} \| [^|]+ \|$", PAGE, re.MULTILINE), cause


def test_every_error_that_is_named_is_one() -> None:
    """A reader may look for them in `errors`."""
    assert {name for name in re.findall(r"`(\w+Error)`", PAGE) if not hasattr(errors, name)} == set()


def test_every_table_is_whole() -> None:
    """Rows have as many cells as their heading."""
    for table in re.findall(r"(?:^\|.*\|\n)+", PAGE, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table
