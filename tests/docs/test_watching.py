"""`docs/watching.md`: the queries over logs run, after nothing but `pip install crackscan`."""

import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from tests import ROOT
from tests.docs.test_pages import PAGES, name_of, shell_lines
from tests.helpers.small_dataset import write_dataset


def test_the_queries_over_logs_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They find the lines of the log."""
    monkeypatch.chdir(tmp_path)
    write_dataset("scores")
    (tmp_path / "scores" / "logs").mkdir(exist_ok=True)
    lines = [
        {
            "event": "photo failed",
            "archive": "a.zip",
            "image": "x.jpg",
            "kind": "empty_file",
            "message": "It is empty.",
        },
        {"event": "tried again", "archive": "b.zip", "image": "y.jpg"},
    ]
    (tmp_path / "scores" / "logs" / "one.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    queries = [line for line in shell_lines(ROOT / "docs" / "watching.md") if ".jsonl" in line]
    answers = [CliRunner().invoke(main, shlex.split(line)[1:]) for line in queries]
    assert [answer.exit_code for answer in answers] == [0, 0]
    assert "It is empty." in answers[0].output
    assert "b.zip" in answers[1].output


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_needs_the_program_duckdb(page: Path) -> None:
    """The package `duckdb` is a Python module without a program."""
    assert not [line for line in shell_lines(page) if line.startswith("duckdb")]
