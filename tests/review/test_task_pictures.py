"""Pictures for labelling tools: what is in them, in their own pixels."""

from pathlib import Path

import numpy as np

from pipeline.core.wkt import parse_lines
from pipeline.dataset.sql import views
from pipeline.labels.boxes import Box
from pipeline.review.selection import ReviewRule, choose_tiles
from pipeline.review.task_pictures import list_photos, list_tiles
from tests.helpers.scored_photos import THRESHOLD, photo, score_archives, zip_photos

RULE = ReviewRule(6, ("random",), 2, THRESHOLD)


def test_tiles_and_photos_in_their_own_pixels(tmp_path: Path) -> None:
    """A crack in a photo is whole; in a tile it is the part that lies there, less the tile's corner."""
    layout = score_archives(
        tmp_path / "out", zip_photos(tmp_path / "a.zip", {"a.png": photo(250)}), cracks={"a.png": 1}
    )
    with views(layout) as connection:
        chosen = choose_tiles(connection, RULE)
        tiles = {each.name.box: each for each in list_tiles(connection, chosen, THRESHOLD)}
        [whole] = list_photos(connection, chosen, THRESHOLD)
        [(text,)] = connection.execute("SELECT line_wkt FROM cracks").fetchall()
    [line] = parse_lines(text)
    assert np.array_equal(whole.lines[0].points, line)
    assert np.array_equal(tiles[Box(0, 0, 50, 50)].lines[0].points, line)
    assert not any(tile.lines for box, tile in tiles.items() if box != Box(0, 0, 50, 50))
    assert (whole.name.subject, whole.name.box, whole.answer, whole.name.weight) == (
        "photo", Box(0, 0, 100, 150), "crack", None,
    )  # fmt: skip
    assert {tile.box for tile in whole.tiles} == tiles.keys()
    assert {tile.box: tile.answer for tile in whole.tiles}[Box(50, 100, 50, 50)] == "crack"
    assert [tile.answer for tile in tiles.values()].count("crack") == 1
    assert {tile.name.weight for tile in tiles.values()} == {1.0}
