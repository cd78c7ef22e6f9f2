"""The ground truth counts every crack pixel once, and the check query judges scores, lengths and widths by it."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.synthetic.cracks import DrawnLine
from pipeline.synthetic.drawing import Drawing
from pipeline.synthetic.ground_truth import CELL_PX, LINES, SCHEMA, GroundTruth, count_cells


@given(height_px=st.integers(1, 70), width_px=st.integers(1, 70), seed=st.integers(0, 1000))
def test_cells_count_every_crack_pixel_once(height_px: int, width_px: int, seed: int) -> None:
    """The cells add up to the mask, each counts the pixels inside it, and none is empty."""
    mask = np.random.default_rng(seed).random((height_px, width_px)) < 0.02
    cells = count_cells("a.jpg", mask).to_pylist()
    assert sum(cell["crack_px"] for cell in cells) == mask.sum()
    for cell in cells:
        top_px, left_px = cell["top_px"], cell["left_px"]
        inside = mask[top_px : top_px + CELL_PX, left_px : left_px + CELL_PX].sum()
        assert cell["crack_px"] == inside > 0


def test_masks_photos_and_cells_are_written(tmp_path: Path) -> None:
    """A mask is a 1-bit PNG of the size of its photo, white on cracks; a sound photo has no cells."""
    mask = np.zeros((50, 70), np.bool_)
    mask[20:23, 10:40] = True
    _write(tmp_path, {"synthetic-0.jpg": mask, "synthetic-1.jpg": np.zeros((50, 70), np.bool_)})
    with Image.open(tmp_path / "masks" / "synthetic-0.png") as picture:
        assert picture.mode == "1"
        assert np.array_equal(np.asarray(picture), mask)
    rows = list(csv.DictReader((tmp_path / "photos.csv").read_text().splitlines()))
    assert [tuple(row.values()) for row in rows] == [
        ("synthetic-0.jpg", "1", "90", "3.0", "7"),
        ("synthetic-1.jpg", "0", "0", "0.0", "7"),
    ]
    table = pq.read_table(tmp_path / "truth.parquet")
    assert table.schema.equals(SCHEMA)
    assert set(table["image"].to_pylist()) == {"synthetic-0.jpg"}


def test_truth_without_cracks_keeps_its_columns(tmp_path: Path) -> None:
    """A sample of sound photos has an empty table with the usual columns."""
    _write(tmp_path, {"synthetic-0.jpg": np.zeros((64, 64), np.bool_)})
    table = pq.read_table(tmp_path / "truth.parquet")
    assert table.num_rows == 0
    assert table.schema.equals(SCHEMA)


def test_check_counts_recall_and_false_alarms(tmp_path: Path) -> None:
    """Two of three cracked tiles are found, one of four sound tiles is a false alarm; ten crack pixels do not count."""
    folder = tmp_path / "it's a sample"
    cracked = np.zeros((128, 128), np.bool_)
    cracked[4:14, 4:14] = True  # 100 px in the tile at the top left
    cracked[4:14, 70:80] = True  # 100 px in the tile at the top right
    cracked[100:110, 30:31] = True  # 10 px in the tile at the bottom left
    cracked[100:110, 80:90] = True  # 100 px in the tile at the bottom right
    _write(folder, {"a.jpg": cracked, "b.jpg": np.zeros((128, 128), np.bool_)})
    scores = {"a.jpg": (0.9, 0.5, 0.9, 0.49), "b.jpg": (0.1, 0.6, 0.2, 0.3)}
    assert _check(folder, scores) == {
        "tiles": (3, 2, 0.6667, 4, 1, 0.25, 1, None),
        "photos": (1, 1, 1.0, 1, 1, 1.0, 0, None),
    }


def test_check_ignores_photos_that_failed_and_those_of_others(tmp_path: Path) -> None:
    """Photos without a score, and photos that are not in the sample, do not count."""
    crack = np.zeros((128, 128), np.bool_)
    crack[10:20, 10:20] = True
    _write(tmp_path, {"a.jpg": crack, "b.jpg": np.zeros((128, 128), np.bool_)})
    assert _check(tmp_path, {"b.jpg": (0.0, 0.0, 0.0, 0.0), "other.jpg": (1.0, 1.0, 1.0, 1.0)}) == {
        "tiles": (0, 0, None, 4, 0, 0.0, 0, None),
        "photos": (0, 0, None, 1, 0, 0.0, 0, None),
    }


LEVEL = DrawnLine((np.array([(10, 21.5), (40, 21.5)]), np.array([(50, 21.5), (60, 21.5)])), 3.0)
STEEP = DrawnLine((np.array([(4.25, 0), (4.25, 60)]),), 5.0)


def test_lines_are_written_as_text(tmp_path: Path) -> None:
    """To a tenth of a pixel, one piece after the other, with the length of all pieces; a sound photo has none."""
    mask = np.ones((8, 8), np.bool_)
    _write(tmp_path, {"a.jpg": mask, "b.jpg": ~mask}, [LEVEL, STEEP])
    table = pq.read_table(tmp_path / "truth_cracks.parquet")
    assert table.schema.equals(LINES)
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("a.jpg", 0, "MULTILINESTRING ((10.0 21.5, 40.0 21.5), (50.0 21.5, 60.0 21.5))", 40.0, 3.0),
        ("a.jpg", 1, "MULTILINESTRING ((4.2 0.0, 4.2 60.0))", 60.0, 5.0),
    ]


def test_check_tells_errors_of_lengths_and_widths(tmp_path: Path) -> None:
    """Of 300 drawn pixels 80 are found, and 20 where none is; one photo of three has a width, half a pixel off."""
    mask = np.ones((128, 128), np.bool_)
    _write(tmp_path, {"a.jpg": mask, "b.jpg": mask, "c.jpg": mask, "d.jpg": ~mask}, [LEVEL, STEEP])
    widths = {"a.jpg": (2.0, 3.5, 100.0), "b.jpg": (None,), "d.jpg": (1.0,)}
    found = _check(tmp_path, dict.fromkeys(("a.jpg", "b.jpg", "c.jpg", "d.jpg"), (0.9,) * 4), widths)
    assert found["lengths"] == (300, 80, 0.2667, None, 20, None, 0, None)
    assert found["widths"] == (3, 1, 0.3333, None, None, None, 0, 0.5)


_IMAGES = pa.schema(
    [("image", pa.string()), ("crack_score", pa.float64()), ("cracks", pa.int32()), ("crack_length_px", pa.float64())]
)
_CRACKS = pa.schema([("image", pa.string()), ("crack_width_px_p50", pa.float64())])


def _write(
    folder: Path,
    masks: dict[str, np.ndarray[tuple[int, int], np.dtype[np.bool_]]],
    lines: Sequence[DrawnLine] = (),
) -> None:
    """Write the truth of photos; those with a mask have all of the lines."""
    (folder / "masks").mkdir(parents=True)
    truth = GroundTruth(folder)
    for image, mask in masks.items():
        is_cracked, pixels = bool(mask.any()), np.zeros((*mask.shape, 3), np.uint8)
        truth.add(image, Drawing(pixels, mask, 3.0 * is_cracked, tuple(lines) if is_cracked else ()), 7)
    truth.write()


def _check(
    folder: Path, scores: Mapping[str, tuple[float, ...]], widths: Mapping[str, tuple[float | None, ...]] | None = None
) -> dict[str, tuple[object, ...]]:
    """Run the check over photos of 128 px, scored in four tiles of 64 px, from left to right and down.

    If cracks are measured, a photo has one of 20 px in length for each of its widths.
    """
    tiles = [
        {"image": image, "left_px": 64 * (at % 2), "top_px": 64 * (at // 2), "width_px": 64, "height_px": 64}
        | {"crack_score": score}
        for image, values in scores.items()
        for at, score in enumerate(values)
    ]
    images = [{"image": image, "crack_score": max(values)} for image, values in scores.items()]
    images += [{"image": "a.jpg", "crack_score": None}] if "a.jpg" not in scores else []
    for row in images if widths is not None else ():
        found = len((widths or {}).get(str(row["image"]), ()))
        row |= {"cracks": found, "crack_length_px": 20.0 * found}
    cracks = [{"image": image, "crack_width_px_p50": width} for image, each in (widths or {}).items() for width in each]
    with duckdb.connect() as connection:
        connection.register("cracks", pa.Table.from_pylist(cracks, _CRACKS))
        connection.register("tiles", pa.Table.from_pylist(tiles))
        connection.register("images", pa.Table.from_pylist(images, _IMAGES))
        rows = connection.sql((folder / "check.sql").read_text()).fetchall()
    return {row[0]: row[1:] for row in rows}
