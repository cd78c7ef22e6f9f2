"""Descriptors of tiles, and tiles that show the same picture."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.images.decode import Pixels
from pipeline.labels.near_duplicates import (
    DESCRIPTOR_SIZE,
    SAME_PICTURE,
    descriptor,
    find_duplicates,
    flips_and_turns,
    group_duplicates,
    sketch,
)


def concrete(seed: int, side_px: int = 224) -> Pixels:
    """Draw a mottled tile, unlike that of any other seed."""
    random = np.random.default_rng(seed)
    blotches = Image.fromarray(random.integers(60, 200, (14, 14), dtype=np.uint8))
    return np.asarray(blotches.resize((side_px, side_px), Image.Resampling.BICUBIC).convert("RGB"))


def recompress(pixels: Pixels, quality: int) -> Pixels:
    """Save as JPEG and read back."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data))


@pytest.mark.parametrize("turn", range(8))
def test_flips_and_turns_are_the_same_picture(turn: int) -> None:
    """A tile flipped, turned, resized, darkened and saved again is a duplicate."""
    tile = concrete(1)
    turned = np.rot90(tile, turn % 4) if turn < 4 else np.rot90(tile[:, ::-1], turn % 4)
    smaller = np.asarray(Image.fromarray(np.ascontiguousarray(turned)).resize((200, 200)))
    twin = recompress((smaller * 0.8).astype(np.uint8), quality=50)
    descriptors = np.stack([descriptor(tile), descriptor(twin), descriptor(concrete(2))])
    assert len(set(group_duplicates(descriptors).tolist())) == 2
    assert find_duplicates(descriptors[1:], descriptors[:1]).tolist() == [True, False]


@given(seed=st.integers(0, 1000), height_px=st.integers(1, 90), width_px=st.integers(1, 90))
@settings(max_examples=50, deadline=None)
def test_any_size(seed: int, height_px: int, width_px: int) -> None:
    """A tile of any size has a descriptor of length one, or of zeros."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    found = descriptor(pixels)
    assert found.shape == (DESCRIPTOR_SIZE,)
    length = float(np.linalg.norm(found))
    assert length == pytest.approx(1, abs=1e-4) or length == 0


def test_brightness_gradients_are_no_duplicates() -> None:
    """Two nearly flat tiles lit from the same side are different pictures."""
    random = np.random.default_rng(0)
    light = np.linspace(100, 160, 224)[:, None, None]
    lit = [np.clip(light + random.normal(0, 3, (224, 224, 1)), 0, 255) for _ in range(2)]
    descriptors = np.stack([descriptor(np.repeat(tile, 3, axis=2).astype(np.uint8)) for tile in lit])
    assert float(descriptors[0] @ descriptors[1]) < SAME_PICTURE / 2


def test_flat_tiles_have_no_duplicates() -> None:
    """A tile without texture is no duplicate, even with a smooth gradient of light."""
    ramp = np.repeat(np.linspace(0, 255, 64)[:, None, None], 64, axis=1).repeat(3, axis=2).astype(np.uint8)
    flat = np.full((64, 64, 3), 90, dtype=np.uint8)
    descriptors = np.stack([descriptor(flat), descriptor(flat)])
    assert len(set(group_duplicates(descriptors).tolist())) == 2
    assert float(np.abs(descriptor(ramp) @ descriptor(flat))) == 0


def test_families_link_through_a_third_tile() -> None:
    """If A shows the same picture as B and B the same as C, all three are one family."""
    axis = np.eye(3, DESCRIPTOR_SIZE, dtype=np.float32)
    # Angles of 20 degrees between neighbours: cosine 0.94, and 0.77 from end to end.
    angles = np.deg2rad([0, 20, 40])
    descriptors = (np.cos(angles)[:, None] * axis[0] + np.sin(angles)[:, None] * axis[1]).astype(np.float32)
    assert float(descriptors[0] @ descriptors[2]) < SAME_PICTURE
    assert len(set(group_duplicates(descriptors[[0, 2, 1]]).tolist())) == 1


def test_more_tiles_than_a_block() -> None:
    """Duplicates in different blocks of the comparison are found."""
    random = np.random.default_rng(5)
    descriptors = random.normal(size=(700, DESCRIPTOR_SIZE)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    descriptors[690] = descriptors[3]
    family = group_duplicates(descriptors)
    assert family[690] == family[3]
    assert len(set(family.tolist())) == 699


def similar_pairs(seed: int, count: int, blur: float, apart: float) -> NDArray[np.float32]:
    """Draw descriptors that are similar in pairs, the more the smaller `apart`; `blur` lowers their frequencies."""
    random = np.random.default_rng(seed)
    waves = random.normal(size=(count, 32, 32))
    frequency = np.add.outer(np.fft.fftfreq(32) ** 2, np.fft.fftfreq(32) ** 2)
    smooth = np.fft.ifft2(np.fft.fft2(waves) * np.exp(-blur * frequency)).real.reshape(count, -1)
    noise = random.normal(size=(count, DESCRIPTOR_SIZE)) * apart * smooth.std(axis=1, keepdims=True)
    descriptors = np.concatenate([smooth, smooth + noise])
    unit: NDArray[np.float32] = (descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)).astype(np.float32)
    return unit


@given(seed=st.integers(0, 99), blur=st.floats(0, 200), apart=st.floats(0.3, 0.7))
@settings(deadline=None, max_examples=40)
def test_sketches_bound_the_similarity(seed: int, blur: float, apart: float) -> None:
    """The product of two sketches is never less than that of the descriptors, and the duplicates are exact."""
    descriptors, others = np.split(similar_pairs(seed, 30, blur, apart), 2)
    assert (sketch(descriptors) @ sketch(others).T >= descriptors @ others.T - 1e-5).all()
    similarity = np.max([view @ others.T for view in flips_and_turns(descriptors)], axis=0)
    close = (np.abs(similarity - SAME_PICTURE) < 1e-5).any(axis=1)
    assert (find_duplicates(descriptors, others) == (similarity >= SAME_PICTURE).any(axis=1))[~close].all()


def test_many_duplicates() -> None:
    """Tiles of one picture are one family, though every pair needs a full comparison."""
    assert len(set(group_duplicates(np.repeat(similar_pairs(0, 1, 9, 0)[:1], 600, axis=0)).tolist())) == 1


def test_no_tiles() -> None:
    """No tiles give no families."""
    none = np.zeros((0, DESCRIPTOR_SIZE), dtype=np.float32)
    assert len(group_duplicates(none)) == 0
    assert len(find_duplicates(none, none)) == 0
