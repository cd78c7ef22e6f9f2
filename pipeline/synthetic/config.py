"""The settings of a synthetic sample."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pipeline.core.errors import UsageError

Format = Literal["folder", "zip", "tar", "tgz"]
"""How a sample keeps its photos."""

MIN_SIDE_PX = 64
"""A smaller photo or tile has no room for a crack and its surroundings."""

MAX_SIDE_PX = 20_000
"""Drawing a photo takes about 40 bytes of memory a pixel."""

MAX_CRACK_PX = 100.0
"""Wider ones would be gaps, not cracks."""


@dataclass(frozen=True)
class SampleConfig:
    """Everything that decides what a sample holds, and its folder."""

    out: Path
    """Folder to write."""
    photos: int = 24
    """How many photos; half of them have cracks."""
    height_px: int = 1200
    width_px: int = 1600
    tiles: int = 800
    """How many labelled tiles: four in five for training, half of them with a crack."""
    tile_px: int = 224
    """Side of a labelled tile."""
    format: Format = "zip"
    """One archive of photos, or a folder of them."""
    seed: int = 0
    """Whole number from 0; decides everything random."""
    widths_px: tuple[float, float] = (1.0, 30.0)
    """Width of the thinnest and of the widest crack."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot be drawn.

        Raises:
            UsageError: a number is out of its range.
        """
        _check_range("The photos' height", self.height_px, MIN_SIDE_PX, MAX_SIDE_PX, "pixels")
        _check_range("The photos' width", self.width_px, MIN_SIDE_PX, MAX_SIDE_PX, "pixels")
        _check_range("The tiles' side", self.tile_px, MIN_SIDE_PX, 2048, "pixels")
        _check_range("The number of photos", self.photos, 0, 1_000_000)
        _check_range("The number of tiles", self.tiles, 0, 1_000_000)
        _check_range("The seed", self.seed, 0, 2**63 - 1)
        low_px, high_px = self.widths_px
        if not 1 <= low_px <= high_px <= MAX_CRACK_PX:
            raise UsageError(
                f"Cracks of {low_px:g} to {high_px:g} px cannot be drawn; "
                f"give the thinner width first, both between 1 and {MAX_CRACK_PX:g} px."
            )
        if self.format not in get_args(Format):
            raise UsageError(f"{self.format} is no format for photos; choose one of {', '.join(get_args(Format))}.")
        if not self.photos and not self.tiles:
            raise UsageError("A sample of no photos and no tiles is nothing; ask for at least one of either.")

    def arguments(self) -> dict[str, int | str | list[float]]:
        """Return the settings that decide the content: samples with equal arguments are equal."""
        return {
            "photos": self.photos,
            "size": f"{self.width_px}x{self.height_px}",
            "tiles": self.tiles,
            "tile": self.tile_px,
            "format": self.format,
            "seed": self.seed,
            "crack_width": list(self.widths_px),
        }

    def command(self) -> str:
        """Return the command that makes this sample."""
        low_px, high_px = self.widths_px
        return (
            f"crackscan sample --out {self.out.name} --photos {self.photos} --size {self.width_px}x{self.height_px} "
            f"--tiles {self.tiles} --tile {self.tile_px} --format {self.format} --seed {self.seed} "
            f"--crack-width {low_px:g}-{high_px:g}"
        )


def _check_range(name: str, value: int, low: int, high: int, unit: str = "") -> None:
    if not low <= value <= high:
        found = f"{value} {unit}".rstrip()
        raise UsageError(f"{name} is {found}; it must be between {low} and {high}.")
