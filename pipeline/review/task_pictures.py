"""Pictures for labelling tools, with what the model says of them: tiles, or whole photos with their chosen tiles."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np

from pipeline.core.wkt import Line
from pipeline.dataset.sql import Connection
from pipeline.findings.picture_names import PictureName
from pipeline.labels.boxes import Box
from pipeline.reports.dataset_stats import find_corner
from pipeline.review.places import Place, find_places
from pipeline.review.selection import ReviewTile

Answer = Literal["crack", "no_crack"]

_PHOTOS = """
    SELECT image_id, height_px, width_px, crack_score FROM images WHERE image_id IN (SELECT unnest(?))
"""


class ProposedLine(NamedTuple):
    """A part of a crack."""

    crack: int
    """Its number in its photo."""
    points: Line
    """In pixels of the picture. Shape: (N, 2)."""


class ProposedTile(NamedTuple):
    """A tile on a whole photo."""

    box: Box
    """In pixels of the picture."""
    score: float
    answer: Answer


class TaskPicture(NamedTuple):
    """A picture that people are asked about."""

    number: int
    """From 1 on; the first is to be asked first."""
    name: PictureName
    place: Place
    """Where it lies in its photo."""
    score: float
    answer: Answer
    """What the model says: whether the score is over the threshold."""
    lines: Sequence[ProposedLine]
    tiles: Sequence[ProposedTile] = ()

    @property
    def path(self) -> str:
        """The path of its file, relative to that of the tasks."""
        folder, ending = ("tiles", "png") if self.name.subject == "tile" else ("photos", "jpg")
        return f"{folder}/{self.number:04d}_{self.name.stem}.{ending}"

    @property
    def file_name(self) -> str:
        """The name of its file."""
        return self.path.partition("/")[2]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.name.box.height_px, self.name.box.width_px


def list_tiles(connection: Connection, chosen: Sequence[ReviewTile], threshold: float) -> list[TaskPicture]:
    """List a picture of each chosen tile.

    Args:
        connection: DuckDB with a dataset's views.
        chosen: the tiles.
        threshold: the score from which on a tile counts as cracked.
    """
    pictures = []
    for number, place in enumerate(find_places(connection, chosen, crop_only=True), 1):
        tile = place.tile
        name = PictureName(tile.image_id, "tile", tile.box, tile.pick, tile.weight)
        answer = _answer(tile.crack_score, threshold)
        pictures.append(TaskPicture(number, name, place, tile.crack_score, answer, _list_lines(place)))
    return pictures


def list_photos(connection: Connection, chosen: Sequence[ReviewTile], threshold: float) -> list[TaskPicture]:
    """List a picture of each photo that has a chosen tile, in their order; the arguments are those of `list_tiles`."""
    tiles_of = defaultdict[str, list[ReviewTile]](list)
    for tile in chosen:
        tiles_of[tile.image_id].append(tile)
    facts = {image_id: of for image_id, *of in connection.execute(_PHOTOS, [list(tiles_of)]).fetchall()}
    pictures = []
    whole = [_whole_photo(tiles[0], *facts[image_id]) for image_id, tiles in tiles_of.items()]
    for number, place in enumerate(find_places(connection, whole, crop_only=True), 1):
        box, score = place.tile.box, place.tile.crack_score
        boxes = [
            ProposedTile(_move(tile.box, box), tile.crack_score, _answer(tile.crack_score, threshold))
            for tile in tiles_of[place.tile.image_id]
        ]
        name = PictureName(place.tile.image_id, "photo", box)
        pictures.append(TaskPicture(number, name, place, score, _answer(score, threshold), _list_lines(place), boxes))
    return pictures


def _whole_photo(tile: ReviewTile, height_px: int, width_px: int, score: float) -> ReviewTile:
    """Return a tile as large as its photo, which begins where its window of a raster does."""
    left_px, top_px = find_corner(tile.archive, tile.image)
    return replace(tile, box=Box(top_px, left_px, height_px, width_px), crack_score=score)


def _answer(score: float, threshold: float) -> Answer:
    return "crack" if np.float32(score) >= np.float32(threshold) else "no_crack"


def _move(box: Box, picture: Box) -> Box:
    """Return a box of the photo in pixels of its picture."""
    return box._replace(top_px=box.top_px - picture.top_px, left_px=box.left_px - picture.left_px)


def _list_lines(place: Place) -> list[ProposedLine]:
    corner = (place.tile.box.left_px, place.tile.box.top_px)
    return [ProposedLine(crack.number, line - corner) for crack in place.drawn for line in crack.lines]
