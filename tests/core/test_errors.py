"""The error tree, its exit codes, and the columns of a data error."""

import pickle
import re

import pytest

from pipeline.core import errors
from pipeline.core.errors import CrackscanError, DataError


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (errors.CrackscanError, 1),
        (errors.UsageError, 2),
        (errors.StorageError, 1),
        (errors.DatasetError, 1),
        (errors.LostPlaceError, 1),
        (errors.ModelError, 1),
        (errors.InterruptedRunError, 4),
    ],
)
def test_exit_codes(error: type[CrackscanError], exit_code: int) -> None:
    """Runs that end well have the codes 0 and 3; no error has one of them."""
    assert error.exit_code == exit_code


def test_the_drawn_tree_is_the_real_tree() -> None:
    """The tree at the top of the module names every class, and no other."""
    drawn = re.findall(r"^    ([ │├└─]*)(\w+Error)  ?", errors.__doc__ or "", re.MULTILINE)
    classes = {name: found for name, found in vars(errors).items() if isinstance(found, type)}

    assert sorted(name for _, name in drawn) == sorted(classes)
    above: list[type] = [Exception]
    for branches, name in drawn:
        depth = len(branches) // 4
        assert classes[name].__base__ is above[depth]
        above[depth + 1 :] = [classes[name]]


def test_a_data_error_never_stops_a_run() -> None:
    """It is outside the tree, so that no handler catches one for the other."""
    assert not issubclass(DataError, CrackscanError)


def test_a_data_error_becomes_columns() -> None:
    """Stage, kind and message are the failure columns of a row; `str` returns the message."""
    error = DataError("decode", "empty_file", "The file is empty.")

    assert error.columns() == {
        "failure_stage": "decode",
        "failure_kind": "empty_file",
        "failure_message": "The file is empty.",
    }
    assert str(error) == "The file is empty."


def test_errors_travel_between_processes() -> None:
    """Ray pickles the errors of workers; a data error survives that unchanged."""
    error = pickle.loads(pickle.dumps(DataError("read", "too_large", "Too large.")))  # noqa: S301 - our own

    assert error.columns() == DataError("read", "too_large", "Too large.").columns()
