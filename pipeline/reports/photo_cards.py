"""Photos as cards of a page: a picture, its crack lines or its heat, a close-up, and its row in the dataset.

In a report, lines are drawn where cracks were measured, and the heat of tile scores where they were not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.core.wkt import Line
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import Connection
from pipeline.images.decode import Pixels
from pipeline.images.tiles import Tile
from pipeline.reports import crack_stats, dataset_stats, heatmap, html_page, thumbnails
from pipeline.reports.crack_stats import CrackLines
from pipeline.reports.heatmap import TileScores
from pipeline.reports.source_photos import read_source_photos
from pipeline.reports.width_classes import WidthClass

PICTURE_PX = 640
"""Longest side of a picture: sharp on a card and fair in the large view."""
TILE_PX = 448
"""Tiles up to this side are shown pixel for pixel; close-ups of cracks have it, or half a small photo's."""
POINT_STEP_PX = 1.5
"""Least distance of the points of a line, in pixels of the picture: the page would show no more."""


@dataclass(frozen=True)
class Frame:
    """A box in a picture, in percent of its sides."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class CrackPath:
    """The lines of one crack over a picture."""

    path: str
    """The `d` of an SVG path, in pixels of the picture."""
    width_class: WidthClass
    title: str


@dataclass(frozen=True)
class Picture:
    """The pictures of a photo, as `data:` URLs."""

    photo: str
    heat: str | None
    """The layer over the photo; None where lines are drawn."""
    cracks: Sequence[CrackPath]
    """The widest last."""
    tile: str
    """The middle of the widest crack, else the worst tile, pixel for pixel."""
    frame: Frame
    """Where that is in the photo."""
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

    @property
    def measures(self) -> str:
        """What was measured in the photo, in words; empty if nothing was."""
        return crack_stats.describe_photo(self.facts)


def make_cards(
    photos: Connection,
    layout: Layout,
    image_ids: Sequence[str],
    longest_px: int | None = PICTURE_PX,
    *,
    with_cracks: bool = False,
) -> dict[str, PhotoCard]:
    """Read photos again and make their cards, the worst photo first; by `image_id`.

    Args:
        photos: see `dataset_stats.open_photos`.
        layout: the dataset.
        image_ids: the photos.
        longest_px: the longest side of their pictures; None shows only what is around the worst place of each photo.
        with_cracks: whether to draw the lines of cracks, where they were measured, in place of the heat.
    """
    facts = dataset_stats.read_photos(photos, image_ids)
    scores = dataset_stats.read_tile_scores(photos, facts)
    measured = [row["image_id"] for row in facts if with_cracks and row["cracks"] is not None]
    lines = crack_stats.read_lines(photos, measured)
    pictures = dict(_make_pictures(layout, facts, scores, lines, longest_px))
    return {row["image_id"]: _make_card(row, pictures[row["image_id"]]) for row in facts}


def _make_pictures(
    layout: Layout,
    facts: Sequence[dict[str, Any]],
    scores: Mapping[str, TileScores],
    lines: Mapping[str, Sequence[CrackLines]],
    longest_px: int | None,
) -> Iterator[tuple[str, Picture | str]]:
    for image_id, source in read_source_photos(layout, {row["image_id"]: row["archive"] for row in facts}):
        if isinstance(source, str):
            yield image_id, source
        elif longest_px is None:
            yield image_id, make_crop(source, scores[image_id], lines.get(image_id, ()))
        else:
            yield image_id, make_picture(source, scores[image_id], longest_px, lines.get(image_id))


def make_picture(
    pixels: Pixels, photo: TileScores, longest_px: int, cracks: Sequence[CrackLines] | None = None
) -> Picture:
    """Make the pictures of one photo.

    Args:
        pixels: the photo, shape (H, W, 3).
        photo: its tiles.
        longest_px: the longest side of its picture.
        cracks: its cracks, the widest last; None where they were not measured.
    """
    small = thumbnails.shrink(pixels, longest_px)
    height_px, width_px = small.shape[:2]
    box = _close_up(cracks[-1].lines[0], photo) if cracks else photo.worst
    heat = heatmap.draw_layer(photo, height_px, width_px) if cracks is None else None
    return Picture(
        photo=thumbnails.to_data_url(small, "jpeg"),
        heat=None if heat is None else thumbnails.to_data_url(heat, "png"),
        cracks=[draw_path(crack, width_px / photo.width_px) for crack in cracks or ()],
        tile=thumbnails.to_data_url(thumbnails.shrink(thumbnails.cut(pixels, box), TILE_PX), "jpeg"),
        frame=_frame(box, photo),
        width_px=width_px,
        height_px=height_px,
    )


def make_crop(pixels: Pixels, photo: TileScores, cracks: Sequence[CrackLines]) -> Picture:
    """Make the picture of the worst place of a photo, which shows at most half of its height and width.

    Args:
        pixels: the photo, shape (H, W, 3).
        photo: its tiles.
        cracks: its cracks, the widest last.
    """
    box = choose_crop(photo, cracks[-1] if cracks else None)
    picture = thumbnails.to_data_url(thumbnails.cut(pixels, box), "jpeg")
    return Picture(
        photo=picture,
        heat=None,
        cracks=[draw_path(crack, 1.0) for crack in move_into(cracks, box)],
        tile=picture,
        frame=Frame(0, 0, 100, 100),
        width_px=box.width_px,
        height_px=box.height_px,
    )


def move_into(cracks: Sequence[CrackLines], box: Tile) -> list[CrackLines]:
    """Move cracks into the pixels of a part of their photo."""
    corner = np.array([box.left_px, box.top_px])
    return [replace(crack, lines=[line - corner for line in crack.lines]) for crack in cracks]


def choose_crop(photo: TileScores, crack: CrackLines | None) -> Tile:
    """Return a box around the middle of a crack, else of the worst tile, of at most half the photo's sides."""
    tile = photo.worst
    middle = np.array([[tile.left_px + tile.width_px / 2, tile.top_px + tile.height_px / 2]])
    return _close_up(middle if crack is None else crack.lines[0], photo)


