"""How wide the cracks of a mask are, in pixels.

A crack pixel is as wide as the side of the largest square inside the crack that covers it: a granulometry by openings
(Matheron 1975, Random Sets and Integral Geometry). Squares lie along rows and columns, so of a crack at 45 degrees they
say about 0.7 times its width.
"""

import numpy as np

from pipeline.evaluation.pixel_metrics import combine_squares
from pipeline.labels.mask_files import Mask

LEAST_PX = (1, 4, 9)
"""The width from which each class begins: up to 3 pixels, 4 to 8, and wider."""


def open_by_square(crack: Mask, side_px: int) -> Mask:
    """Keep the crack pixels that are at least this wide.

    Shape: (H, W) → (H, W).
    """
    corners = combine_squares(np.logical_and, np.pad(crack, side_px - 1), side_px)
    return combine_squares(np.logical_or, corners, side_px)


def width_class(crack: Mask) -> int | None:
    """Return the class of `LEAST_PX` that most crack pixels of a photo have, the narrower one of two that have as many.

    None without any crack pixel: what is not there has no width.

    Shape: (H, W).
    """
    at_least = [int(open_by_square(crack, least_px).sum()) for least_px in LEAST_PX]
    return int(np.argmax(-np.diff(at_least, append=0))) if at_least[0] else None
