"""Draws pictures without concrete, as a camera over a bridge may take them."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

HEIGHT_PX, WIDTH_PX = 300, 400


def draw_sky() -> NDArray[np.uint8]:
    """Draw a sky from blue to white, with sensor noise."""
    down = np.linspace(0, 1, HEIGHT_PX)[:, None, None]
    light = (1 - down) * (70, 130, 220) + down * (215, 230, 250) + np.zeros((HEIGHT_PX, WIDTH_PX, 3))
    return np.clip(light + np.random.default_rng(1).normal(0, 2, light.shape), 0, 255).astype(np.uint8)


def draw_leaves() -> NDArray[np.uint8]:
    """Draw many small diamonds of green and brown, one over the other."""
    random = np.random.default_rng(2)
    image = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), (30, 50, 20))
    for _ in range(900):
        x, y = random.uniform(0, WIDTH_PX), random.uniform(0, HEIGHT_PX)
        along = random.uniform(8, 25) * np.array([np.cos(turn := random.uniform(0, 7)), np.sin(turn)])
        across = np.array([-along[1], along[0]]) / 3
        hue = np.array([[60, 130, 40], [190, 120, 30]][int(random.integers(2))]) * random.uniform(0.4, 1.3)
        corners = [(x + way[0], y + way[1]) for way in (along, across, -along, -across)]
        ImageDraw.Draw(image).polygon(corners, fill=tuple(hue.astype(int).tolist()))
    return np.asarray(image)


def draw_grass() -> NDArray[np.uint8]:
    """Draw green blades."""
    random = np.random.default_rng(3)
    image = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), (40, 60, 25))
    for _ in range(2500):
        x, y = random.uniform(0, WIDTH_PX), random.uniform(0, HEIGHT_PX * 1.1)
        hue = np.array([80, 150, 50]) * random.uniform(0.4, 1.5)
        blade = (x, y, x + random.normal(0, 6), y - random.uniform(12, 45))
        ImageDraw.Draw(image).line(blade, fill=tuple(hue.astype(int).tolist()), width=int(random.integers(1, 4)))
    return np.asarray(image)


def draw_print() -> NDArray[np.uint8]:
    """Draw a page of letters."""
    random = np.random.default_rng(4)
    image = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), (250, 250, 245))
    for y in range(8, HEIGHT_PX, 13):
        words = "".join(random.choice(list("abcdefghi jklmno pqrstu vwxyz "), 70))
        ImageDraw.Draw(image).text((8, y), words, fill=(20, 20, 20))
    return np.asarray(image)


def draw_noise() -> NDArray[np.uint8]:
    """Draw every channel of every pixel at random."""
    return np.random.default_rng(5).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)


def draw_even(*colour: int) -> NDArray[np.uint8]:
    """Draw one colour."""
    return np.full((HEIGHT_PX, WIDTH_PX, 3), colour, np.uint8)


OUT_OF_DOMAIN = {
    "sky": draw_sky(),
    "leaves": draw_leaves(),
    "grass": draw_grass(),
    "print": draw_print(),
    "noise": draw_noise(),
    "black": draw_even(0, 0, 0),
    "grey": draw_even(128, 128, 128),
    "red": draw_even(200, 30, 30),
}
"""What they show, to the pixels."""
