"""Options from a file: `--config FILE`, in YAML or JSON, where a key is the name of an option or argument.

The file's values become Click's defaults of the call, so that the types of the options check them, and the command line
overrides them.
"""

import difflib
from collections.abc import Mapping
from typing import Any

import click

from pipeline.core.errors import StorageError, UsageError
from pipeline.core.secrets import refuse_credentials

NAME = "config"


def _set_defaults(ctx: click.Context, _option: click.Parameter, file: str | None) -> str | None:
    if file is not None:
        ctx.default_map = convert_options(ctx, read_mapping(file), file)
    return file


config_option = click.option(
    f"--{NAME}",
    metavar="FILE",
    is_eager=True,
    callback=_set_defaults,
    expose_value=False,
    help="YAML or JSON file, or URL of one: options by name, arguments as `inputs`, `data` or `out`, lists for what "
    "may be given again. The command line overrides it.",
)


def read_mapping(
    file: str, option: str = f"--{NAME}", example: str = "lines such as `out: scores`"
) -> Mapping[str, object]:
    """Read a file in YAML or JSON.

    Args:
        file: path or URL.
        option: the option that names the file.
        example: what the file should hold, for messages.

    Raises:
        UsageError: the file cannot be read, or holds no mapping.
    """
    import yaml

    from pipeline import storage

    try:
        content = yaml.safe_load(storage.read_bytes(file))  # JSON is YAML
    except StorageError as error:
        raise UsageError(f"{option}: {error}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2026-13-45
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        raise UsageError(f"{file}{where} is neither YAML nor JSON; expected {example}.") from error
    if not isinstance(content, dict):
        raise UsageError(f"{file} holds {_describe(content)}; expected keys and values, in {example}.")
    return content


def convert_options(ctx: click.Context, content: Mapping[str, object], file: str) -> dict[str, Any]:
    """Let Click convert the values of a file; return them by parameter, without those that are null.

    Raises:
        UsageError: a key is no option, or an option does not take its value.
    """
    known = option_keys(ctx.command)
    values = dict[str, Any]()
    for key, value in content.items():
        parameter = known.get(str(key).replace("_", "-"))
        if parameter is None:
            raise UsageError(_unknown_key(ctx, str(key), file, known))
        if parameter.name in values:
            raise UsageError(f"{file}: `{key}` is given twice, with - and with _; leave one of them out.")
        if value is not None:
            values[str(parameter.name)] = _convert(ctx, parameter, value, f"{file}: `{key}`")
    return values


def option_keys(command: click.Command) -> dict[str, click.Parameter]:
    """Return the keys of a command's file: long options without their dashes, arguments by name."""
    keys = dict[str, click.Parameter]()
    for parameter in command.params:
        is_option = isinstance(parameter, click.Option)
        names = [option[2:] for option in parameter.opts if option.startswith("--")] if is_option else [parameter.name]
        keys |= {str(name).replace("_", "-"): parameter for name in names}
    keys.pop(NAME, None)
    return keys


def _convert(ctx: click.Context, parameter: click.Parameter, value: object, key: str) -> Any:  # noqa: ANN401 - Click's
    """Let Click convert a value as text from the command line; so 224.7 is no whole number, and `yes` no name."""
    is_flag = isinstance(parameter, click.Option) and parameter.is_flag
    takes_many = parameter.multiple or parameter.nargs == -1
    values = value if takes_many and isinstance(value, list) else [value]
    for each in values:
        if isinstance(each, bool) != is_flag or not isinstance(each, (str, int, float)):
            expected = "true or false" if is_flag else "a text in quotes or a number"
            raise UsageError(f"{key} is {_describe(each)}; expected {expected}.")
    refuse_credentials((key, str(each)) for each in values)
    try:
        return parameter.type_cast_value(ctx, [*map(str, values)] if takes_many else str(value))
    except click.BadParameter as error:
        raise UsageError(f"{key}: {error.message.rstrip('.')}.") from error


def _describe(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    number = "a number"
    names = {dict: "a mapping", list: "a list", type(None): "nothing", str: "a text", int: number, float: number}
    return names.get(type(value), f"a {type(value).__name__}")


def _unknown_key(ctx: click.Context, key: str, file: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(key.replace("_", "-"), known, 1)
    hint = f"Did you mean `{near[0]}`?" if near else f"Expected some of: {', '.join(known)}."
    return f"{file}: `{key}` is no option of `{ctx.command_path}`. {hint}"
