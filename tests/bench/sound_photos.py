"""How many cracks are found where there are none.

    python -m tests.bench.sound_photos --model shipped ../shared/data/eval_only/walls/Negative

Scores folders of photos without cracks as they are, and prints the cracks, and their length, to twelve megapixels.
Photos of walls put together from the sound pictures of a source are in `tests.bench.drawn_cracks`.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np

from pipeline.images.formats import DECODED_SUFFIXES
from pipeline.models.model import load_card
from tests.bench.found_cracks import ScoredPhoto, count_per_twelve_megapixels, make_header, score_photos

COLUMNS = (
    "sound photos", "number", "megapixels", "with a crack", "cracks", "to 12 megapixels", "px of line to 12 megapixels"
)  # fmt: skip


def main() -> None:
    """Read the options, and measure every folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--model", default="shipped")
    parser.add_argument("--photos", type=int, help="so many of each folder, chosen at random; all if not given")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(f"model {load_card(given.model).model_id}, seed {given.seed}\n{make_header(COLUMNS)}")
    for folder in given.folders:
        with tempfile.TemporaryDirectory() as place:
            chosen = Path(place, "photos")
            copy_photos(folder, chosen, given.photos, given.seed)
            scored = score_photos(chosen, Path(place, "scores"), given.model)
        print(make_row(str(folder), list(scored.values())))


def copy_photos(folder: Path, chosen: Path, photos: int | None, seed: int) -> None:
    """Copy some photos of a folder, whatever their folders below it, into another one."""
    found = sorted(path for path in folder.rglob("*") if path.suffix[1:].lower() in DECODED_SUFFIXES)
    chosen.mkdir()
    for number in np.random.default_rng(seed).permutation(len(found))[:photos].tolist():
        shutil.copy(found[number], chosen / f"{number:06}-{found[number].name}")


def make_row(name: str, photos: list[ScoredPhoto]) -> str:
    """Return a line in Markdown."""
    cracks = [crack.length_px for photo in photos for crack in photo.cracks]
    cells = [
        name, f"{len(photos):,}", f"{sum(photo.pixels for photo in photos) / 1e6:,.1f}",
        f"{sum(bool(photo.cracks) for photo in photos):,}", f"{len(cracks):,}",
        f"{count_per_twelve_megapixels(photos, len(cracks)):.2f}",
        f"{count_per_twelve_megapixels(photos, sum(cracks)):,.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
