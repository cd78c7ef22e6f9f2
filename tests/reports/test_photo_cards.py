"""Cards of photos: their pictures, or the reason why there are none."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.dataset.layout import Layout
from pipeline.reports import dataset_stats
from pipeline.reports.photo_cards import Frame, PhotoCard, make_cards
from pipeline.reports.width_classes import UNKNOWN, classify
from tests.helpers.scored_photos import photo, score_archives, zip_photos


def cards_of(layout: Layout, longest_px: int = 75, *, with_cracks: bool = True) -> list[PhotoCard]:
    """The cards of all photos of a dataset."""
    with dataset_stats.open_photos(layout, None) as photos:
        ids = dataset_stats.list_photos(photos, 9)["image_id"].to_pylist()
        return list(make_cards(photos, layout, ids, longest_px, with_cracks=with_cracks).values())


def pixels(url: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The picture in a `data:` URL."""
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return np.asarray(image)


def test_a_photo_has_a_picture_its_heat_and_its_worst_tile(tmp_path: Path) -> None:
    """The picture is small, the heat has its size, the tile keeps its pixels, and the frame shows its place."""
    [one] = cards_of(score_archives(tmp_path / "out", zip_photos(tmp_path / "one.zip", {"a.png": photo(200)})))
    assert one.picture is not None
    assert (one.picture.height_px, one.picture.width_px) == (50, 75)
    assert pixels(one.picture.photo).shape == (50, 75, 3)
    assert one.picture.heat is not None
    heat = pixels(one.picture.heat)
    assert heat.shape == (50, 75, 4)
    assert (heat[:25, :, 3] == 0).all()
    assert (heat[25:, 50:, 3] > 0).all()
    assert pixels(one.picture.tile).shape == (50, 50, 3)
    assert abs(int(pixels(one.picture.tile).mean()) - 200) <= 2  # JPEG
    assert one.picture.frame == Frame(66.67, 50.0, 33.33, 50.0)
    assert one.link == f"file://{tmp_path}/one.zip"
    assert one.card_id == f"photo-{one.facts['image_id']}"


def test_photos_come_worst_first_and_without_a_picture_where_unreadable(tmp_path: Path) -> None:
    """Such a card says why."""
    good, bad = (
        zip_photos(tmp_path / "good.zip", {"a.png": photo(9)}),
        zip_photos(tmp_path / "bad.zip", {"b.png": photo(99)}),
    )
    layout = score_archives(tmp_path / "out", good, bad)
    bad.unlink()
    first, second = cards_of(layout)
    assert (first.facts["image"], first.picture) == ("b.png", None)
    assert f"{bad.name}" in first.why
    assert second.picture is not None
    assert second.why == ""


def test_where_cracks_were_measured_their_lines_are_drawn(tmp_path: Path) -> None:
    """In pixels of the picture, the widest last; the close-up and its frame show the middle of that one."""
    archive = zip_photos(tmp_path / "one.zip", {"a.png": photo(200), "b.png": photo(210)})
    layout = score_archives(tmp_path / "out", archive, cracks={"a.png": 3}, mm_per_px={"a.png": 0.1})
    first, second = cards_of(layout)
    assert first.measures == "3 cracks, 0.01 m, the widest 0.35 mm (scale given by you)"
    assert first.picture is not None
    assert first.picture.heat is None
    assert [crack.path for crack in first.picture.cracks] == [
        "M2.5 1.5L12.5 3.8", "M0.0 1.5L10.0 3.8", "M5.0 1.5L15.0 3.8",
    ]  # fmt: skip
    assert [crack.width_class for crack in first.picture.cracks] == [
        UNKNOWN,
        classify(None, 0.15),
        classify(None, 0.35),
    ]
    assert pixels(first.picture.tile).shape == (50, 50, 3)
    assert first.picture.frame == Frame(3.33, 0, 33.33, 50)
    assert second.measures == "no crack counted"
    assert second.picture is not None
    assert (second.picture.heat, second.picture.cracks) == (None, [])
    assert second.picture.frame == Frame(66.67, 50, 33.33, 50)
    for card in cards_of(layout, with_cracks=False):
        assert card.picture is not None
        assert (card.picture.heat is None, card.picture.cracks) == (False, [])
