"""The tiles that people have judged already, by the verdicts of a dataset: `selection` does not ask for them again."""

from pipeline.core.wkt import parse_lines
from pipeline.dataset.sql import Connection
from pipeline.findings.crack_tiles import runs_through
from pipeline.labels.boxes import Box

_SAID = "(FROM verdicts WHERE is_last AND is_current)"

_JUDGED = f"""
    CREATE OR REPLACE TEMP TABLE judged AS
    SELECT DISTINCT tiles.image_id, tiles."row", tiles.col FROM tiles JOIN {_SAID} AS said USING (image_id)
    WHERE subject = 'photo' OR (
        subject = 'tile'
        AND tiles.left_px + tiles.width_px / 2 >= said.left_px
        AND tiles.left_px + tiles.width_px / 2 < said.left_px + said.width_px
        AND tiles.top_px + tiles.height_px / 2 >= said.top_px
        AND tiles.top_px + tiles.height_px / 2 < said.top_px + said.height_px
    )
"""  # noqa: S608 - our own SQL
"""The middle, because a tool may give back a place a little larger or smaller than the tile."""

_JUDGED_CRACKS = f"""
    SELECT DISTINCT image_id, line_wkt FROM cracks JOIN (
        SELECT image_id, unnest(cracks) AS crack FROM {_SAID} WHERE subject = 'crack'
    ) USING (image_id, crack)
"""  # noqa: S608

_TILES_OF = """
    SELECT "row", col, top_px, left_px, height_px, width_px FROM tiles WHERE image_id = ?
"""


def find_judged(connection: Connection) -> None:
    """Make the table `judged`: `image_id`, `row` and `col` of each tile that was judged.

    Args:
        connection: DuckDB with a dataset's views.
    """
    connection.execute(_JUDGED)
    lines_of = dict[str, list[str]]()
    for image_id, line_wkt in connection.execute(_JUDGED_CRACKS).fetchall():
        lines_of.setdefault(image_id, []).append(line_wkt)
    for image_id, texts in lines_of.items():
        lines = [line for text in texts for line in parse_lines(text)]
        tiles = connection.execute(_TILES_OF, [image_id]).fetchall()
        crossed = [(image_id, row, col) for row, col, *box in tiles if runs_through(lines, Box(*box))]
        if crossed:
            connection.executemany("INSERT INTO judged VALUES (?, ?, ?)", crossed)
