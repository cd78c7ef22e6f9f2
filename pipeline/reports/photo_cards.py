"""Photos as a page shows them: a picture, the heat over it, the worst tile, and what is known of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import Connection
from pipeline.reports import dataset_stats, heatmap, html_page, thumbnails
from pipeline.reports.heatmap import Pixels, TileScores
from pipeline.reports.source_photos import source_photos

PICTURE_PX = 640
"""Longest side of a picture: sharp on a card, and fair in the large view."""
TILE_PX = 448
"""Tiles are shown as they are up to this side."""


@dataclass(frozen=True)
class Frame:
    """A box in a picture, in percent of its sides."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Picture:
    """What there is to see of a photo; pictures are `data:` URLs."""

    photo: str
    heat: str
    """The layer to be laid over it."""
    tile: str
    """The worst tile, pixel for pixel."""
    frame: Frame
    """Where that tile lies."""
    width_px: int
    height_px: int


@dataclass(frozen=True)
class PhotoCard:
    """A photo on a page."""

    facts: dict[str, Any]
    """As `inspection.shown`."""
    link: str | None
    """What opens the photo or its archive."""
    picture: Picture | None
    why: str
    """Why there is no picture."""

    @property
    def card(self) -> str:
        """The id of its card in the page."""
        return f"photo-{self.facts['image_id']}"


def photo_cards(
    photos: Connection, layout: Layout, image_ids: Sequence[str], longest_px: int = PICTURE_PX
) -> dict[str, PhotoCard]:
    """Read photos again and make pictures of them, the worst photo first; by `image_id`."""
    facts = dataset_stats.photo_rows(photos, image_ids)
    scores = dataset_stats.tile_scores(photos, facts)
    made = dict(_pictures(layout, facts, scores, longest_px))
    return {row["image_id"]: _seen(row, made[row["image_id"]]) for row in facts}


def _pictures(
    layout: Layout, facts: Sequence[dict[str, Any]], scores: dict[str, TileScores], longest_px: int
) -> Iterator[tuple[str, Picture | str]]:
    for image_id, original in source_photos(layout, {row["image_id"]: row["archive"] for row in facts}):
        if isinstance(original, str):
            yield image_id, original
        else:
            yield image_id, picture_of(original, scores[image_id], longest_px)


def picture_of(pixels: Pixels, photo: TileScores, longest_px: int) -> Picture:
    """Make the pictures of one photo."""
    small = thumbnails.shrink(pixels, longest_px)
    height_px, width_px = small.shape[:2]
    tile = thumbnails.shrink(thumbnails.cut(pixels, photo.worst), TILE_PX)
    return Picture(
        photo=thumbnails.data_url(small, "jpeg"),
        heat=thumbnails.data_url(heatmap.layer(photo, height_px, width_px), "png"),
        tile=thumbnails.data_url(tile, "jpeg"),
        frame=_frame(photo),
        width_px=width_px,
        height_px=height_px,
    )


def _frame(photo: TileScores) -> Frame:
    box = photo.worst
    across, down = 100 / photo.width_px, 100 / photo.height_px
    sides = (box.left_px * across, box.top_px * down, box.width_px * across, box.height_px * down)
    return Frame(*(round(side, 2) for side in sides))


def _seen(facts: dict[str, Any], made: Picture | str) -> PhotoCard:
    link = html_page.link(facts["archive"], facts["image"])
    return PhotoCard(facts, link, None, made) if isinstance(made, str) else PhotoCard(facts, link, made, "")
