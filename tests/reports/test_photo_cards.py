"""Photos as a page shows them: pictures of what there is to see, or why there is none."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.dataset.layout import Layout
from pipeline.reports import dataset_stats
from pipeline.reports.photo_cards import Frame, PhotoCard, photo_cards
from tests.helpers.scored_photos import photo, scored, zipped


def seen(layout: Layout, longest_px: int = 75) -> list[PhotoCard]:
    """All scored photos of a dataset."""
    with dataset_stats.statistics_of(layout, None) as photos:
        ids = dataset_stats.listed(photos, 9)["image_id"].to_pylist()
        return list(photo_cards(photos, layout, ids, longest_px).values())


def pixels(url: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """What a `data:` URL shows."""
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return np.asarray(image)


def test_a_photo_has_a_picture_its_heat_and_its_worst_tile(tmp_path: Path) -> None:
    """The picture is shrunk, the heat lies over it, the tile is as it is, and the frame says where."""
    [one] = seen(scored(tmp_path / "out", zipped(tmp_path / "one.zip", {"a.png": photo(200)})))
    assert one.picture is not None
    assert (one.picture.height_px, one.picture.width_px) == (50, 75)
    assert pixels(one.picture.photo).shape == (50, 75, 3)
    heat = pixels(one.picture.heat)
    assert heat.shape == (50, 75, 4)
    assert (heat[:25, :, 3] == 0).all()
    assert (heat[25:, 50:, 3] > 0).all()
    assert pixels(one.picture.tile).shape == (50, 50, 3)
    assert abs(int(pixels(one.picture.tile).mean()) - 200) <= 2  # JPEG
    assert one.picture.frame == Frame(66.67, 50.0, 33.33, 50.0)
    assert one.link == f"file://{tmp_path}/one.zip"
    assert one.card == f"photo-{one.facts['image_id']}"


def test_photos_come_worst_first_and_without_a_picture_where_unreadable(tmp_path: Path) -> None:
    """A card stands without one, and says why."""
    good, bad = zipped(tmp_path / "good.zip", {"a.png": photo(9)}), zipped(tmp_path / "bad.zip", {"b.png": photo(99)})
    layout = scored(tmp_path / "out", good, bad)
    bad.unlink()
    first, second = seen(layout)
    assert (first.facts["image"], first.picture) == ("b.png", None)
    assert f"{bad.name}" in first.why
    assert second.picture is not None
    assert second.why == ""
