"""Options become the configuration of a run, and impossible values are refused with their name."""

import click
import pytest

from pipeline.cli import score
from pipeline.scoring.config import ScoreConfig


def parse(*words: str) -> ScoreConfig:
    """Parse a command line of `score`."""
    given = score.command.make_context("score", ["photos.zip", "--out", "scores", *words]).params
    for name in ("fail_on", "watch", "until"):  # say how and when it ends
        given.pop(name)
    return score.make_config(**given)


def test_scale_options_reach_the_run() -> None:
    """All photos' scale, the table's and the coarse one; by default each photo's own."""
    config = parse("--mm-per-px", "0.42", "--scale", "distances.csv", "--scale-from", "coarse")

    assert (config.mm_per_px, config.scale_table, config.scale_from) == (0.42, "distances.csv", "coarse")
    assert (parse().mm_per_px, parse().scale_table, parse().scale_from) == (None, None, "precise")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--mm-per-px", "0"), "0.0 is not in the range x>0."),
        (("--mm-per-px", "wide"), "'wide' is not a valid float range."),
        (("--scale-from", "gps"), "'gps' is not one of 'precise', 'coarse'."),
    ],
)
def test_an_impossible_scale_is_refused(words: tuple[str, str], message: str) -> None:
    """With the option at fault."""
    with pytest.raises(click.BadParameter) as error:
        parse(*words)

    assert error.value.format_message() == f"Invalid value for '{words[0]}': {message}"
