"""Labelled tiles as they would look from twice the distance: four side by side, each half its size.

A test on tiles that are mostly crack says little about the field, where cracks of 1 to 5 px cross a small part of a
tile beside seams and stains. Here the crack is half as wide, three quarters of the tile are sound, and there are
straight seams in both classes.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline import storage
from pipeline.images.decode import decode, resize
from pipeline.labels.boxes import Pixels, cut
from pipeline.labels.crops import encode_png
from pipeline.labels.labelled_tiles import LabelledTiles

SIDE_PX = 224
"""Of a far tile; the four in it have half of that."""


def downscale_half(tiles: LabelledTiles, folder: str) -> LabelledTiles:
    """Show every other tile of each class from afar.

    A far cracked tile is one cracked tile and three sound ones, a far sound tile four sound ones, all of this list.

    Args:
        tiles: of one source, both classes.
        folder: canonical URL of a folder for the far tiles, as PNG files.
    """
    far = np.zeros(len(tiles), dtype=np.bool_)
    for label in (False, True):
        far[np.flatnonzero(tiles.labels == label)[1::2]] = True
    near, apart = tiles.subset(~far), tiles.subset(far)
    quarters = _halved(apart)
    sound = np.flatnonzero(~apart.labels)
    urls = []
    for number in range(len(apart)):
        random = np.random.default_rng(number)
        chosen = random.choice(sound, 4)
        chosen[random.integers(4)] = number
        url = storage.join(folder, f"{number}.png")
        storage.write_whole(url, encode_png(_side_by_side(quarters[chosen])))
        urls.append(url)
    return LabelledTiles(
        urls=(*near.urls, *urls),
        labels=np.concatenate([near.labels, apart.labels]),
        groups=(*near.groups, *apart.groups),
        sources=(*near.sources, *apart.sources),
        boxes=(*near.boxes, *(None,) * len(apart)),
    )


def _halved(tiles: LabelledTiles) -> NDArray[np.uint8]:
    """Read tiles at half the side of a far one. Shape: (n, SIDE_PX / 2, SIDE_PX / 2, 3)."""
    photos = (decode(storage.read_bytes(url)).pixels for url in tiles.urls)
    half_px = SIDE_PX // 2
    return np.stack([resize(cut(photo, box), half_px, half_px) for photo, box in zip(photos, tiles.boxes, strict=True)])


def _side_by_side(four: NDArray[np.uint8]) -> Pixels:
    return np.concatenate([np.concatenate([*four[:2]], axis=1), np.concatenate([*four[2:]], axis=1)])
