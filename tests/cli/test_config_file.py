"""`--config FILE`: the same options as on the command line, from YAML or JSON, checked by the same types."""

import json
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli import compact, evaluate, main, score, train
from pipeline.cli.config_file import convert_options, option_keys
from pipeline.core.errors import UsageError

COMMANDS = {"score": score, "train": train, "evaluate": evaluate, "compact": compact}


def parsed(words: list[str], command: click.Command = score.command) -> dict[str, Any]:
    """The values that Click would call a command with."""
    with command.make_context("crackscan", words) as ctx:
        return dict(ctx.params)


def written(folder: Path, options: object, name: str = "tonight.yaml") -> str:
    """Write a file of options."""
    path = folder / name
    path.write_text(json.dumps(options) if name.endswith("json") else yaml.safe_dump(options))
    return str(path)


def refusal(text: str, command: click.Command = score.command) -> str:
    """The error for a file with this text, without the file's name."""
    ctx = click.Context(command, info_name="crackscan score")
    with pytest.raises(UsageError) as caught:
        convert_options(ctx, yaml.safe_load(text), "FILE")
    return str(caught.value).removeprefix("FILE: ")


@pytest.mark.parametrize("name", ["tonight.yaml", "tonight.json"])
def test_a_file_says_the_same_as_the_command_line(tmp_path: Path, name: str) -> None:
    """Inputs under their argument's name, options with - or _, flags, numbers, texts and nulls."""
    options = {"inputs": ["a.zip", "b c/"], "out": "scores", "max-pixels": 5000, "max_failures": 0.25, "maps": True,
               "tile": 128, "engine": "torch-fp32", "overlap": None, "cracks": False, "mm-per-px": 0.4,
               "scale": "s.csv", "scale_from": "coarse"}  # fmt: skip
    words = ["a.zip", "b c/", "--out", "scores", "--max-pixels", "5000", "--max-failures", "0.25", "--maps", "--tile",
             "128", "--engine", "torch-fp32", "--no-cracks", "--mm-per-px", "0.4", "--scale", "s.csv", "--scale-from",
             "coarse"]  # fmt: skip
    assert parsed(["--config", written(tmp_path, options, name)]) == parsed(words)


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    """Options, lists and arguments on the command line replace those of the file, wherever --config is."""
    file = written(tmp_path, {"data": ["a"], "out": "x", "val": ["v", "w"], "epochs": 3, "seed": 1})
    found = parsed(["b", "--val", "z", "--epochs", "5", "--config", file], train.command)
    assert [found[name] for name in ("data", "out", "val", "epochs", "seed")] == [("b",), "x", ("z",), 5, 1]


def test_required_options_may_come_from_the_file(tmp_path: Path) -> None:
    """An argument or option that is in neither is an error."""
    assert parsed(["--config", written(tmp_path, {"out": "old", "to": "new"})], compact.command)["to"] == "new"
    with pytest.raises(click.MissingParameter):
        parsed(["--config", written(tmp_path, {"out": "old"})], compact.command)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_has_its_key(name: str) -> None:
    """All but --config itself."""
    command: click.Command = COMMANDS[name].command
    assert {each.name for each in option_keys(command).values()} == {each.name for each in command.params} - {"config"}


NUMBERS = st.dictionaries(st.sampled_from(["limit", "tile", "batch-tiles"]), st.integers(16, 10**9))


@given(options=NUMBERS, maps=st.booleans())
def test_spelling_a_key_with_a_dash_or_an_underscore_is_the_same(options: dict[str, int], *, maps: bool) -> None:
    """The command's own types convert the values."""
    ctx = click.Context(score.command)
    content = options | {"maps": maps}
    found = [convert_options(ctx, {key.replace("-", sign): content[key] for key in content}, "") for sign in "-_"]
    assert found[0] == found[1]
    assert sorted(map(int, found[0].values())) == sorted([*options.values(), int(maps)])


@pytest.mark.parametrize(("text", "sentence"), [
    ("tiles: 5", "`tiles` is no option of `crackscan score`. Did you mean `tile`?"),
    ("config: other.yaml", "`config` is no option of `crackscan score`. Expected some of: inputs, out, model, tile,"),
    ("5: 6", "`5` is no option of `crackscan score`. Expected some of:"),
    ("tile: 224.7", "`tile`: '224.7' is not a valid integer range."),
    ("tile: 8", "`tile`: 8 is not in the range x>=16."),
    ("tile: true", "`tile` is true; expected a text in quotes or a number."),
    ("tile: [224]", "`tile` is a list; expected a text in quotes or a number."),
    ("out: 2026-11-25", "`out` is a date; expected a text in quotes or a number."),
    ("maps: 1", "`maps` is a number; expected true or false."),
    ("maps: 'yes'", "`maps` is a text; expected true or false."),
    ("inputs: {a: b}", "`inputs` is a mapping; expected a text in quotes or a number."),
    ("engine: fast", "`engine`: 'fast' is not one of 'auto', 'openvino-int8'"),
    ("{max-pixels: 1, max_pixels: 2}", "`max_pixels` is given twice, with - and with _; leave one of them out."),
])  # fmt: skip
def test_an_error_names_its_key(text: str, sentence: str) -> None:
    """One sentence with the value and what was expected."""
    assert refusal(text).startswith(sentence)


def test_an_unusable_file_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, the cause, and exit code 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.yaml").write_text("out: x\n  tile: [")
    (tmp_path / "list.yaml").write_text("- out")
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "code.yaml").write_text("out: !!python/object/apply:os.getcwd []")
    (tmp_path / "photo.yaml").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "typo.yaml").write_text("otu: x")
    options = "expected keys and values, in lines such as `out: scores`."
    neither = "is neither YAML nor JSON; expected lines such as `out: scores`."
    sentences = {
        "nowhere.yaml": "--config: nowhere.yaml could not be read: it was not found.",
        "broken.yaml": f"broken.yaml, line 2 {neither}",
        "list.yaml": f"list.yaml holds a list; {options}",
        "empty.yaml": f"empty.yaml holds nothing; {options}",
        "code.yaml": f"code.yaml, line 1 {neither}",
        "photo.yaml": f"photo.yaml {neither}",
        "typo.yaml": "typo.yaml: `otu` is no option of `crackscan score`. Did you mean `out`?",
    }
    for file, sentence in sentences.items():
        shown = CliRunner().invoke(main, ["score", "--config", file], prog_name="crackscan")
        assert (shown.exit_code, shown.stderr) == (2, f"crackscan: {sentence}\n")
