"""How much is found of cracks of known length and width, and how well it is measured.

    python -m tests.bench.drawn_cracks --model shipped --photos 24 ../shared/data/metu_tiles/val

Draws two to four cracks of 2 to 15 pixels on each of some photos of twelve megapixels, which are put together from the
sound pictures of a source, and scores them and the same photos without cracks. Of each kind of crack, and of each class
of width, prints

    found     the share of the length that is within 5 pixels of a found line
    length    of what is found of a crack, all its lines, over the true length, less 1: median, and mean without sign
    width     the median width that is found less the true one: mean without sign, and mean, in pixels

and then how many finds there are to twelve megapixels that are no drawn crack. Cracks of which nothing is found, or
without a width, do not count in the errors; their numbers are printed, too.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.models.model import load_card
from tests.bench.crack_drawing import KINDS, WIDTHS_PX, DrawnCrack, draw_cracks, paint
from tests.bench.found_cracks import (
    Found,
    count_per_twelve_megapixels,
    format_figure,
    make_header,
    match_cracks,
    score_photos,
)
from tests.bench.paving import HEIGHT_PX, WIDTH_PX, pave, read_sound

QUALITY = 95
"""Of the JPEGs."""
COLUMNS = (
    "cracks", "number", "found", "with a line", "length, median", "length, error", "with a width", "width, error",
    "width, mean",
)  # fmt: skip
DARK = 0.3
"""The light that is left in a dark crack at most; others are pale."""
WIDTH_NAMES = tuple(f"{low:.0f} to {high:.0f} px" for low, high in WIDTHS_PX)
GROUPS = ("all", *KINDS, *WIDTH_NAMES, "dark", "pale", "even", "tapering")


class Pair(NamedTuple):
    """A drawn crack, and what was found of it."""

    crack: DrawnCrack
    found: Found


def main() -> None:
    """Read the options, and measure every source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--model", default="shipped")
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for source in given.sources:
        with tempfile.TemporaryDirectory() as folder:
            photos, out = Path(folder, "photos"), Path(folder, "scores")
            photos.mkdir()
            truth = write_photos(photos, source, given.photos, given.seed)
            scored = score_photos(photos, out, given.model)
        print(f"{source}, model {load_card(given.model).model_id}, {given.photos} photos, seed {given.seed}")
        pairs, off = list[Pair](), 0
        for name, cracks in truth.items():
            found, others = match_cracks([crack.points for crack in cracks], scored[name].cracks)
            pairs += map(Pair, cracks, found)
            off += len(others)
        print("\n".join(make_table(pairs)))
        drawn, sound = (
            [scored[name] for name in scored if (name in truth) == has_cracks] for has_cracks in (True, False)
        )
        on_drawn = count_per_twelve_megapixels(drawn, off)
        on_sound = count_per_twelve_megapixels(sound, sum(len(photo.cracks) for photo in sound))
        print(f"no drawn crack, to 12 megapixels: {on_drawn:.2f} on these photos, {on_sound:.2f} on them undrawn")


def write_photos(folder: Path, source: str, photos: int, seed: int) -> dict[str, list[DrawnCrack]]:
    """Write photos with cracks and without; return the cracks of those with some by the names of their files."""
    random = np.random.default_rng(seed)
    pictures, truth = read_sound(source, seed), dict[str, list[DrawnCrack]]()
    for number in range(photos):
        sound = pave(pictures, random, (HEIGHT_PX, WIDTH_PX))
        cracks = draw_cracks(number, HEIGHT_PX, WIDTH_PX, random)
        truth[f"drawn-{number:03}.jpg"] = cracks
        for name, pixels in ((f"sound-{number:03}.jpg", sound), (f"drawn-{number:03}.jpg", paint(sound, cracks))):
            Image.fromarray(pixels).save(folder / name, quality=QUALITY)
    return truth


def make_table(pairs: Sequence[Pair]) -> list[str]:
    """Return a line for each kind, class of width and manner, and for all, in Markdown."""
    groups = {name: [pair for pair in pairs if name in list_groups(pair.crack)] for name in GROUPS}
    return [make_header(COLUMNS), *(_make_row(name, of_group) for name, of_group in groups.items() if of_group)]


def list_groups(crack: DrawnCrack) -> tuple[str, ...]:
    """Return which of `GROUPS` a crack belongs to."""
    number = sum(crack.width_px >= low for low, _ in WIDTHS_PX[1:])
    is_even = crack.widths_px[0] == crack.widths_px[-1]
    return (
        "all",
        crack.kind,
        WIDTH_NAMES[number],
        "dark" if crack.light <= DARK else "pale",
        "even" if is_even else "tapering",
    )


def _make_row(name: str, pairs: Sequence[Pair]) -> str:
    lengths = np.array([crack.length_px for crack, _ in pairs])
    shares = np.array([found.share for _, found in pairs])
    longer = np.array([found.length_px / crack.length_px - 1 for crack, found in pairs if found.length_px is not None])
    wider = np.array([found.width_px - crack.width_px for crack, found in pairs if found.width_px is not None])
    cells = [
        name, str(len(pairs)), f"{(shares @ lengths) / max(lengths.sum(), 1):.1%}",
        str(len(longer)), f"{np.median(longer):+.1%}" if len(longer) else "-", format_figure(np.abs(longer), ".1%"),
        str(len(wider)), format_figure(np.abs(wider), ".2f"), format_figure(wider, "+.2f"),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
