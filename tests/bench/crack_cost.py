"""What measuring cracks costs: whole jobs with and without it in turn, and the memory for large photos.

    python -m tests.bench.crack_cost --model shipped ../shared/data/metu_tiles/val

Puts photos of twelve megapixels together from the sound pictures of a source, and lays its cracked pictures on one tile
in twenty; runs `crackscan score` on them with and without `--no-cracks`, now this first and now that, and again on the
same photos without cracked pictures. Prints the ratio of the times for each pair, and the median. Then scores cracked
photos of twenty-four megapixels, and prints the peak memory of all processes as `memory.py` measures it.
"""

import argparse
import statistics
import sys
import tempfile
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.dataset.sql import query
from pipeline.images.decode import Pixels
from pipeline.labels.labelled_tiles import read_labelled_tiles
from pipeline.models.model import find_model, load_card
from tests.bench.paving import HEIGHT_PX, WIDTH_PX, pave, read_pictures, read_sound
from tests.bench.process_tree import Usage, measure_command

MIB = 1 << 20
LARGE_PX = (4000, 6000)
CRACKED = 0.05
"""Share of the tiles that show a crack."""
LARGE_PHOTOS = 3
"""To one of twenty-four megapixels, so many of twelve."""
QUALITY = 92
"""Of the JPEGs."""


def main() -> None:
    """Read the options, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--model", default="shipped")
    parser.add_argument("--photos", type=int, default=72)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_photos(place, given.source, given.model, given.photos, given.seed)
        jobs = Jobs(place, given.model)
        print(f"{given.source}, model {load_card(given.model).model_id}, {given.photos} photos, seed {given.seed}")
        for kind in ("cracked", "sound"):
            measure_pairs(jobs, kind, given.pairs)
        print_memory(jobs)


class Jobs:
    """Runs jobs, each into a dataset of its own."""

    def __init__(self, place: Path, model: str) -> None:
        self.place = place
        self.model = find_model(model)
        self._numbers = count()

    def run(self, kind: str, option: str) -> tuple[Usage, Path]:
        """Score one kind of photos; return what it took, and the dataset."""
        out = self.place / "scores" / str(next(self._numbers))
        command = [sys.executable, "-m", "pipeline.cli", "score", str(self.place / kind), "--out", str(out)]
        return measure_command([*command, "--model", self.model, option], self.place / "log"), out


def measure_pairs(jobs: Jobs, kind: str, pairs: int) -> None:
    """Run pairs of jobs with and without cracks in turn, and print their times."""
    ratios = []
    for number in range(pairs):
        used, out = dict[str, Usage](), Path()
        for option in ("--cracks", "--no-cracks")[:: -1 if number % 2 else 1]:
            used[option], of_job = jobs.run(kind, option)
            out = of_job if option == "--cracks" else out
        with_s, without_s = used["--cracks"].seconds, used["--no-cracks"].seconds
        ratios.append(with_s / without_s)
        print(
            f"{kind}, pair {number + 1}: with cracks {with_s:.1f} s, without {without_s:.1f} s, ratio {ratios[-1]:.3f}"
        )
    print(f"{kind}: ratio {statistics.median(ratios):.3f} in the median; {describe(out)}")


def describe(out: Path) -> str:
    """Say how many photos, cracked tiles and cracks a dataset has."""
    facts = "count(*) AS photos, sum(crack_tiles) / sum(tiles) AS share, coalesce(sum(cracks), 0) AS cracks"
    [found] = query(str(out), f"SELECT {facts} FROM images").to_pylist()
    return "{photos:,} photos, {share:.1%} of the tiles over the threshold, {cracks:,} cracks".format(**found)


def print_memory(jobs: Jobs) -> None:
    """Score large photos with and without cracks, and print the peaks."""
    for option in ("--cracks", "--no-cracks"):
        usage, out = jobs.run("large", option)
        print(
            f"24 megapixels, {option}: peak {usage.peak_bytes / MIB:,.0f} MiB, {usage.seconds:.1f} s; {describe(out)}"
        )


def write_photos(place: Path, source: str, model: str, photos: int, seed: int) -> None:
    """Write the folders `sound`, `cracked` and `large`."""
    random, tile_px = np.random.default_rng(seed), load_card(model).tile_px
    sound = read_sound(source, seed)
    cracked = read_pictures(read_labelled_tiles([source]), label=True, seed=seed)
    for kind in ("sound", "cracked", "large"):
        (place / kind).mkdir()
    for number in range(photos):
        photo = pave(sound, random, (HEIGHT_PX, WIDTH_PX))
        _save(photo, place / "sound" / f"{number:04}.jpg")
        _save(lay_cracks(photo, cracked, tile_px, random), place / "cracked" / f"{number:04}.jpg")
        if number % LARGE_PHOTOS == 0:
            large = pave(sound, random, LARGE_PX)
            _save(lay_cracks(large, cracked, tile_px, random), place / "large" / f"{number:04}.jpg")


def lay_cracks(photo: Pixels, cracked: list[Pixels], tile_px: int, random: np.random.Generator) -> Pixels:
    """Lay cracked pictures on some tiles of a photo. Shape: (H, W, 3) → (H, W, 3)."""
    laid = photo.copy()
    rows, cols = (side // tile_px for side in photo.shape[:2])
    for place in random.choice(rows * cols, round(CRACKED * rows * cols), replace=False).tolist():
        top, left = (tile_px * number for number in divmod(place, cols))
        picture = cracked[int(random.integers(len(cracked)))]
        part = laid[top : top + tile_px, left : left + tile_px]
        part[:] = np.asarray(Image.fromarray(picture).resize((tile_px, tile_px), Image.Resampling.BICUBIC))
    return laid


def _save(pixels: Pixels, path: Path) -> None:
    Image.fromarray(pixels).save(path, quality=QUALITY)


if __name__ == "__main__":
    main()
