"""The output of `crackscan doctor`: the list, JSON, and exit codes."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from pipeline.cli.doctor import command
from pipeline.cluster.checks import Finding

OK = Finding("Python", "ok", "3.11.7")
WARNING = Finding("GPU", "warning", "L4; the torch installed is built for CPUs only", "Install the CUDA build.")
FAILED = Finding("storage", "failed", "s3://b: there is no such bucket", "Look at AWS_PROFILE.")


def fake_checks(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    """Let the checks find these."""

    def run_checks(_places: tuple[str, ...], *, with_ray: bool) -> Iterator[Finding]:
        assert not with_ray
        yield from findings

    monkeypatch.setattr("pipeline.scoring.doctor.run_checks", run_checks)


def test_a_sound_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each check; exit code 0."""
    fake_checks(monkeypatch, OK)
    shown = CliRunner().invoke(command, [])
    assert (shown.exit_code, shown.output) == (0, "ok      Python            3.11.7\nAll is well.\n")


def test_a_warning_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The advice is below the finding; exit code 0."""
    fake_checks(monkeypatch, WARNING)
    shown = CliRunner().invoke(command, [])
    assert (shown.exit_code, shown.stdout.splitlines()) == (0, [
        "warning GPU               L4; the torch installed is built for CPUs only",
        "                          → Install the CUDA build.",
        "Nothing failed; warnings: 1.",
    ])  # fmt: skip


def test_a_failure_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stderr has the number of failures."""
    fake_checks(monkeypatch, OK, WARNING, FAILED)
    shown = CliRunner().invoke(command, [])
    assert (shown.exit_code, shown.stderr) == (1, "1 of 3 checks failed.\n")


def test_json_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same facts and the same exit code."""
    fake_checks(monkeypatch, OK, FAILED)
    shown = CliRunner().invoke(command, ["--json"])
    assert shown.exit_code == 1
    assert json.loads(shown.stdout) == [OK._asdict(), FAILED._asdict()]


def test_the_quick_checks_load_neither_torch_nor_ray() -> None:
    """Each of those takes seconds to import."""
    code = (
        "import sys; from pipeline.scoring.doctor import run_checks; list(run_checks(['.']));"
        "print(sorted({'torch', 'ray', 'timm', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
