"""How many sound photos of a night a model flags, and how many cracked ones it finds.

    python -m tests.bench.mosaics --model shipped ../shared/data/eval_only/walls

Puts photos of twelve megapixels together from the pictures of sources: sound ones alone, and in every second photo one
cracked picture at a random place, so large that its crack is 300 pixels long if a mask tells. Sources that the model
was trained on say nothing of other bridges. Prints, for each source, what part of both is over the card's threshold.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline import storage
from pipeline.cluster.session import ClusterConfig
from pipeline.dataset.sql import query
from pipeline.evaluation.metrics import measure
from pipeline.images.decode import Pixels, decode
from pipeline.labels.boxes import cut
from pipeline.labels.labelled_tiles import LabelledTiles, read_labelled_tiles
from pipeline.labels.mask_files import read_mask
from pipeline.models.model import find_model, load_card
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.flow import score

HEIGHT_PX, WIDTH_PX = 3000, 4000
LEAST_CRACK_PX = 300
PATCH_PX = (224, 448)
"""Least and greatest side of a sound patch."""


def main() -> None:
    """Read the options, and measure every source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--model", default="shipped")
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    card = load_card(given.model)
    for source in given.sources:
        with tempfile.TemporaryDirectory() as folder:
            photos = Path(folder, "photos")
            photos.mkdir()
            for name, pixels in draw_mosaics(source, given.photos, given.seed):
                Image.fromarray(pixels).save(photos / name, quality=92)
            score(
                ScoreConfig((str(photos),), f"{folder}/scores", find_model(given.model), cluster=ClusterConfig(cpus=2))
            )
            found = query(f"{folder}/scores", "SELECT image, crack_score, max_tile_score FROM images ORDER BY image")
        is_cracked = np.array([name.startswith("cracked") for name in found["image"].to_pylist()])
        print(f"{source}, model {card.model_id}, threshold {card.threshold:.3f}, {len(is_cracked)} photos")
        for column in ("crack_score", "max_tile_score"):
            scores = found[column].to_numpy()
            over = scores >= card.threshold
            shares = (over[~is_cracked].mean(), over[is_cracked].mean(), measure(is_cracked, scores).auc)
            print("  {}: sound over {:.2f}, cracked {:.2f}, AUC {:.3f}".format(column, *shares))


def draw_mosaics(source: str, photos: int, seed: int) -> Iterator[tuple[str, Pixels]]:
    """Yield the names and pixels of mosaics, sound and cracked in turn."""
    random = np.random.default_rng(seed)
    tiles = read_labelled_tiles([source])
    sound, cracked = (np.flatnonzero(tiles.labels == label) for label in (False, True))
    if any(box is not None for box in tiles.boxes):
        sound = sound[tiles.sizes[sound] >= np.quantile(tiles.sizes[sound], 0.5)]
    for number in range(photos):
        mosaic = np.empty((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
        _pave(mosaic, tiles, sound, random)
        if number % 2:
            patch = _read_crack(tiles, int(random.choice(cracked)))
            top, left = (
                int(random.integers(all_ - own + 1)) for all_, own in zip(mosaic.shape, patch.shape[:2], strict=False)
            )
            mosaic[top : top + patch.shape[0], left : left + patch.shape[1]] = patch
        yield f"{'cracked' if number % 2 else 'sound'}-{number:03}.jpg", mosaic


def _pave(mosaic: Pixels, tiles: LabelledTiles, sound: np.ndarray, random: np.random.Generator) -> None:
    """Cover a mosaic with sound pictures, row by row."""
    top = 0
    while top < HEIGHT_PX:
        height, left = int(random.integers(*PATCH_PX)), 0
        while left < WIDTH_PX:
            pixels = _read(tiles, int(random.choice(sound)))
            pixels = np.rot90(pixels, int(random.integers(4)))[:height]
            if len(pixels) < height:
                pixels = np.concatenate([pixels, pixels[::-1]] * -(-height // (2 * len(pixels))))[:height]
            part = mosaic[top : top + height, left : left + pixels.shape[1]]
            part[:] = pixels[: part.shape[0], : part.shape[1]]
            left += pixels.shape[1]
        top += height


def _read(tiles: LabelledTiles, index: int) -> Pixels:
    return cut(decode(storage.read_bytes(tiles.urls[index])).pixels, tiles.boxes[index])


def _read_crack(tiles: LabelledTiles, index: int) -> Pixels:
    """Read the whole picture of a cracked tile, enlarged until its crack is long enough."""
    url = tiles.urls[index]
    pixels = decode(storage.read_bytes(url)).pixels
    long_px = max(pixels.shape[:2])
    if url in tiles.mask_of:
        crack = np.argwhere(read_mask(storage.read_bytes(tiles.mask_of[url])))
        long_px = int(np.ptp(crack, axis=0).max()) + 1
    factor = max(1.0, LEAST_CRACK_PX / long_px)
    size = [
        min(round(side * factor), most) for side, most in zip(pixels.shape[1::-1], (WIDTH_PX, HEIGHT_PX), strict=True)
    ]
    return np.asarray(Image.fromarray(pixels).resize((size[0], size[1]), Image.Resampling.BICUBIC))


if __name__ == "__main__":
    main()
