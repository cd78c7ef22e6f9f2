"""The ground truth of a sample: masks, crack pixels per cell, lines, and the query that compares scores with them."""

import csv
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.synthetic.cracks import DrawnLine
from pipeline.synthetic.drawing import Drawing
from pipeline.synthetic.noise import Mask

CELL_PX = 16
"""Side of the cells in which crack pixels are counted."""

CRACKED_FROM_PX = 40
"""Crack pixels from which on a scored tile counts as cracked; the check leaves tiles with fewer, but not none, out."""

SCHEMA = pa.schema([("image", pa.string()), ("top_px", pa.int32()), ("left_px", pa.int32()), ("crack_px", pa.int32())])
"""Columns of `truth.parquet`: only cells with a crack pixel have a row."""

LINES = pa.schema(
    [
        ("image", pa.string()),
        ("crack", pa.int32()),
        ("line_wkt", pa.string()),
        ("length_px", pa.float32()),
        ("width_px", pa.float32()),
    ]
)
"""Columns of `truth_cracks.parquet`, a row for each arm and branch of a crack; `width_px` is the median along it."""


@dataclass
class GroundTruth:
    """Collects the ground truth of a sample, photo by photo."""

    folder: Path
    """Folder of the sample; `add` writes masks below it at once."""
    cells: list[pa.RecordBatch] = field(default_factory=list)
    photos: list[tuple[str, int, int, float, int]] = field(default_factory=list)
    """Rows of `photos.csv`."""
    lines: list[dict[str, object]] = field(default_factory=list)
    """Rows of `truth_cracks.parquet`."""

    def add(self, image: str, drawing: Drawing, seed: int) -> None:
        """Write the mask of one photo, and keep its rows.

        Args:
            image: path of the photo in the archive.
            drawing: the photo.
            seed: with which `draw_photo` draws it.
        """
        path = self.folder / "masks" / Path(image).with_suffix(".png").name
        Image.fromarray(drawing.mask).save(path)
        self.cells.append(count_cells(image, drawing.mask))
        crack_px = int(drawing.mask.sum())
        self.photos.append((image, int(crack_px > 0), crack_px, round(drawing.widest_px, 1), seed))
        self.lines += [_describe(image, number, line) for number, line in enumerate(drawing.lines)]

    def write(self) -> None:
        """Write `truth.parquet`, `truth_cracks.parquet`, `photos.csv` and `check.sql`."""
        pq.write_table(pa.Table.from_batches(self.cells, SCHEMA), self.folder / "truth.parquet")
        pq.write_table(pa.Table.from_pylist(self.lines, LINES), self.folder / "truth_cracks.parquet")
        with (self.folder / "photos.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("image", "cracked", "crack_px", "widest_px", "seed"))
            writer.writerows(self.photos)
        (self.folder / "check.sql").write_text(check_sql(self.folder))


def count_cells(image: str, mask: Mask) -> pa.RecordBatch:
    """Return the crack pixels of every cell that has any; cells at the lower and right border may be smaller."""
    height_px, width_px = mask.shape
    padded = np.pad(mask, ((0, -height_px % CELL_PX), (0, -width_px % CELL_PX)))
    grid = padded.reshape(padded.shape[0] // CELL_PX, CELL_PX, padded.shape[1] // CELL_PX, CELL_PX)
    counts = grid.sum(axis=(1, 3))
    rows, cols = np.nonzero(counts)
    columns = ([image] * len(rows), rows * CELL_PX, cols * CELL_PX, counts[rows, cols])
    arrays = [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)]
    return pa.record_batch(arrays, schema=SCHEMA)


def _describe(image: str, number: int, line: DrawnLine) -> dict[str, object]:
    pieces = (", ".join(f"{x:.1f} {y:.1f}" for x, y in piece) for piece in line.pieces)
    return {
        "image": image,
        "crack": number,
        "line_wkt": f"MULTILINESTRING ({', '.join(f'({piece})' for piece in pieces)})",
        "length_px": line.length_px,
        "width_px": line.width_px,
    }


def check_sql(folder: Path) -> str:
    """Return a DuckDB query over a scored dataset of this sample.

    It tells recall and false alarms of tiles and photos and, if cracks were measured, how much of their length was
    found, and how far widths are off.
    """
    quoted = str(folder.resolve()).replace("'", "''")
    return _CHECK.substitute(folder=quoted, cracked_from=CRACKED_FROM_PX, cell=CELL_PX, half=CELL_PX // 2)


_CHECK = Template("""\
-- Recall and false alarms against the known truth of this synthetic sample, at threshold 0.5.
-- Run it with: crackscan query OUT @check.sql   (OUT: where `crackscan score` put the scores)
-- A tile is cracked if its box holds at least $cracked_from crack pixels, sound if it holds none, else not counted.
-- If cracks were measured, there are two rows more:
--   lengths  pixels of line: drawn, found in cracked photos, their ratio, and found in sound photos
--   widths   cracked photos, those with a width, their share, and how far the median width of a photo is off, in pixels
WITH truth AS (
    SELECT * FROM read_parquet('$folder/truth.parquet')
), photos AS (
    SELECT * FROM read_csv('$folder/photos.csv', header = true)
), boxes AS (
    SELECT t.image, t.crack_score, t.left_px, t.top_px,
        coalesce(sum(c.crack_px) FILTER (
            c.left_px + $half BETWEEN t.left_px AND t.left_px + t.width_px - 1
            AND c.top_px + $half BETWEEN t.top_px AND t.top_px + t.height_px - 1), 0) AS inside_px,
        coalesce(sum(c.crack_px), 0) AS touching_px
    FROM tiles AS t
    JOIN photos AS p ON p.image = t.image
    LEFT JOIN truth AS c ON c.image = t.image
        AND c.left_px < t.left_px + t.width_px AND c.left_px + $cell > t.left_px
        AND c.top_px < t.top_px + t.height_px AND c.top_px + $cell > t.top_px
    GROUP BY ALL
), judged AS (
    SELECT 'tiles' AS what, crack_score >= 0.5 AS alarm,
        CASE WHEN inside_px >= $cracked_from THEN true WHEN touching_px = 0 THEN false END AS cracked
    FROM boxes
    UNION ALL
    SELECT 'photos', i.crack_score >= 0.5, p.cracked = 1
    FROM images AS i JOIN photos AS p ON p.image = i.image
    WHERE i.crack_score IS NOT NULL
), drawn AS (
    SELECT image, sum(length_px) AS length_px, median(width_px) AS width_px
    FROM read_parquet('$folder/truth_cracks.parquet') GROUP BY image
), measured AS (
    SELECT image, median(crack_width_px_p50) AS width_px FROM cracks GROUP BY image
), lines AS (
    SELECT d.image IS NOT NULL AS cracked, coalesce(d.length_px, 0) AS drawn_px, i.crack_length_px AS found_px,
        abs(m.width_px - d.width_px) AS error_px
    FROM images AS i JOIN photos AS p ON p.image = i.image
    LEFT JOIN drawn AS d ON d.image = i.image LEFT JOIN measured AS m ON m.image = i.image
    WHERE i.cracks IS NOT NULL
), answer AS (
    SELECT what,
        count(*) FILTER (cracked) AS cracked,
        count(*) FILTER (cracked AND alarm) AS found,
        round(count(*) FILTER (cracked AND alarm) / nullif(count(*) FILTER (cracked), 0), 4) AS recall,
        count(*) FILTER (NOT cracked) AS sound,
        count(*) FILTER (NOT cracked AND alarm) AS false_alarms,
        round(count(*) FILTER (NOT cracked AND alarm) / nullif(count(*) FILTER (NOT cracked), 0), 4) AS false_rate,
        count(*) FILTER (cracked IS NULL) AS not_counted, NULL AS error_px
    FROM judged GROUP BY what
    UNION ALL
    SELECT 'lengths', round(sum(drawn_px))::BIGINT, round(coalesce(sum(found_px) FILTER (cracked), 0))::BIGINT,
        round(sum(found_px) FILTER (cracked) / nullif(sum(drawn_px), 0), 4), NULL,
        round(coalesce(sum(found_px) FILTER (NOT cracked), 0))::BIGINT, NULL, 0, NULL
    FROM lines HAVING count(*) > 0
    UNION ALL
    SELECT 'widths', count(*) FILTER (cracked), count(error_px),
        round(count(error_px) / nullif(count(*) FILTER (cracked), 0), 4), NULL,
        NULL, NULL, 0, round(avg(error_px), 2)
    FROM lines HAVING count(*) > 0
)
FROM answer ORDER BY list_position(['tiles', 'photos', 'lengths', 'widths'], what)
""")
