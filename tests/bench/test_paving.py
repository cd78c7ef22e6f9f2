"""Photos put together from pictures have no seams, and the grain of the pictures."""

import numpy as np

from tests.bench.paving import FADE_PX, SIDE_PX, Pictures, pave


def test_a_paved_photo_looks_like_its_pictures() -> None:
    """Of noise, the same noise: as bright and as strong where two pictures mix as elsewhere."""
    random = np.random.default_rng(0)
    noise = [np.clip(random.normal(128, 10, (227, 227, 3)), 0, 255).astype(np.uint8) for _ in range(8)]
    photo = pave(Pictures(noise, np.ones((8, 6), np.float32) * 128), random, (700, 900))
    assert photo.shape == (700, 900, 3)
    middle = photo[:, SIDE_PX - FADE_PX - FADE_PX + 4 : SIDE_PX - FADE_PX - 4].astype(float)
    for part in (photo.astype(float), middle):
        assert abs(part.mean() - 128) < 1
        assert abs(part.std() - 10) < 0.5


def test_small_pictures_go_on_as_in_a_mirror() -> None:
    """A photo can be paved with pictures smaller than a patch, and every pixel is covered."""
    small = [np.full((100, 150, 3), 90, np.uint8)]
    photo = pave(Pictures(small, np.full((1, 6), 90, np.float32)), np.random.default_rng(0), (300, 500))
    assert (photo == 90).all()
