"""Options from a file: `--config FILE`, in YAML or JSON, where a key is an option's or an argument's name.

Click's own types check the values, and the command line overrides them.
"""

import difflib
from collections.abc import Mapping
from typing import Any

import click

from pipeline.core.errors import StorageError, UsageError

NAME = "config"


def _laid_under(ctx: click.Context, _option: click.Parameter, file: str | None) -> str | None:
    """Make what the file says the defaults of this call."""
    if file is not None:
        ctx.default_map = checked(ctx, read(file), file)
    return file


config_option = click.option(
    f"--{NAME}",
    metavar="FILE",
    is_eager=True,
    callback=_laid_under,
    expose_value=False,
    help="YAML or JSON file, or URL of one: options by name, arguments as `inputs`, `data` or `out`, lists for what "
    "may be given again. The command line overrides it.",
)


def read(file: str, option: str = f"--{NAME}", example: str = "lines such as `out: scores`") -> Mapping[str, object]:
    """Read a file in YAML or JSON.

    Args:
        file: path or URL.
        option: with which it was given.
        example: what is expected in it.

    Raises:
        UsageError: it cannot be read, or holds no mapping.
    """
    import yaml

    from pipeline import storage

    try:
        found = yaml.safe_load(storage.read_bytes(file))  # JSON is YAML
    except StorageError as error:
        raise UsageError(f"{option}: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        raise UsageError(f"{file}{where} is neither YAML nor JSON; expected {example}.") from error
    if not isinstance(found, dict):
        raise UsageError(f"{file} holds {_called(found)}; expected keys and values, in {example}.")
    return found


def checked(ctx: click.Context, found: Mapping[str, object], file: str) -> dict[str, Any]:
    """Return the values of a file as Click's types make them, by parameter; what is null counts as not given.

    Raises:
        UsageError: a key is no option, or its value not one that the option takes.
    """
    known = keys(ctx.command)
    values = dict[str, Any]()
    for key, value in found.items():
        parameter = known.get(str(key).replace("_", "-"))
        if parameter is None:
            raise UsageError(_unknown(ctx, str(key), file, known))
        if parameter.name in values:
            raise UsageError(f"{file}: `{key}` is given twice, with - and with _; leave one of them out.")
        if value is not None:
            values[str(parameter.name)] = _converted(ctx, parameter, value, f"{file}: `{key}`")
    return values


def keys(command: click.Command) -> dict[str, click.Parameter]:
    """Return what may stand in a file for a command: long options without their dashes, arguments by name."""
    found = dict[str, click.Parameter]()
    for parameter in command.params:
        named = [option.removeprefix("--") for option in parameter.opts if option.startswith("--")]
        for name in named if isinstance(parameter, click.Option) else [str(parameter.name)]:
            found[name.replace("_", "-")] = parameter
    found.pop(NAME, None)
    return found


def _converted(ctx: click.Context, parameter: click.Parameter, value: object, key: str) -> Any:  # noqa: ANN401 - Click's
    """Let the parameter's type check a value, as if it had been typed."""
    takes_many = parameter.multiple or parameter.nargs == -1
    if takes_many:
        typed: Any = [_typed(each, parameter, key) for each in (value if isinstance(value, list) else [value])]
    else:
        typed = _typed(value, parameter, key)
    try:
        return parameter.type_cast_value(ctx, typed)
    except click.BadParameter as error:
        raise UsageError(f"{key}: {error.message.rstrip('.')}.") from error


def _typed(value: object, parameter: click.Parameter, key: str) -> str | bool:
    """Return a value as it would be typed; 224.7 is then no whole number, and `yes` no name.

    Raises:
        UsageError: it could not be typed.
    """
    is_flag = isinstance(parameter, click.Option) and parameter.is_flag
    if is_flag and isinstance(value, bool):
        return value
    if not is_flag and isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    expected = "true or false" if is_flag else "a text in quotes or a number"
    raise UsageError(f"{key} is {_called(value)}; expected {expected}.")


def _called(value: object) -> str:
    """Name a value as YAML's readers would."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return "a number"
    kinds = {dict: "a mapping", list: "a list", type(None): "nothing", str: "a text"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def _unknown(ctx: click.Context, key: str, file: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(key.replace("_", "-"), known, 1)
    hint = f"Did you mean `{near[0]}`?" if near else f"Expected some of: {', '.join(known)}."
    return f"{file}: `{key}` is no option of `{ctx.command_path}`. {hint}"
