"""How the cracks that are found agree with masks that people drew.

    python -m tests.bench.crack_masks --model shipped ../shared/data/uav_weathered ../shared/data/bridge_deck_uav

Scores photos with masks, and prints for each source

    length    of all finds of a photo, 0 without one, over that of the mask's skeleton: median, and median of the error
              without sign. The skeleton has the steps and the short branches of a brush's edge, so that its length is
              some 5 % more than that of smooth lines along the same masks
    width     rank correlation (Spearman) over photos of the median width, weighted by length, with the mask's, which is
              twice the median distance of the skeleton to the mask's edge; and the median of the mask's over it
    off       finds most of whose line is farther than 5 pixels from the mask, and those that are on it

Sources that the model was trained on say nothing of other bridges.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import spearmanr
from skimage.morphology import skeletonize

from pipeline import storage
from pipeline.labels.mask_files import Mask
from pipeline.labels.masks import read_masked_photos
from pipeline.models.model import load_card
from tests.bench.found_cracks import MOST_OFF, NEAR_PX, FoundCrack, average_width_px, make_header, score_photos

ALONG, ACROSS = 0.948, 1.340
"""Length of a line to one step from pixel to pixel, along a side and across a corner (Kulpa 1977: without bias over all
angles)."""
COLUMNS = (
    "source", "photos", "without a find", "length, median", "length, error", "with a width", "width, rank",
    "mask over it", "off", "on",
)  # fmt: skip
LEAST_PHOTOS = 3
"""That have a rank."""


class MaskLine(NamedTuple):
    """What a mask says of its crack."""

    length_px: float
    width_px: float


class PhotoFigures(NamedTuple):
    """A photo with its mask and its finds."""

    mask: MaskLine
    length_px: float
    width_px: float | None
    on: int
    off: int


def main() -> None:
    """Read the options, print a line for each source, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--model", default="shipped")
    parser.add_argument("--photos", type=int, default=90, help="of each source, chosen at random")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(f"model {load_card(given.model).model_id}, seed {given.seed}\n{make_header(COLUMNS)}")
    everything = list[PhotoFigures]()
    for source in given.sources:
        figures = measure_source(source, given.model, given.photos, given.seed)
        print(make_row(storage.name(source.rstrip("/")), figures))
        everything += figures
    print(make_row("all", everything))


def measure_source(source: str, model: str, photos: int, seed: int) -> list[PhotoFigures]:
    """Score photos of a source that have a crack, and hold the finds against the masks."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "photos")
        folder.mkdir()
        masks = copy_photos(source, folder, photos, seed)
        scored = score_photos(folder, Path(place, "scores"), model)
    return [compare(mask, scored[name].cracks) for name, mask in masks.items() if name in scored]


def copy_photos(source: str, folder: Path, photos: int, seed: int) -> dict[str, Mask]:
    """Copy photos of a source that have a crack; return their masks by the names of the files."""
    cracked = {photo.url: photo.crack for photo in read_masked_photos(source) if photo.crack.any()}
    urls, masks = sorted(cracked), dict[str, Mask]()
    for number in np.random.default_rng(seed).permutation(len(urls))[:photos].tolist():
        name = f"{number:06}-{storage.name(urls[number])}"
        (folder / name).write_bytes(storage.read_bytes(urls[number]))
        masks[name] = cracked[urls[number]]
    return masks


def compare(mask: Mask, cracks: Sequence[FoundCrack]) -> PhotoFigures:
    """Hold the finds of a photo against its mask."""
    away = ndimage.distance_transform_edt(~mask)
    is_off = [float((_look_up(away, crack.points) > NEAR_PX).mean()) > MOST_OFF for crack in cracks]
    length_px = sum(crack.length_px for crack in cracks)
    return PhotoFigures(measure_mask(mask), length_px, average_width_px(cracks), is_off.count(False), sum(is_off))


def measure_mask(mask: Mask) -> MaskLine:
    """Measure the length and the width of what a mask marks."""
    padded = np.pad(mask, 1)
    skeleton = skeletonize(padded)
    half_widths = ndimage.distance_transform_edt(padded)[skeleton]
    return MaskLine(measure_skeleton(skeleton), 2 * float(np.median(half_widths)))


def measure_skeleton(skeleton: NDArray[np.bool_]) -> float:
    """Return the length of lines one pixel wide.

    Pixels that touch at a corner count only where none touches both with a side. Shape: (H, W), with a margin.
    """
    along = sum(int((skeleton & np.roll(skeleton, 1, axis)).sum()) for axis in (0, 1))
    below, across = np.roll(skeleton, -1, 0), 0
    for side in (1, -1):
        beside = np.roll(skeleton, side, 1)
        across += int((skeleton & np.roll(below, side, 1) & ~below & ~beside).sum())
    return ALONG * along + ACROSS * across


def _look_up(values: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values at the pixels in which points x, y lie. Shape: (H, W), (N, 2) → (N,)."""
    cols, rows = np.clip(points.astype(int), 0, np.subtract(values.shape[::-1], 1)).T
    found: NDArray[np.float64] = values[rows, cols]
    return found


def make_row(name: str, figures: Sequence[PhotoFigures]) -> str:
    """Return a line in Markdown."""
    longer = np.array([photo.length_px / photo.mask.length_px for photo in figures])
    known = [(photo.width_px, photo.mask.width_px) for photo in figures if photo.width_px is not None]
    widths, of_masks = np.array(known).reshape(-1, 2).T
    has_rank = len(known) >= LEAST_PHOTOS
    cells = [
        name, str(len(figures)), str(int((longer == 0).sum())),
        f"{np.median(longer):.2f}", f"{np.median(np.abs(longer - 1)):.1%}", str(len(known)),
        f"{spearmanr(widths, of_masks).statistic:.2f}" if has_rank else "-",
        f"{np.median(of_masks / widths):.1f}" if has_rank else "-",
        str(sum(photo.off for photo in figures)), str(sum(photo.on for photo in figures)),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
