"""Settings that cannot be drawn are refused in plain words; valid ones become arguments and a command."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.core.errors import UsageError
from pipeline.synthetic.config import SampleConfig


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height_px": 63}, "The photos' height is 63 pixels; it must be between 64 and 20000."),
        ({"width_px": 30_000}, "The photos' width is 30000 pixels; it must be between 64 and 20000."),
        ({"tile_px": 16}, "The tiles' side is 16 pixels; it must be between 64 and 2048."),
        ({"photos": -1}, "The number of photos is -1; it must be between 0 and 1000000."),
        ({"tiles": -1}, "The number of tiles is -1; it must be between 0 and 1000000."),
        ({"seed": -1}, "The seed is -1; it must be between 0 and 9223372036854775807."),
        (
            {"widths_px": (9, 3)},
            "Cracks of 9 to 3 px cannot be drawn; give the thinner width first, both between 1 and 100 px.",
        ),
        ({"format": "rar"}, "rar is no format for photos; choose one of folder, zip, tar, tgz."),
        ({"photos": 0, "tiles": 0}, "A sample of no photos and no tiles is nothing; ask for at least one of either."),
    ],
)
def test_settings_that_cannot_be_drawn_are_refused(change: dict[str, object], message: str) -> None:
    """The message names the setting, its value and its range."""
    with pytest.raises(UsageError) as caught:
        SampleConfig(Path("demo"), **change)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_the_folder_is_no_argument() -> None:
    """Samples in different folders have equal arguments; another seed makes a difference."""
    config = SampleConfig(Path("here"))
    assert replace(config, out=Path("there")).arguments() == config.arguments()
    assert replace(config, seed=1).arguments() != config.arguments()


def test_the_command_states_width_before_height() -> None:
    """The command is one that can be typed."""
    command = SampleConfig(Path("/far/away/demo"), height_px=600, width_px=800, widths_px=(1, 3)).command()
    assert command == (
        "crackscan sample --out demo --photos 24 --size 800x600 --tiles 800 --tile 224 --format zip --seed 0 "
        "--crack-width 1-3"
    )
