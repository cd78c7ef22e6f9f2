"""Whether the report puts first the photos with the most crack: `python -m tests.bench.ranking SCORES FOLDER...`.

SCORES is a dataset of the photos of all folders, each of which has `images` and, by the same name, `masks` as PNG. The
rank correlation (Spearman) with the area of the masks is told of the report's order and of the score.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.stats import spearmanr

from pipeline import storage
from pipeline.dataset.layout import Layout
from pipeline.reports import dataset_stats

MOST_PHOTOS = 1_000_000


def main() -> None:
    """Print a line for each folder, and one for all photos."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scores")
    parser.add_argument("folders", nargs="+", type=Path)
    given = parser.parse_args()
    with dataset_stats.open_photos(Layout(storage.canonical(given.scores)), None) as photos:
        rows = dataset_stats.list_photos(photos, MOST_PHOTOS).to_pylist()
    known = []
    for folder in given.folders:
        url = storage.canonical(str(folder / "images"))
        chosen = [(place, row["crack_score"]) for place, row in enumerate(rows) if row["archive"] == url]
        names = [row["image"] for row in rows if row["archive"] == url]
        areas = [_mask_area_px(folder / "masks" / f"{Path(name).stem}.png") for name in names]
        found = [(-place, score or 0, area) for (place, score), area in zip(chosen, areas, strict=True)]
        _print_line(folder.name, found)
        known += found
    _print_line("all", known)


def _mask_area_px(path: Path) -> int:
    with Image.open(path) as mask:
        return int(np.count_nonzero(np.asarray(mask.convert("L")) > 127))


def _print_line(name: str, found: list[tuple[int, float, int]]) -> None:
    order, scores, areas = np.array(found).T
    by_order, by_score = (spearmanr(values, areas).statistic for values in (order, scores))
    print(f"{name:24} {len(found):5,} photos  order {by_order:.3f}  score {by_score:.3f}")


if __name__ == "__main__":
    main()
