"""The command group: help at once, errors in one sentence."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import COMMANDS, main
from pipeline.core.errors import CrackscanError, InterruptedRunError, UsageError
from pipeline.models.engines import EngineName


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    """`--help` says what the command does and shows examples."""
    shown = CliRunner().invoke(main, [command, "--help"])
    assert shown.exit_code == 0
    assert f"crackscan {command}" in shown.output.split("Examples:")[-1]


def test_help_lists_the_commands_in_the_order_of_use() -> None:
    """The list of commands follows the course of the work."""
    shown = CliRunner().invoke(main, ["--help"]).output.split("Commands:")[1]
    assert [line.split()[0] for line in shown.splitlines() if line.startswith("  ") and line[2] != " "] == [*COMMANDS]


def test_help_imports_nothing_slow() -> None:
    """`crackscan --help` loads no large library, so it answers at once."""
    code = (
        "import sys; from click.testing import CliRunner; from pipeline.cli import main;"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0;"
        "slow = {'torch', 'ray', 'timm', 'pyarrow', 'duckdb', 'matplotlib', 'numpy', 'rich', 'yaml'};"
        "print(sorted(slow & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_errors_are_one_sentence_and_their_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of error ends the command with its own code and its message on stderr."""
    for error, code in ((CrackscanError("broke"), 1), (UsageError("wrong"), 2), (InterruptedRunError("later"), 4)):

        def fail(*_arguments: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("pipeline.dataset.sql.query", fail)
        shown = CliRunner().invoke(main, ["query", "x", "SELECT 1"])
        assert (shown.exit_code, shown.stderr) == (code, f"crackscan: {error}\n")


def wrong(folder: Path) -> dict[str, tuple[list[str], str]]:
    """Commands that cannot work, with all that they print."""
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("no photo")
    (folder / "photo.jpg").write_bytes(b"jpg")
    return {
        "missing input": (
            ["score", "nowhere", "--out", "out"],
            "nowhere was not found; expected a folder, a photo or an archive. Check the spelling.",
        ),
        "empty folder": (
            ["score", "empty", "--out", "out"],
            (
                "There is no photo in empty: found nothing. Expected photos (such as jpg, png, tif, heic), or zip or "
                "tar archives of them."
            ),
        ),
        "no photo": (
            ["score", "notes.txt", "--out", "out"],
            (
                f"file://{folder}/notes.txt is no photo and no archive; expected a photo (such as jpg, png, tif, "
                "heic), a zip or a tar."
            ),
        ),
        "no model": (
            ["score", "photo.jpg", "--out", "out", "--model", "empty"],
            f"No model at file://{folder}/empty; expected a folder with card.json, as `crackscan train` writes it.",
        ),
        "two Rays": (
            ["score", "photo.jpg", "--out", "out", "--address", "x", "--cpus", "2"],
            "--cpus sizes a private Ray and --address joins a running one; give one of them.",
        ),
        "no dataset": (
            ["query", "empty", "SELECT 1"],
            f"There is no dataset at file://{folder}/empty; expected a folder that `crackscan score` wrote.",
        ),
    }


def test_wrong_use_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what was found, what was expected, where and what to do; exit code 2, and no OUT."""
    monkeypatch.chdir(tmp_path)
    for words, sentence in wrong(tmp_path).values():
        shown = CliRunner().invoke(main, words)
        assert (shown.exit_code, shown.stderr) == (2, f"crackscan: {sentence}\n")
        assert not (tmp_path / "out").exists()


def test_query_prints_a_table_csv_or_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows in three forms; SQL may come from a file."""
    import pyarrow as pa

    found = pa.table({"image": ["a, b"], "crack_score": pa.array([0.25], pa.float32())})
    queries: list[str] = []

    def query(_out: str, sql: str, _threshold: float | None) -> pa.Table:
        queries.append(sql)
        return found

    monkeypatch.setattr("pipeline.dataset.sql.query", query)
    (tmp_path / "sql").write_text("SELECT 2")
    forms = {form: CliRunner().invoke(main, ["query", "x", f"@{tmp_path}/sql", "--format", form]).output
             for form in ("table", "csv", "json")}  # fmt: skip
    assert queries == ["SELECT 2"] * 3
    assert forms["table"].split() == ["image", "crack_score", "a,", "b", "0.2500"]
    assert forms["csv"] == '"image","crack_score"\n"a, b",0.25\n'
    assert '"crack_score": 0.25' in forms["json"]


@pytest.mark.parametrize("engine", ["torch-fp32", "openvino-int8"])
@pytest.mark.parametrize("model", [(), ("--model", "shipped")])
def test_scores_of_other_settings_are_refused(engine: EngineName, model: tuple[str, ...], tmp_path: Path) -> None:
    """A dataset takes no tiles of another size: exit code 2 and both values, before any read or write.

    Also where its engine would refuse them with other advice.
    """
    from pipeline.dataset.layout import Layout
    from pipeline.dataset.lease import hold
    from pipeline.dataset.writer import open_writer
    from pipeline.images.tiles import TileSpec
    from pipeline.models.engines import EngineChoice
    from pipeline.models.model import SHIPPED_MODEL, load_model
    from pipeline.scoring.job import new_run
    from pipeline.scoring.scorer import ScoreRule

    rule = ScoreRule(TileSpec(224, 0.0), threshold=0.5)
    layout = Layout(f"file://{tmp_path}/scores")
    run = new_run(load_model(SHIPPED_MODEL), rule, None, EngineChoice(engine, "asked for"))
    with hold(layout, run.run_id, lambda _holder: None) as lease:
        open_writer(layout, run, lease)
    words = ["score", str(tmp_path), "--out", str(tmp_path / "scores"), "--tile", "128"]
    refused = CliRunner().invoke(main, [*words, "--overlap", "0", *model])
    assert refused.exit_code == 2
    assert refused.stderr == (
        f"crackscan: {layout.url} holds scores that were made otherwise: tile_px is 224 there and 128 here. Give the "
        "options and the model of its first run, or another --out.\n"
    )


def test_defaults_of_the_command_are_those_of_the_code() -> None:
    """`score --help` must not import the modules that hold the numbers it shows."""
    from pipeline.cli.score import command
    from pipeline.scoring.config import ScoreConfig

    config = ScoreConfig(("in",), "out")
    for parameter in command.params:
        if parameter.name in {"max_pixels", "max_failures", "device", "engine"}:
            assert parameter.default == getattr(config, parameter.name)


def test_a_misspelt_command_finds_its_like() -> None:
    """For commands, and for those below a command."""
    shown = {
        words: CliRunner().invoke(main, words.split()).stderr
        for words in ("scor", "jobs lst", "models shw", "submit scor")
    }
    assert "No such command 'scor'. (Did you mean one of: 'doctor', 'score'?)" in shown["scor"]
    assert "No such command 'lst'. Did you mean 'list'?" in shown["jobs lst"]
    assert "Did you mean 'show'?" in shown["models shw"]
    assert "Did you mean 'score'?" in shown["submit scor"]


def test_a_removed_working_folder_is_named(tmp_path: Path) -> None:
    """Whatever the command; help needs none."""
    gone = tmp_path / "gone"
    gone.mkdir()
    words = shlex.join([sys.executable, "-m", "pipeline.cli"])
    script = f"cd {gone} && rmdir {gone} && {words} status x; echo $?; {words} --version"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert ran.stderr == "crackscan: The folder in which crackscan runs has been removed. Go to another one (cd).\n"
    assert ran.stdout.startswith("2\ncrackscan")
