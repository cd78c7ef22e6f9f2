"""Cuts photographs out of packages into tiles: the clutter of the shipped model, as `make model` does.

    python docs/model/cut_photographs.py OUT lomiri-wallpapers-16.04_….deb scikit_image-….whl scikit_learn-….whl

They show plants, grass, gravel, brick, timber, metal, rock, water and sky, and no concrete. Each is under CC BY or CC0,
or in the public domain, as its package says; pictures under licences that ask to share alike are not taken.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

_WALLPAPERS = "usr/share/backgrounds"
PHOTOGRAPHS = (
    *(
        f"{_WALLPAPERS}/{name}.jpg"
        for name in (
            "aitzgorri_by_Aitzol_Berasategi", "friends_by_Aitzol_Berasategi", "life_by_Aitzol_Berasategi",
            "picosdeeuropa_by_Aitzol_Berasategi", "sunset_by_Aitzol_Berasategi", "Picture_0B_by_freespace",
            "Picture_1A_by_freespace", "Wine_by_Jakkub_Mede", "seeding_by_Clements_Engelhardt",
        )
    ),
    *(f"skimage/data/{name}.png" for name in ("brick", "grass", "gravel", "chelsea", "coffee")),
    "skimage/data/rocket.jpg",
    *(f"sklearn/datasets/images/{name}.jpg" for name in ("china", "flower")),
)  # fmt: skip
TILES_OF_A_PHOTOGRAPH = 60
SIDE_PX = 320
LEAST_PX, MOST_PX = 160, 1280
"""Sides that are cut, before they are resized: the same thing from near and from far."""


def main(out: str, *packages: str) -> None:
    """Cut the photographs of packages."""
    folder = Path(out) / "Negative"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as unpacked:
        for package in packages:
            unpack(package, unpacked)
        for path in PHOTOGRAPHS:
            with Image.open(Path(unpacked) / path) as file:
                photograph = file.convert("RGB")
            for number in range(TILES_OF_A_PHOTOGRAPH):
                name = f"{Path(path).stem}_{number:02}.jpg"
                cut_tile(photograph, random).save(folder / name, quality=90)


def unpack(package: str, folder: str) -> None:
    """Unpack a Debian package or a wheel."""
    if package.endswith(".deb"):
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)  # noqa: S603, S607
    else:
        zipfile.ZipFile(package).extractall(folder)


def cut_tile(photograph: Image.Image, random: np.random.Generator) -> Image.Image:
    """Cut a square of a random size at a random place."""
    most_px = min(MOST_PX, *photograph.size)
    side_px = int(np.exp(random.uniform(np.log(LEAST_PX), np.log(most_px))))
    left, top = (int(random.integers(length_px - side_px + 1)) for length_px in photograph.size)
    tile = photograph.crop((left, top, left + side_px, top + side_px))
    return tile.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main(*sys.argv[1:])
