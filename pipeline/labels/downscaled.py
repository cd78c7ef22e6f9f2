"""Labelled tiles as they would look from twice the distance: four side by side, each at half its size.

A test on tiles that are mostly crack says little about the field, where cracks of 1 to 5 px cross a small part of a
tile beside seams and stains. Here the crack is half as wide, three quarters of the tile are sound, and both classes
have straight seams.
"""

import numpy as np

from pipeline import storage
from pipeline.images.decode import Pixels, decode, resize
from pipeline.labels.boxes import cut
from pipeline.labels.crops import encode_png
from pipeline.labels.labelled_tiles import LabelledTiles

SIDE_PX = 224
"""Of a far tile; the four tiles in it have half of that."""


def downscale_half(tiles: LabelledTiles, folder: str, mark: str | None = None) -> LabelledTiles:
    """Replace every other tile of each class by a far tile.

    A far cracked tile is made of one cracked tile and three sound ones, a far sound tile of four sound ones, all from
    this list.

    Args:
        tiles: of one source, both classes.
        folder: canonical URL of a folder for the far tiles, as PNG files.
        mark: the program that made them, to be said in them.
    """
    far = np.zeros(len(tiles), dtype=np.bool_)
    for label in (False, True):
        far[np.flatnonzero(tiles.labels == label)[1::2]] = True
    near, replaced = tiles.subset(~far), tiles.subset(far)
    quarters = _read_at_half_size(replaced)
    sound = np.flatnonzero(~replaced.labels)
    urls = []
    for number in range(len(replaced)):
        random = np.random.default_rng(number)
        chosen = random.choice(sound, 4)
        chosen[random.integers(4)] = number
        url = storage.join(folder, f"{number}.png")
        storage.write_whole(url, encode_png(_join_four(quarters[chosen]), mark))
        urls.append(url)
    return LabelledTiles(
        urls=(*near.urls, *urls),
        labels=np.concatenate([near.labels, replaced.labels]),
        groups=(*near.groups, *replaced.groups),
        sources=(*near.sources, *replaced.sources),
        boxes=(*near.boxes, *(None,) * len(replaced)),
        mask_of=near.mask_of,
    )


def _read_at_half_size(tiles: LabelledTiles) -> Pixels:
    """Read tiles at half the side of a far tile. Shape: (n, SIDE_PX / 2, SIDE_PX / 2, 3)."""
    photos = (decode(storage.read_bytes(url)).pixels for url in tiles.urls)
    half_px = SIDE_PX // 2
    return np.stack([resize(cut(photo, box), half_px, half_px) for photo, box in zip(photos, tiles.boxes, strict=True)])


def _join_four(four: Pixels) -> Pixels:
    return np.concatenate([np.concatenate([*four[:2]], axis=1), np.concatenate([*four[2:]], axis=1)])
