"""A run refuses settings that mean nothing."""

from typing import Any

import pytest

from pipeline.core.errors import UsageError
from pipeline.scoring.config import ScoreConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_failures": 1.5}, "--max-failures is 1.5; expected a share from 0 to 1."),
        ({"mm_per_px": 0.0}, "--mm-per-px is 0.0; expected millimetres to a pixel, more than 0."),
        ({"mm_per_px": float("nan")}, "--mm-per-px is nan; expected millimetres to a pixel, more than 0."),
        ({"mm_per_px": float("inf")}, "--mm-per-px is inf; expected millimetres to a pixel, more than 0."),
        ({"scale_from": "gps"}, "--scale-from is 'gps'; expected precise or coarse."),
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, Any], message: str) -> None:
    """With what was found and what was expected."""
    with pytest.raises(UsageError) as error:
        ScoreConfig((), "out", **settings)

    assert str(error.value) == message