def _close_up(line: Line, photo: TileScores) -> Tile:
    """Return a box around the middle of a line, within the photo."""
    side_px = max(1, min(TILE_PX, photo.height_px // 2, photo.width_px // 2))
    most = (photo.width_px - side_px, photo.height_px - side_px)
    left_px, top_px = np.clip(line[len(line) // 2] - side_px / 2, 0, most).astype(int).tolist()
    return Tile(0, 0, top_px, left_px, side_px, side_px)


def draw_path(crack: CrackLines, scale: float) -> CrackPath:
    """Draw a crack over a picture that has `scale` of its size."""
    path = "".join(_draw_line(line * scale) for line in crack.lines)
    return CrackPath(path, crack.width_class, crack.title)


def _draw_line(line: Line) -> str:
    """Write a line as a part of an SVG path; points closer than `POINT_STEP_PX` are left out, but not its ends."""
    along = np.cumsum(np.hypot(*np.diff(line, axis=0, prepend=line[:1]).T)) // POINT_STEP_PX
    is_kept = np.diff(along, prepend=-1) > 0
    is_kept[-1] = True
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in line[is_kept])


def _frame(box: Tile, photo: TileScores) -> Frame:
    across, down = 100 / photo.width_px, 100 / photo.height_px
    sides = (box.left_px * across, box.top_px * down, box.width_px * across, box.height_px * down)
    return Frame(*(round(side, 2) for side in sides))


def _make_card(facts: dict[str, Any], picture: Picture | str) -> PhotoCard:
    link = html_page.find_link(facts["archive"], facts["image"])
    return PhotoCard(facts, link, None, picture) if isinstance(picture, str) else PhotoCard(facts, link, picture, "")
