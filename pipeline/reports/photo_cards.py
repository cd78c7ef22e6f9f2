"""Photos as cards of a page: a picture, its heat, its worst tile and its row in the dataset."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import Connection
from pipeline.images.decode import Pixels
from pipeline.reports import dataset_stats, heatmap, html_page, thumbnails
from pipeline.reports.heatmap import TileScores
from pipeline.reports.source_photos import read_source_photos

PICTURE_PX = 640
"""Longest side of a picture: sharp on a card and fair in the large view."""
TILE_PX = 448
"""Tiles up to this side are shown pixel for pixel."""


@dataclass(frozen=True)
class Frame:
    """A box in a picture, in percent of its sides."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Picture:
    """The pictures of a photo, as `data:` URLs."""

    photo: str
    heat: str
    """The layer over the photo."""
    tile: str
    """The worst tile, pixel for pixel."""
    frame: Frame
    """Where that tile is in the photo."""
    width_px: int
    height_px: int


@dataclass(frozen=True)
class PhotoCard:
    """A photo in a page."""

    facts: dict[str, Any]
    """A row as `dataset_stats.read_photos` returns it."""
    link: str | None
    """Opens the photo or its archive."""
    picture: Picture | None
    why: str
    """Why there is no picture; empty if there is one."""

    @property
    def card_id(self) -> str:
        """The id of the card's element in the page."""
        return f"photo-{self.facts['image_id']}"


def make_cards(
    photos: Connection, layout: Layout, image_ids: Sequence[str], longest_px: int = PICTURE_PX
) -> dict[str, PhotoCard]:
    """Read photos again and make their cards, the worst photo first; by `image_id`."""
    facts = dataset_stats.read_photos(photos, image_ids)
    scores = dataset_stats.read_tile_scores(photos, facts)
    pictures = dict(_make_pictures(layout, facts, scores, longest_px))
    return {row["image_id"]: _make_card(row, pictures[row["image_id"]]) for row in facts}


def _make_pictures(
    layout: Layout, facts: Sequence[dict[str, Any]], scores: dict[str, TileScores], longest_px: int
) -> Iterator[tuple[str, Picture | str]]:
    for image_id, source in read_source_photos(layout, {row["image_id"]: row["archive"] for row in facts}):
        if isinstance(source, str):
            yield image_id, source
        else:
            yield image_id, make_picture(source, scores[image_id], longest_px)


def make_picture(pixels: Pixels, photo: TileScores, longest_px: int) -> Picture:
    """Make the pictures of one photo.

    Shape: pixels are (H, W, 3).
    """
    small = thumbnails.shrink(pixels, longest_px)
    height_px, width_px = small.shape[:2]
    tile = thumbnails.shrink(thumbnails.cut(pixels, photo.worst), TILE_PX)
    return Picture(
        photo=thumbnails.to_data_url(small, "jpeg"),
        heat=thumbnails.to_data_url(heatmap.draw_layer(photo, height_px, width_px), "png"),
        tile=thumbnails.to_data_url(tile, "jpeg"),
        frame=_frame(photo),
        width_px=width_px,
        height_px=height_px,
    )


def _frame(photo: TileScores) -> Frame:
    box = photo.worst
    across, down = 100 / photo.width_px, 100 / photo.height_px
    sides = (box.left_px * across, box.top_px * down, box.width_px * across, box.height_px * down)
    return Frame(*(round(side, 2) for side in sides))


def _make_card(facts: dict[str, Any], picture: Picture | str) -> PhotoCard:
    link = html_page.find_link(facts["archive"], facts["image"])
    return PhotoCard(facts, link, None, picture) if isinstance(picture, str) else PhotoCard(facts, link, picture, "")
